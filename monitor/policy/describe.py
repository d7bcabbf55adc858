"""A rule in words, Chinese and English, as `policy explain` shows it."""

from typing import NamedTuple

from monitor.policy.metrics import METRICS, Metric
from monitor.policy.model import Behaviour, Escalation, Params, Rule, Tier
from monitor.text.durations import DAY, HOUR, MINUTE, format_duration

_OF_ZH = {
    "attempts": "外呼尝试",
    "answered": "接通的呼叫",
    "rang": "振铃的外呼",
    "inbound": "呼入",
    "numeric_callees": "数字号码的被叫",
}
_OF_EN = {
    "attempts": "attempts",
    "answered": "answered calls",
    "rang": "attempts that rang",
    "inbound": "inbound calls",
    "numeric_callees": "numeric callees",
}
_OPS_ZH = {"above": "高于", "below": "低于", "at_least": "不低于", "at_most": "不高于"}
_OPS_EN = {"above": "above", "below": "below", "at_least": "at least", "at_most": "at most"}
_SHARES_EN = {"above": "more than", "below": "less than", "at_least": "at least", "at_most": "at most"}
_COUNTS_EN = {**_SHARES_EN, "below": "fewer than"}
_MODES_ZH = {"enforce": "直接生效", "review": "待人工审核", "shadow": "仅影子输出，不产生任何后果"}
_MODES_EN = {
    "enforce": "decides at once",
    "review": "waits for a person's review",
    "shadow": "shadow only: changes nothing",
}


class RuleDescription(NamedTuple):
    """A description in Chinese and English."""

    zh: str
    en: str


def rule_words(rule: Rule, behaviour: Behaviour, tier: Tier) -> RuleDescription:
    """What the rule detects and its consequence, one sentence each."""
    conditions = [_condition(rule.metric, rule.direction, rule.threshold, rule.params)]
    conditions += [_condition(c.metric, c.op, c.value, rule.params) for c in rule.also]
    zh = f"任意 {_duration_zh(rule.window_ms)}内（每 {_duration_zh(rule.step_ms)}判断一次），"
    zh += "，且".join(c.zh for c in conditions)
    en = f"in any {format_duration(rule.window_ms)} (judged every {format_duration(rule.step_ms)}): "
    en += ", and ".join(c.en for c in conditions)
    base = METRICS[rule.metric].denominator
    if base is not None and rule.min_denominator > 1:
        zh += f"，且{_of_zh(METRICS[rule.metric])}至少 {rule.min_denominator:,}"
        en += f", with at least {rule.min_denominator:,} {_of_en(METRICS[rule.metric])}"
    if rule.confidence is not None:
        zh += f"，并以 {rule.confidence:.6g} 的单侧置信度成立"
        en += f", surely so (one-sided, {rule.confidence:.6g})"
    zh += f"：第 {behaviour.clause} 条“{behaviour.zh}”（{tier.zh}），{_MODES_ZH[rule.mode]}；"
    zh += f"此后 {_duration_zh(rule.cooldown_ms)}内不重复"
    en += f": clause {behaviour.clause}, {behaviour.en} ({tier.en}); {_MODES_EN[rule.mode]}; "
    en += f"quiet for {format_duration(rule.cooldown_ms)} after"
    return RuleDescription(zh, en)


def escalation_words(escalation: Escalation, tier: Tier) -> RuleDescription:
    """What the escalation counts and its consequence."""
    n = escalation.at_least
    zh = f"{_duration_zh(escalation.window_ms)}内累计 {n} 次违规：{tier.zh}，{_MODES_ZH[escalation.mode]}"
    zh += "（平台内部规则，非接入规范条款）"
    en = f"{n} violations within {format_duration(escalation.window_ms)}: {tier.en}; {_MODES_EN[escalation.mode]}"
    en += " (the house's rule, not a clause of the access rules)"
    return RuleDescription(zh, en)


def _condition(name: str, op: str, value: float, params: Params) -> RuleDescription:
    metric = METRICS[name]
    zh, en = metric.zh, metric.en
    if name == "short_call_ratio":
        limit = f"{params.short_call_ms / 1000:g}"
        zh, en = f"通话不超过 {limit} 秒", f"lasted at most {limit} s"
    elif name == "callee_over_limit":
        zh = f"被呼叫超过 {params.callee_limit} 次的被叫数"
        en = f"callees called more than {params.callee_limit} times"
    elif name == "out_of_hours_ratio":
        zh = f"在 8 至 21 时（{params.timezone}）之外拨打"
        en = f"began outside 08:00 to 21:00 {params.timezone}"
    if metric.unit == "ratio":
        share = f"{value * 100:.6g} %"
        of_zh, of_en = _of_zh(metric), _of_en(metric)
        if metric.family == "calls":
            return RuleDescription(
                f"{of_zh}中{zh}的占比{_OPS_ZH[op]} {share}", f"of {of_en}, {_SHARES_EN[op]} {share} {en}"
            )
        return RuleDescription(f"{zh}与{of_zh}之比{_OPS_ZH[op]} {share}", f"{en} {_OPS_EN[op]} {share} of {of_en}")
    if metric.unit == "count":
        return RuleDescription(f"{zh}{_OPS_ZH[op]} {value:,.6g}", f"{_COUNTS_EN[op]} {value:,.6g} {en}")
    return RuleDescription(f"{zh}{_OPS_ZH[op]} {value:,.6g} 秒", f"{en} {_OPS_EN[op]} {value:,.6g} s")


def _of_zh(metric: Metric) -> str:
    return _OF_ZH.get(metric.denominator or "", metric.denominator or "")


def _of_en(metric: Metric) -> str:
    return _OF_EN.get(metric.denominator or "", metric.denominator or "")


def _duration_zh(ms: int) -> str:
    for size, unit in ((DAY, "天"), (HOUR, "小时"), (MINUTE, "分钟")):
        if ms % size == 0 and (size < DAY or ms > 2 * DAY):
            return f"{ms // size} {unit}"
    return f"{ms // 1000} 秒"
