"""The messages of the faults of a policy file, in Chinese and English: one table.

Messages contain the names of their values, such as ``{key}``. A value in both languages, such as a hint, is a message
itself.
"""

from collections.abc import Iterable
from typing import Final

from monitor.text.bilingual import Bilingual

FAULT_WORDING: Final = {
    # The file and its syntax.
    "cannot_be_read": Bilingual(
        "无法读取：{problem}；应为策略文件的路径", "cannot be read: {problem}; expected the path of a policy file"
    ),
    "not_utf_8": Bilingual(
        "字节 0x{byte:02x} 不是 UTF-8：请将文件存为 UTF-8 编码",
        "byte 0x{byte:02x} is not UTF-8: save the file as UTF-8",
    ),
    "too_long": Bilingual(
        "文件超过 {most} 个字符；请缩短策略", "the file is longer than {most} characters; expected a shorter policy"
    ),
    "empty": Bilingual(
        "文件是空的；策略至少要有 `id` 和 `version`", "the file is empty; a policy needs at least `id` and `version`"
    ),
    "not_yaml": Bilingual("不是有效的 YAML：{problem}{context}", "not YAML: {problem}{context}"),
    "yaml_context": Bilingual("（{context}）", " ({context})"),
    "yaml_context_since": Bilingual(
        "（{context}，始于 {line}:{column}）", " ({context}, which begins at {line}:{column})"
    ),
    "tab": Bilingual(
        "用制表符缩进：YAML 用空格缩进，请换成空格",
        "a tab as indentation: YAML indents with spaces; replace it with spaces",
    ),
    "wide_colon": Bilingual(
        "键后面是全角冒号 `：`：请写半角 `:` 和一个空格", "a full-width colon `：` after a key: write `:` and a space"
    ),
    "second_document": Bilingual(
        "出现第二个文档：一份策略只含一个文档，请删去 `---`",
        "a second document: a policy is one document; remove the `---`",
    ),
    "control_character": Bilingual(
        "控制字符，YAML 不允许：请删去", "a control character, which YAML forbids: remove it"
    ),
    "half_surrogate": Bilingual(
        "代理对的一半不是字符：请直接写出该字符",
        "half of a surrogate pair is not a character: write the character itself",
    ),
    "tag": Bilingual("不支持标签 {tag}：请删去", "the tag {tag} is not supported: remove it"),
    "alias_not_defined": Bilingual(
        "`*{name}` 在上文没有定义；请用 `&{name}` 定义", "`*{name}` is not defined above; define it with `&{name}`"
    ),
    "alias_in_itself": Bilingual(
        "`*{name}` 包含了自身；策略中不能有循环", "`*{name}` contains itself; expected a policy without loops"
    ),
    "too_deep": Bilingual(
        "嵌套超过 {most} 层；请减少层数", "nested more than {most} levels deep; expected fewer levels"
    ),
    "too_many_values": Bilingual(
        "展开别名后超过 {most} 个值；请减少", "more than {most} values, aliases expanded; expected fewer"
    ),
    "key_is_collection": Bilingual("键应为文本，而这里是列表或映射", "expected text as a key, got a list or a mapping"),
    "key_is_no_text": Bilingual(
        "键应为文本，而这里是 {key}：请按文件中的写法加引号",
        "expected text as a key, got {key}: write it in quotes, as it stands in the file",
    ),
    "merge_key": Bilingual(
        "YAML 1.2 没有合并键（`<<`）：请完整写出各字段，或以别名作为整个值",
        "merge keys (`<<`) are not YAML 1.2: write the fields in full, or use an alias as a whole value",
    ),
    "key_twice": Bilingual(
        "`{key}` 在第 {line} 行已经定义：请保留其中一个",
        "`{key}` is already defined on line {line}: keep one of the two",
    ),
    "other_hash": Bilingual(
        "策略的哈希值应为 {expected}，实际为 {actual}：保存的文本已被改动",
        "expected a policy whose hash is {expected}, got {actual}: the stored text was changed",
    ),
    # Keys and the kinds of values.
    "no_mapping": Bilingual("应为由键和值组成的映射，实际值：{value}", "expected a mapping of keys, got {value}"),
    "unknown_key": Bilingual("未知的键 `{key}`{hint}", "unknown key `{key}`{hint}"),
    "no_value": Bilingual("`{key}` 没有值：请填写，或删去这个键", "`{key}` has no value: add one, or remove the key"),
    "no_list": Bilingual("应为列表，实际值：{value}；请写在 [ ] 中", "expected a list, got {value}: write it in [ ]"),
    "no_inline_mapping": Bilingual(
        "应为映射，实际值：{value}；请写在 {{ }} 中", "expected a mapping, got {value}: write it in {{ }}"
    ),
    "missing": Bilingual("{what}缺少 {names}", "{what} needs {names}"),
    "no_section_list": Bilingual(
        "`{section}` 应为列表：每项以 `- ` 开头", "expected a list in `{section}`: begin each item with `- `"
    ),
    "no_number": Bilingual("应为数字，实际值：{value}{hint}", "expected a number, got {value}{hint}"),
    "not_finite": Bilingual("应为有限的数字，实际值：{value}", "expected a finite number, got {value}"),
    "not_whole": Bilingual("应为整数，实际值：{value}", "expected a whole number, got {value}"),
    "below_one": Bilingual(
        "应为不小于 1 的整数，实际值：{value}", "expected a whole number of at least 1, got {value}"
    ),
    "above_largest": Bilingual("应不大于 {most}，实际值：{value}", "expected at most {most}, got {value}"),
    "no_truth": Bilingual("应为 true 或 false，实际值：{value}{hint}", "expected true or false, got {value}{hint}"),
    "no_text": Bilingual("应为文本，实际值：{value}", "expected text, got {value}"),
    "truth_as_text": Bilingual(
        "应为文本，实际是布尔值 {value}：请按文件中的写法加引号",
        "expected text, got the truth value {value}: write it in quotes, as it stands in the file",
    ),
    "number_as_text": Bilingual(
        "应为文本，实际是数字 {value}：请按文件中的写法加引号",
        "expected text, got the number {value}: write it in quotes, as it stands in the file",
    ),
    "text_length": Bilingual(
        "应为 1 至 {most} 个字符的文本，实际有 {count} 个", "expected text of 1 to {most} characters, got {count}"
    ),
    "blank_text": Bilingual("应为文本，实际只有空白", "expected text, got only white space"),
    "empty_term": Bilingual(
        "{value} 不含字母、数字或汉字，会匹配任何文本", "{value} has no letter or digit, so it would match every text"
    ),
    "no_unit": Bilingual(
        "{value} 没有单位：请写 `{number}s`，或换用 s、m、h、d 中的另一个",
        "{value} has no unit: write `{number}s`, or use another of s, m, h, d",
    ),
    "no_duration": Bilingual(
        "应为时长，例如 `90s`、`5m`、`24h` 或 `30d`，实际值：{value}",
        "expected a duration such as `90s`, `5m`, `24h` or `30d`, got {value}",
    ),
    "zero_duration": Bilingual("时长应大于零，实际值：{value}", "expected a duration above zero, got {value}"),
    "no_time": Bilingual(
        "应为日期（例如 `2027-01-01`）或时间（例如 `2027-01-01T08:00:00Z`），实际值：{value}",
        "expected a date such as `2027-01-01` or a time such as `2027-01-01T08:00:00Z`, got {value}",
    ),
    "no_seconds": Bilingual(
        "应为 0.001 至 86400 的秒数，实际值：{value}", "expected seconds from 0.001 to 86400, got {value}"
    ),
    "no_confidence": Bilingual(
        "置信水平应不小于 0.5 且小于 1，实际值：{value}{hint}",
        "expected a confidence from 0.5 to below 1, got {value}{hint}",
    ),
    "no_zone": Bilingual("应为 IANA 时区，实际值：{value}{hint}", "expected an IANA time zone, got {value}{hint}"),
    "not_one_of": Bilingual("应为{what}，实际值：{value}{hint}", "expected {what}, got {value}{hint}"),
    "unexpected": Bilingual("值不合要求：{problem}", "{problem}"),
    # Hints that follow a message.
    "did_you_mean": Bilingual("；是否应为 `{word}`？", "; did you mean `{word}`?"),
    "did_you_mean_number": Bilingual("；是否应为 {number}？", "; did you mean {number}?"),
    "known": Bilingual("；可用：{names}", "; known: {names}"),
    "remove_quotes": Bilingual("；请去掉引号", "; write it without quotes"),
    "write_a_share": Bilingual("；请写成小数，例如 15 % 写作 0.15", "; write a share of one, such as 0.15 for 15 %"),
    "expected_share": Bilingual(
        "：应为 0 到 1 之间的数，例如 15 % 写作 0.15", ": expected a number between 0 and 1, such as 0.15 for 15 %"
    ),
    "zones": Bilingual("，例如 `Asia/Shanghai` 或 `UTC`", ", such as `Asia/Shanghai` or `UTC`"),
    "inherited": Bilingual(
        "（`{name}` 是继承的：请在这个 patch 中一并修改）", " (`{name}` is inherited: change it in this patch, too)"
    ),
    # The access rules.
    "no_section_mapping": Bilingual(
        "`{section}` 应为从名称到措辞的映射", "expected a mapping from a name to its wording in `{section}`"
    ),
    "not_in_access_rules": Bilingual(
        "接入规范是固定的，其中没有 `{key}`{hint}", "`{key}` is not in the access rules, which are fixed{hint}"
    ),
    "fixed_by_access_rules": Bilingual(
        "`{key}` 的 `{field}` 由接入规范固定（{fixed}）；只能修改 {free}",
        "`{field}` of `{key}` is fixed by the access rules ({fixed}); only {free} can be changed",
    ),
    # The list of rules.
    "beside_rules": Bilingual(
        "`{section}` 修改继承的规则，而本文件用 `rules` 取代了它们：请只保留一种",
        "`{section}` changes the inherited rules, but this file replaces them by `rules`: keep one of both",
    ),
    "id_not_patched": Bilingual(
        "`id` 不能用 patch 修改：请停用该规则，另加一条",
        "`id` cannot be patched: disable the rule, and add another one",
    ),
    "patch_no_mapping": Bilingual(
        "`patch` 应为从规则 ID 到所改字段的映射，实际值：{value}",
        "expected a mapping from a rule's id to its changed fields in `patch`, got {value}",
    ),
    "patch_of_disabled": Bilingual(
        "`{rule}` 在第 {line} 行已停用：请从 `patch` 或 `disable` 中删去",
        "`{rule}` is disabled on line {line}: remove it from `patch` or `disable`",
    ),
    "disable_no_list": Bilingual(
        "`disable` 应为规则 ID 的列表，实际值：{value}；请写在 [ ] 中",
        "expected a list of rule ids in `disable`, got {value}: write them in [ ]",
    ),
    "disabled_twice": Bilingual(
        "`{rule}` 在第 {line} 行已停用：请删去一处", "`{rule}` is already disabled on line {line}: remove one"
    ),
    "nothing_inherited": Bilingual(
        "{rule} 不是继承的规则：`extends: none` 不继承任何规则",
        "{rule} is not an inherited rule: with `extends: none` no rule is inherited",
    ),
    "not_inherited": Bilingual("{rule} 不是继承的规则{hint}", "{rule} is not an inherited rule{hint}"),
    "id_taken": Bilingual(
        "`{name}` 已是{what}的 ID：请另取一个", "`{name}` is already the id of {what}: choose another id"
    ),
    "too_many_variants": Bilingual(
        "各规则共有 {count} 组不同的 `short_call_s`、`short_ring_s` 和 `timezone`{twice}；至多 {most} 组",
        "the rules have {count} different values of `short_call_s`, `short_ring_s` and `timezone`{twice}; "
        "expected at most {most}",
    ),
    "zones_count_twice": Bilingual(
        "（`out_of_hours_reject_ratio` 的每个 `timezone` 计两次）",
        " (each `timezone` of `out_of_hours_reject_ratio` counts twice)",
    ),
    "too_much_evidence": Bilingual(
        "各规则共用 {count} 类不同的通话作为证据；至多 {most} 类",
        "the rules use {count} different kinds of calls as evidence; expected at most {most}",
    ),
    # One rule.
    "two_comparisons": Bilingual(
        "一个条件只能有一个比较，这里有 {names}：请写成两个条件",
        "expected one comparison in a condition, got {names}: write two conditions",
    ),
    "no_comparison": Bilingual(
        "`also` 的条件缺少比较：`above`、`below`、`at_least`、`at_most` 之一",
        "a condition of `also` needs a comparison: one of `above`, `below`, `at_least`, `at_most`",
    ),
    "direction_overridden": Bilingual(
        "参数覆盖不能把 `{was}` 改为 `{other}`：请写 `{was}`，或另加一条规则",
        "an override cannot change `{was}` into `{other}`: write `{was}`, or add another rule",
    ),
    "field_overridden": Bilingual(
        "参数覆盖不能修改 `{name}`：请另写一条规则，并豁免这一条",
        "an override cannot change `{name}`: write another rule, and an exemption from this one",
    ),
    "needed_field_removed": Bilingual(
        "规则必须有 `{name}`，不能去掉：请填写一个值",
        "a rule needs `{name}`, so it cannot be taken away: write a value",
    ),
    "second_threshold": Bilingual(
        "继承的规则有 `{old}`，而一条规则只有一个阈值：请在 `{new}` 旁加上 `{old}: null`",
        "the inherited rule has `{old}`, and a rule has one threshold: add `{old}: null` beside `{new}`",
    ),
    "above_and_below": Bilingual(
        "`above` 和 `below` 只能写一个：请保留其中之一", "expected `above` or `below`, got both: keep one of them"
    ),
    "no_threshold": Bilingual(
        "规则缺少阈值：请加上 `above` 或 `below`", "a rule needs a threshold: add `above` or `below`"
    ),
    "step_of_a_day": Bilingual(
        "`step` 应为能整除一天的整分钟数，例如 1m、5m、1h 或 24h，实际值：{step}",
        "`step`: expected whole minutes that divide a day, such as 1m, 5m, 1h or 24h, got {step}",
    ),
    "step_of_hours": Bilingual(
        "窗口超过 48h 时，`step` 应为整小时数，实际值：{step}；请写 `step: 1h`",
        "`step`: expected whole hours for a window above 48h, got {step}: write `step: 1h`",
    ),
    "window_of_steps": Bilingual(
        "`window` 应为步长 {step} 的整数倍，例如 {example}，实际值：{window}{hint}",
        "`window`: expected a whole multiple of the step {step}, such as {example}, got {window}{hint}",
    ),
    "swapped": Bilingual(
        "；是否应为 `window: {step}` 和 `step: {window}`？", "; did you mean `window: {step}` and `step: {window}`?"
    ),
    "short_cooldown": Bilingual(
        "`cooldown` 应不短于窗口 {window}，使每通电话只计一次；实际值：{cooldown}",
        "`cooldown`: expected at least the window, {window}, so that a call counts once; got {cooldown}",
    ),
    "beyond_retention": Bilingual(
        "窗口 {window} 长于 `retention` 的 {retention}：请缩短窗口，或加大 `retention`",
        "a window of {window} is longer than `retention`, {retention}: shorten the window or increase `retention`",
    ),
    "long_distinct_window": Bilingual(
        "`{metric}` 统计被叫、主叫或同意凭证，窗口应不超过 48h，实际值：{window}",
        "expected a window of at most 48h for `{metric}`, which counts callees, callers or consents; got {window}",
    ),
    "long_distinct_condition": Bilingual(
        "条件中的 `{metric}` 统计被叫、主叫或同意凭证，窗口应不超过 48h，实际值：{window}",
        "expected a window of at most 48h with `{metric}`, which counts callees, callers or consents; got {window}",
    ),
    "condition_of_share": Bilingual(
        "`{metric}` 是 0 到 1 之间的比例，实际值：{value}{hint}",
        "`{metric}` is a share between 0 and 1, got {value}{hint}",
    ),
    "share_never_above": Bilingual(
        "`{metric}` 是比例，不会高于 {value}{hint}", "`{metric}` is a share, never above {value}{hint}"
    ),
    "share_always_above": Bilingual(
        "`{metric}` 是比例，总是高于 {value}：应不小于 0 且小于 1",
        "`{metric}` is a share, always above {value}: expected a number from 0 to below 1",
    ),
    "share_never_below": Bilingual(
        "`{metric}` 是比例，不会低于 {value}：应大于 0 且不大于 1",
        "`{metric}` is a share, never below {value}: expected a number above 0, at most 1",
    ),
    "share_always_below": Bilingual(
        "`{metric}` 是比例，总是低于 {value}{hint}", "`{metric}` is a share, always below {value}{hint}"
    ),
    "share_above_zero": Bilingual(
        "`above: 0` 对任何有过一次此类事件的租户都成立：请加上 `min_denominator`，"
        "或写大于 0 的比例，例如 15 % 写作 0.15",
        "`above: 0` is true of each tenant with one such event: add `min_denominator`, or write a share "
        "above 0, such as 0.15 for 15 %",
    ),
    "confidence_of_no_share": Bilingual(
        "`{metric}` 不是比例，没有置信水平：请删去 `confidence`",
        "`{metric}` is not a proportion, so it has no confidence: remove `confidence`",
    ),
    "recover_above": Bilingual(
        "`recover` 应不大于 `above` 的 {threshold}，实际值：{recover}；否则预警会反复触发和解除",
        "`recover`: expected at most `above`, {threshold}, got {recover}: the alert would flap",
    ),
    "recover_below": Bilingual(
        "`recover` 应不小于 `below` 的 {threshold}，实际值：{recover}；否则预警会反复触发和解除",
        "`recover`: expected at least `below`, {threshold}, got {recover}: the alert would flap",
    ),
    "no_behaviour": Bilingual(
        "`{behaviour}` 不是接入规范中的行为{hint}", "`{behaviour}` is not a behaviour of the access rules{hint}"
    ),
    "enforces_beyond_minor": Bilingual(
        "直接生效的度量规则只能用等级为 minor 的行为（{minor}）；`{behaviour}` 的等级是 {tier}：请写 `mode: review`",
        "expected a behaviour of tier minor ({minor}) in a measured rule that enforces; `{behaviour}` is of "
        "tier {tier}: write `mode: review`",
    ),
    # Exceptions and the catalogue.
    "no_rule": Bilingual("`{rule}` 不是本策略的规则{hint}", "`{rule}` is not a rule of this policy{hint}"),
    "override_twice": Bilingual(
        "`{tenant}` 对 `{rule}` 已有参数覆盖（第 {line} 行）：请保留其中一个",
        "`{tenant}` already has an override of `{rule}` (line {line}): keep one of them",
    ),
    "profiles_no_mapping": Bilingual(
        "`profiles` 应为从名称到分类豁免的映射，实际值：{value}",
        "expected a mapping from a name to its profile in `profiles`, got {value}",
    ),
    "name_length": Bilingual(
        "名称应有 1 至 {most} 个字符，实际有 {count} 个", "expected a name of 1 to {most} characters, got {count}"
    ),
    "row_twice": Bilingual(
        "另一行已用了键 `{key}`（第 {line} 行）", "another row already has the key `{key}` (line {line})"
    ),
    "row_without_terms": Bilingual(
        "没有词语的行匹配不到任何文本：请至少加一个词语",
        "a row without terms matches nothing: add at least one term",
    ),
    "no_built_in_defaults": Bilingual("内置策略缺少 `defaults`", "the built-in policy needs `defaults`"),
}
"""Every message of the checker by its code."""

THINGS: Final = {
    "policy": Bilingual("策略", "a policy"),
    "rule": Bilingual("规则", "a rule"),
    "condition": Bilingual("`also` 的条件", "a condition of `also`"),
    "escalation": Bilingual("升级处置", "an escalation"),
    "override": Bilingual("参数覆盖", "an override"),
    "exemption": Bilingual("豁免", "an exemption"),
    "profile": Bilingual("分类豁免", "a profile"),
    "catalogue_row": Bilingual("目录的行", "a row of the catalogue"),
    "behaviour": Bilingual("行为", "a behaviour"),
    "metric": Bilingual("指标", "a metric"),
    "rule_mode": Bilingual("模式", "a mode"),
    "escalation_mode": Bilingual("升级处置的模式", "a mode of an escalation"),
    "escalation_tier": Bilingual("升级处置的等级", "a tier of an escalation"),
    "counted": Bilingual("计数对象", "what to count"),
    "admissions": Bilingual("准入方式", "how applications are admitted"),
    "decision_kind": Bilingual("处置", "a kind of decision"),
    "extended": Bilingual("可继承的策略", "a policy to extend"),
}
"""The names of what a file has, as they stand in messages."""

_VALUES: Final = {
    "nothing": Bilingual("空", "nothing"),
    "mapping": Bilingual("映射", "a mapping"),
    "list": Bilingual("列表", "a list"),
}


def fault_text(code: str, **values: object) -> Bilingual:
    """The message of a fault, with its values."""
    return FAULT_WORDING[code].fill(**values)


def enumerated(names: Iterable[str], last: Bilingual | None = None) -> Bilingual:
    """Names in code marks, with ``last`` before the last one, a comma otherwise."""
    marked = [f"`{name}`" for name in names]
    if last is None or len(marked) < 2:
        return Bilingual("、".join(marked), ", ".join(marked))
    *most, end = marked
    return Bilingual(f"{'、'.join(most)}{last.zh}{end}", f"{', '.join(most)}{last.en}{end}")


AND: Final = Bilingual(" 和 ", " and ")
NO_HINT: Final = Bilingual("", "")


def quoted_value(value: object) -> Bilingual:
    """A value as a message quotes it."""
    if value is None:
        return _VALUES["nothing"]
    if isinstance(value, (dict, list)):
        return _VALUES["mapping" if isinstance(value, dict) else "list"]
    if isinstance(value, bool):
        return _same(str(value).lower())
    text = str(value)
    return _same(f"`{text[:60]}...`" if len(text) > 63 else f"`{text}`")


def _same(text: str) -> Bilingual:
    return Bilingual(text, text)
