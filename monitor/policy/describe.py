"""A rule in words, Chinese and English, as `policy explain` shows it."""

from monitor.policy.metric_wording import METRIC_WORDING, OPERATORS, denominator_wording
from monitor.policy.metrics import METRICS
from monitor.policy.model import Behaviour, Escalation, Params, Policy, Rule, Tier
from monitor.text.bilingual import Bilingual
from monitor.text.durations import DAY, HOUR, MINUTE, format_duration
from monitor.text.numbers import exact, exact_percent

_SHARES_EN = {"above": "more than", "below": "less than", "at_least": "at least", "at_most": "at most"}
_COUNTS_EN = {**_SHARES_EN, "below": "fewer than"}
_MODES_ZH = {"enforce": "直接生效", "review": "转人工复核", "shadow": "仅影子输出，不产生任何后果"}
_MODES_EN = {
    "enforce": "decides at once",
    "review": "waits for a review by a person",
    "shadow": "shadow only: has no effect",
}


def rule_names(policy: Policy) -> dict[str, Bilingual]:
    """The names of the policy's rules and escalations by id, to stand beside the id.

    They contain nothing that an override changes: the same name is right for every tenant.
    """
    rules = {rule.id: _rule_name(rule) for rule in policy.rules}
    return rules | {one.id: _escalation_name(one) for one in policy.escalations}


def _rule_name(rule: Rule) -> Bilingual:
    title = METRIC_WORDING[rule.metric].title
    return Bilingual(f"{_duration_zh(rule.window_ms)}内{title.zh}", f"{title.en} in {format_duration(rule.window_ms)}")


def _escalation_name(escalation: Escalation) -> Bilingual:
    n, ms = escalation.at_least, escalation.window_ms
    return Bilingual(f"{_duration_zh(ms)}内累计 {n} 次违规", f"{n} violations within {format_duration(ms)}")


def rule_words(rule: Rule, behaviour: Behaviour, tier: Tier) -> Bilingual:
    """What the rule detects and its consequence, one sentence each."""
    conditions = [_condition(one.metric, one.op, one.value, rule.params) for one in rule.conditions]
    zh = f"任意 {_duration_zh(rule.window_ms)}内（每 {_duration_zh(rule.step_ms)}判定一次），"
    zh += "，且".join(c.zh for c in conditions)
    en = f"in any {format_duration(rule.window_ms)} (judged every {format_duration(rule.step_ms)}): "
    en += ", and ".join(c.en for c in conditions)
    of = denominator_wording(rule.metric)
    if of is not None and rule.min_denominator > 1:
        zh += f"，且{of.zh}至少 {rule.min_denominator:,}"
        en += f", with at least {rule.min_denominator:,} {of.en}"
    if rule.confidence is not None:
        zh += f"，并以 {exact(rule.confidence)} 的单侧置信水平成立"
        en += f", with a one-sided confidence of {exact(rule.confidence)}"
    if rule.first_ms is not None:
        zh += f"，仅在租户首次通话后的 {_duration_zh(rule.first_ms)}内判定"
        en += f", judged only in the first {format_duration(rule.first_ms)} after the tenant's first call"
    zh += f"：第 {behaviour.clause} 条“{behaviour.zh}”（{tier.zh}），{_MODES_ZH[rule.mode]}；"
    zh += f"此后 {_duration_zh(rule.cooldown_ms)}内不重复"
    en += f": clause {behaviour.clause}, {behaviour.en} ({tier.en}); {_MODES_EN[rule.mode]}; "
    en += f"then a cooldown of {format_duration(rule.cooldown_ms)}"
    return Bilingual(zh, en)


def escalation_words(escalation: Escalation, tier: Tier) -> Bilingual:
    """What the escalation counts and its consequence."""
    zh, en = _escalation_name(escalation)
    if escalation.once_per_rule:
        zh, en = f"{zh}（同一度量规则只计一次）", f"{en} (each measured rule counts once)"
    zh += f"：{tier.zh}，{_MODES_ZH[escalation.mode]}（平台内部规则，非接入规范条款）"
    en += f": {tier.en}; {_MODES_EN[escalation.mode]}"
    en += " (a rule of the platform, not a clause of the access rules)"
    return Bilingual(zh, en)


def _condition(metric: str, op: str, value: float, params: Params) -> Bilingual:
    wording, of, op_words = METRIC_WORDING[metric], denominator_wording(metric), OPERATORS[op]
    filled = {
        "s": exact(params.short_call_ms / 1000),
        "limit": f"{params.callee_limit}",
        "zone": params.timezone,
        "ring": exact(params.short_ring_ms / 1000),
        "were": "were",
        "third": "",
    }
    zh, en = (text.format_map(filled) for text in wording.share or wording.noun)
    if of is not None and METRICS[metric].unit == "ratio":
        percent = f"{exact_percent(value)} %"
        if wording.share:
            return Bilingual(
                f"{of.zh}中{zh}的占比{op_words.zh} {percent}", f"of {of.en}, {_SHARES_EN[op]} {percent} {en}"
            )
        return Bilingual(f"{zh}与{of.zh}之比{op_words.zh} {percent}", f"{en} {op_words.en} {percent} of {of.en}")
    if METRICS[metric].unit == "count":
        return Bilingual(f"{zh}{op_words.zh} {exact(value)}", f"{_COUNTS_EN[op]} {exact(value)} {en}")
    zh_unit, en_unit = (" 秒", " s") if METRICS[metric].unit == "seconds" else ("", "")
    return Bilingual(f"{zh}{op_words.zh} {exact(value)}{zh_unit}", f"{en} {op_words.en} {exact(value)}{en_unit}")


def _duration_zh(ms: int) -> str:
    for size, unit in ((DAY, "天"), (HOUR, "小时"), (MINUTE, "分钟")):
        if ms % size == 0 and (size < DAY or ms > 2 * DAY):
            return f"{ms // size} {unit}"
    return f"{ms // 1000} 秒"
