"""The notes about a valid policy, in Chinese and English: one table."""

from typing import Final

from monitor.text.bilingual import Bilingual

NOTE_WORDING: Final = {
    "no_rules": Bilingual(
        "没有度量规则：只有投诉和质检结果会产生决定",
        "no measured rules: only complaints and findings lead to decisions",
    ),
    "no_catalogue": Bilingual(
        "没有禁止业务：不会因业务驳回任何申请，质检结果也不会违反第 3 条",
        "no prohibited businesses: no application is rejected for its business, and no finding violates clause 3",
    ),
    "new_without_mode": Bilingual(
        "规则 {rule}（第 {line} 行）是新规则，没有写 `mode`：从第一个窗口起就直接生效；"
        "确认如此请写 `mode: enforce`，想先看它会作出哪些决定请写 `mode: shadow`",
        "rule {rule} (line {line}) is new and has no `mode`: it enforces from its first window on; "
        "write `mode: enforce` to confirm that, or `mode: shadow` to see first what it would decide",
    ),
    "rule": Bilingual("规则 {rule}", "rule {rule}"),
    "override": Bilingual("{tenant} 对 {rule} 的参数覆盖", "override of {rule} for {tenant}"),
    "override_expired": Bilingual("{name}已于 {time} 到期", "{name} expired {time}"),
    "exemption_expired": Bilingual(
        "{tenant} 对 {rules} 的豁免已于 {time} 到期", "exemption of {tenant} from {rules} expired {time}"
    ),
    "profile_expired": Bilingual("分类豁免 {profile} 已于 {time} 到期", "profile {profile} expired {time}"),
    "profile_empty": Bilingual(
        "分类豁免 {profile} 不起作用：`{lacking}` 是空的", "profile {profile} has no effect: `{lacking}` is empty"
    ),
    "never_below": Bilingual("{name}：{metric} 不会低于 {threshold}", "{name}: {metric} is never below {threshold}"),
    "always_above": Bilingual("{name}：{metric} 总是高于 {threshold}", "{name}: {metric} is always above {threshold}"),
    "ratio_never_above": Bilingual(
        "{name}：{metric} 不会高于 {threshold}，最大为 1：15 % 请写 0.15",
        "{name}: {metric} is never above {threshold}; it is at most 1: write 0.15 for 15 %",
    ),
    "ratio_always_below": Bilingual(
        "{name}：{metric} 总是低于 {threshold}，最大为 1：15 % 请写 0.15",
        "{name}: {metric} is always below {threshold}; it is at most 1: write 0.15 for 15 %",
    ),
    "one_event": Bilingual(
        "{name}：一次事件就会使 {metric} 大于 0；请设置 `min_denominator`，或写大于 0 的阈值",
        "{name}: one event makes {metric} exceed 0; set `min_denominator`, or a threshold above 0",
    ),
    "seconds": Bilingual(
        "{name}：{metric} 以秒为单位，阈值为 {threshold}；若本意是毫秒，{threshold} 毫秒应写 {seconds}",
        "{name}: {metric} {direction} {threshold} is in seconds; {threshold} ms is {seconds}",
    ),
    "count": Bilingual(
        "{name}：{metric} 是计数，而阈值为 {threshold}；应为整数",
        "{name}: {metric} is a count, but its threshold is {threshold}; expected a whole number",
    ),
    "short_call": Bilingual(
        "{name}：`short_call_s: {seconds}` 使几乎每通电话都算短呼；单位是秒，默认为 6",
        "{name}: with `short_call_s: {seconds}` nearly every call is short; it is in seconds, 6 by default",
    ),
    "large_sample": Bilingual(
        "{name}：`min_denominator: {sample}` 超过租户在 {window} 内通常的数量：该规则永远不会判定",
        "{name}: `min_denominator: {sample}` is more than a tenant usually has in {window}: "
        "the rule would never be evaluated",
    ),
    "ids_alike": Bilingual("ID `{other}` 和 `{each}` 容易混淆", "the ids `{other}` and `{each}` are easily confused"),
    "term_twice": Bilingual(
        "词语 `{term}` 同时出现在禁止业务目录的 {other} 和 {row} 两行中",
        "the term `{term}` is in two rows of the prohibited businesses, {other} and {row}",
    ),
}
"""Every note by its code."""


def note_text(code: str, **values: object) -> Bilingual:
    """A note, with its values."""
    return NOTE_WORDING[code].fill(**values)
