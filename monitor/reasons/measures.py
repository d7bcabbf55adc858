"""The reasons of measured decisions and of alerts: every metric of the contract's table as a sentence."""

from functools import cache
from typing import Final, Literal

from monitor.policy.metric_wording import METRIC_WORDING, OPERATORS, MetricWording, denominator_wording
from monitor.policy.metrics import METRICS
from monitor.policy.model import Behaviour, Condition, Params, Rule
from monitor.reasons.wording import clause, count, referred, rounded, rounded_percent, span
from monitor.text.numbers import exact, exact_percent
from monitor.text.timestamps import instant
from schemas.outputs import Measure, Reason, Window


def measured(
    rule: Rule,
    measure: Measure,
    window: Window,
    status: str,
    behaviour: Behaviour,
    also: tuple[tuple[Condition, float | None], ...] = (),
    review_by_ms: int | None = None,
) -> Reason:
    """Why a measured rule decided: ``200 of 1,031 answered calls lasted at most 6 s in the 24 h to ...: 19.4 %,
    surely above 15 %``. "Surely" is used only if a confidence bound is beyond the threshold too. ``also`` are the
    rule's further conditions with their measured values; ``status`` and the rule's mode determine the consequence."""
    long_zh, long_en = span(window.end_ms - window.start_ms)
    end = instant(window.end_ms)
    said = METRIC_WORDING[measure.metric]
    fact_zh, fact_en = _fact(said, measure, rule.params)
    beyond_zh, beyond_en = _beyond(measure, rule)
    value_zh, value_en = _value_beside(measure)
    zh = f"截至 {end} 的 {long_zh}内，{fact_zh}{value_zh}，{beyond_zh}"
    en = f"{fact_en} in the {long_en} to {end}{value_en}, {beyond_en}"
    if also:
        also_zh, also_en = zip(*(_condition(condition, value) for condition, value in also), strict=True)
        zh += "，同时" + "、".join(also_zh)
        en += ", with " + " and ".join(also_en)
    clause_zh, clause_en = clause(behaviour)
    then_zh, then_en = _what_follows(rule, status, review_by_ms)
    return Reason(zh + clause_zh + then_zh, en + clause_en + then_en)


Unmeasured = Literal["not_judged", "rule_removed", "policy_changed"]
"""Why an alert is over whatever the records say: the rule is not judged for the tenant, by an exemption or because its
first period is over; the policy no longer has the rule; or the policy was changed before the window of an early alert
ended."""

_UNMEASURED: Final[dict[Unmeasured, tuple[str, str]]] = {
    "not_judged": ("该规则目前不适用于该租户", "the rule does not apply to this tenant now"),
    "rule_removed": ("策略中已没有该规则", "the policy no longer has the rule"),
    "policy_changed": ("策略在窗口结束前已变更", "the policy was changed before the window ended"),
}


def alert(
    rule: Rule, measure: Measure | None, state: str, behaviour: Behaviour, unmeasured: Unmeasured | None = None
) -> Reason:
    """Why an alert fires or is over: no value, too small a denominator, no longer beyond ``recover``, or what
    ``unmeasured`` says.

    An early alert is also over if the evaluation of its window does not find the breach.
    """
    long_zh, long_en = span(rule.window_ms)
    head_zh, head_en = ("预警", "Alert") if state == "firing" else ("预警解除", "Alert over")
    clause_zh, clause_en = clause(behaviour)
    if rule.mode == "shadow":
        clause_zh, clause_en = clause_zh + "；影子规则，仅作观察", clause_en + "; a shadow rule, only observed"
    if unmeasured is not None:
        zh, en = _UNMEASURED[unmeasured]
        return Reason(f"{head_zh}：{zh}{clause_zh}", f"{head_en}: {en}{clause_en}")
    of = denominator_wording(measure.metric) if measure else None
    if measure is None or (measure.value is None and of is None):
        zh, en = f"最近 {long_zh}内没有可供判断的记录", f"no records to judge in the last {long_en}"
        return Reason(f"{head_zh}：{zh}{clause_zh}", f"{head_en}: {en}{clause_en}")
    said = METRIC_WORDING[measure.metric]
    if measure.value is None:
        assert of is not None
        zh = f"最近 {long_zh}内没有{of.zh}可供计算{said.name.zh}"
        en = f"no {of.en} in the last {long_en}, so no {said.name.en}"
        return Reason(f"{head_zh}：{zh}{clause_zh}", f"{head_en}: {en}{clause_en}")
    fact_zh, fact_en = _fact(said, measure, rule.params)
    value_zh, value_en = _value_beside(measure, rule.recover)
    if state == "firing":
        then_zh, then_en = _beyond(measure, rule)
    elif of is not None and measure.denominator is not None and measure.denominator < rule.min_denominator:
        then_zh = f"不足判断所需的 {count(rule.min_denominator)} {of.counter_zh}{of.zh}"
        then_en = f"fewer than the {count(rule.min_denominator)} {of.en} needed to judge"
    elif measure.value > rule.recover if rule.direction == "above" else measure.value < rule.recover:
        then_zh, then_en = "窗口结束时判定未触发规则", "not in breach of the rule at the window's end"
    else:
        limit_zh, limit_en = _amount(measure.metric, rule.recover)
        word_zh, word_en = OPERATORS[rule.direction]
        then_zh, then_en = f"不再{word_zh}解除线 {limit_zh}", f"no longer {word_en} {limit_en}"
    return Reason(
        f"{head_zh}：最近 {long_zh}内，{fact_zh}{value_zh}，{then_zh}{clause_zh}",
        f"{head_en}: {fact_en} in the last {long_en}{value_en}, {then_en}{clause_en}",
    )


def _fact(said: MetricWording, measure: Measure, params: Params) -> tuple[str, str]:
    """The counts as a clause."""
    n = measure.numerator
    filled = {
        "n": count(n),
        "d": count(measure.denominator or 0),
        "were": "was" if n == 1 else "were",
        "plural": "" if n == 1 else "s",
        "third": "s" if n == 1 else "",
        "many": "" if measure.denominator == 1 else "s",
        **_parameters(params),
    }
    if "{v}" in said.fact.en:  # counts and most ratios are stated without their value
        filled["v"] = "–" if measure.value is None else rounded(measure.value, (measure.threshold,))
    return said.fact.zh.format_map(filled), said.fact.en.format_map(filled)


@cache
def _parameters(params: Params) -> dict[str, str]:
    """The parameters as a clause states them."""
    return {
        "s": exact(params.short_call_ms / 1000),
        "limit": count(params.callee_limit),
        "zone": params.timezone,
        "ring": exact(params.short_ring_ms / 1000),
    }


def _value_beside(measure: Measure, *anchors: float) -> tuple[str, str]:
    """A ratio's value, to follow the counts; for counts and seconds the sentence has it already."""
    if METRICS[measure.metric].unit != "ratio" or measure.value is None:
        return "", ""
    zh, en = _amount(measure.metric, measure.value, (measure.threshold, 1.0, *anchors), measured=True)
    return f"，占比 {zh}", f": {en}"


def _beyond(measure: Measure, rule: Rule) -> tuple[str, str]:
    """On which side of the threshold the value is, and with what confidence."""
    limit_zh, limit_en = _amount(measure.metric, measure.threshold)
    word_zh, word_en = OPERATORS[rule.direction]
    if measure.bound is None:
        return f"{word_zh} {limit_zh}", f"{word_en} {limit_en}"
    if rule.confidence is None:
        return f"确信{word_zh} {limit_zh}", f"surely {word_en} {limit_en}"
    sure_zh, sure_en = _share(rule.confidence)
    return (
        f"有 {sure_zh} 的把握{word_zh} {limit_zh}",
        f"surely {word_en} {limit_en} ({sure_en} confidence)",
    )


def _condition(condition: Condition, value: float | None) -> tuple[str, str]:
    said = METRIC_WORDING[condition.metric]
    word_zh, word_en = OPERATORS[condition.op]
    limit_zh, limit_en = _amount(condition.metric, condition.value)
    if value is None:
        return f"{said.name.zh}无值（要求{word_zh} {limit_zh}）", f"no {said.name.en} (needed: {word_en} {limit_en})"
    is_zh, is_en = _amount(condition.metric, value, (condition.value,), measured=True)
    return f"{said.name.zh} {is_zh}（{word_zh} {limit_zh}）", f"{said.name.en} {is_en} ({word_en} {limit_en})"


def _amount(metric: str, value: float, anchors: tuple[float, ...] = (), *, measured: bool = False) -> tuple[str, str]:
    """A value or a threshold in the metric's unit. A measured value is rounded, a policy's value is not."""
    unit = METRICS[metric].unit
    if unit == "ratio":
        return _share(value, anchors, measured=measured)
    text = rounded(value, anchors) if measured and unit != "count" else exact(value)
    return (f"{text} 秒", f"{text} s") if unit == "seconds" else (text, text)


def _share(value: float, anchors: tuple[float, ...] = (), *, measured: bool = False) -> tuple[str, str]:
    text = rounded_percent(value, anchors) if measured else exact_percent(value)
    return f"{text}%", f"{text} %"


def _what_follows(rule: Rule, status: str, review_by_ms: int | None) -> tuple[str, str]:
    if rule.mode == "shadow":
        return "；影子规则，仅作记录，不产生任何后果", "; a shadow rule, only noted, nothing follows"
    return referred(review_by_ms) if status == "pending_review" else ("", "")
