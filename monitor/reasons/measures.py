"""The reasons of measured decisions and of alerts: every metric of the contract's table as a sentence."""

from dataclasses import dataclass

from monitor.policy.metrics import METRICS
from monitor.policy.model import Behaviour, Condition, Params, Rule
from monitor.reasons.wording import clause, count, exact, exact_percent, referred, rounded, rounded_percent, span
from monitor.text.timestamps import instant
from schemas.outputs import Measure, Reason, Window


@dataclass(frozen=True, slots=True)
class _Said:
    """The wording of a metric.

    ``{n}``, ``{d}``, ``{v}`` are numerator, denominator and value; ``{s}``, ``{limit}``, ``{zone}`` the rule's
    parameters; ``{were}``, ``{plural}``, ``{third}`` agree with the numerator, ``{many}`` with the denominator.
    ``name`` is for lists, ``of`` names the denominator if it is too small (in Chinese after its counting word).
    """

    zh: str
    en: str
    name_zh: str
    name_en: str
    of_zh: str = ""
    of_en: str = ""


def _attempts(zh: str, en: str, name_zh: str, name_en: str) -> _Said:
    return _Said(f"{{d}} 次外呼尝试中 {{n}} 次{zh}", f"{{n}} of {{d}} outbound attempts {en}", name_zh, name_en, *_A)


def _answered(zh: str, en: str, name_zh: str, name_en: str) -> _Said:
    return _Said(f"{{d}} 通接通电话中 {{n}} 通{zh}", f"{{n}} of {{d}} answered calls {en}", name_zh, name_en, *_C)


_A = ("次外呼尝试", "outbound attempts")
_C = ("通接通电话", "answered calls")

_SAID: dict[str, _Said] = {
    "attempts": _Said("外呼尝试 {n} 次", "{n} outbound attempt{plural}", "外呼尝试数", "outbound attempts"),
    "answered": _Said("接通 {n} 通", "{n} answered call{plural}", "接通数", "answered calls"),
    "policy_blocked": _Said(
        "被平台策略拦截 {n} 次", "{n} call{plural} blocked by policy", "策略拦截数", "calls blocked by policy"
    ),
    "asr": _attempts("接通", "{were} answered", "接通率", "answer-seizure ratio"),
    "acd_s": _Said(
        "{d} 通接通电话的平均通话时长为 {v} 秒",
        "{d} answered call{many} lasted {v} s on average",
        "平均通话时长",
        "average call duration",
        *_C,
    ),
    "ner": _attempts(
        "到达被叫一侧（接通、忙、无应答或拒接）",
        "reached the called side (answered, busy, not answered or rejected)",
        "网络有效率",
        "network effectiveness ratio",
    ),
    "pdd_s": _Said(
        "{d} 次振铃的外呼平均拨号后延迟为 {v} 秒",
        "{d} outbound attempt{many} rang {v} s after dialling on average",
        "平均拨号后延迟",
        "post-dial delay",
        "次振铃的外呼",
        "outbound attempts that rang",
    ),
    "short_call_ratio": _answered(
        "通话时长不超过 {s} 秒", "lasted at most {s} s", "短通话占比", "share of short calls"
    ),
    "zero_second_ratio": _answered("通话时长为 0 秒", "lasted 0 s", "零秒通话占比", "share of zero-second calls"),
    "long_call_ratio": _answered(
        "通话时长达到 60 秒", "lasted at least 60 s", "长通话占比", "share of calls of at least 60 s"
    ),
    "invalid_number_ratio": _attempts("拨打了空号", "went to invalid numbers", "空号占比", "share of invalid numbers"),
    "reject_ratio": _attempts("被拒接", "{were} rejected", "拒接占比", "share of rejected attempts"),
    "cancel_ratio": _attempts(
        "在接通前由主叫取消", "{were} cancelled by the caller", "取消占比", "share of cancelled attempts"
    ),
    "carrier_blocked_ratio": _attempts(
        "被运营商拦截", "{were} blocked by carriers", "运营商拦截占比", "share of attempts blocked by carriers"
    ),
    "callee_hangup_ratio": _answered(
        "由被叫在 10 秒内挂断",
        "{were} ended by the callee within 10 s",
        "被叫速挂占比",
        "share of calls ended by the callee within 10 s",
    ),
    "distinct_callee_ratio": _Said(
        "{d} 次外呼尝试拨打了 {n} 个不同的被叫",
        "{d} outbound attempt{many} went to {n} different callee{plural}",
        "不同被叫占比",
        "different callees per attempt",
        *_A,
    ),
    "sequential_ratio": _Said(
        "{d} 个不同的被叫号码中 {n} 个紧接在另一个同被拨打的号码之后（连号）",
        "{n} of {d} different numbers called directly follow{third} another number that was called too",
        "连号占比",
        "share of sequential numbers",
        "个不同的被叫号码",
        "different numbers called",
    ),
    "callee_over_limit": _Said(
        "{n} 个被叫各被拨打超过 {limit} 次",
        "{n} callee{plural} {were} called more than {limit} times each",
        "超频被叫数",
        "callees called too often",
    ),
    "caller_peak": _Said(
        "单个主叫号码最多外呼 {n} 次",
        "one caller number made {n} outbound attempt{plural}",
        "单号外呼峰值",
        "most attempts by one caller number",
    ),
    "out_of_hours_ratio": _attempts(
        "在 08:00 至 21:00（{zone}）之外拨出",
        "began outside 08:00 to 21:00 ({zone})",
        "时段外外呼占比",
        "share of attempts out of hours",
    ),
    "consent_coverage": _answered("带有同意凭证", "carried a consent id", "同意凭证覆盖率", "consent coverage"),
    "abandon_ratio": _Said(
        "{d} 通呼入电话中 {n} 通被放弃",
        "{n} of {d} inbound calls {were} abandoned",
        "呼入放弃率",
        "share of abandoned inbound calls",
        "通呼入电话",
        "inbound calls",
    ),
    "complaints": _Said("收到投诉 {n} 件", "{n} complaint{plural} {were} received", "投诉数", "complaints"),
    "complaint_rate": _Said(
        "{d} 通接通电话收到投诉 {n} 件",
        "{n} complaint{plural} {were} received for {d} answered call{many}",
        "投诉率",
        "complaint rate",
        *_C,
    ),
    "complainants": _Said(
        "{n} 名不同的投诉人提出投诉", "{n} different complainant{plural} came forward", "投诉人数", "complainants"
    ),
    "verified_complaints": _Said(
        "经核实的投诉 {n} 件", "{n} complaint{plural} {were} verified", "核实投诉数", "verified complaints"
    ),
    "verified_complaint_rate": _Said(
        "{d} 通接通电话有经核实的投诉 {n} 件",
        "{n} complaint{plural} {were} verified for {d} answered call{many}",
        "核实投诉率",
        "verified complaint rate",
        *_C,
    ),
}

_OPS = {
    "above": ("高于", "above"),
    "below": ("低于", "below"),
    "at_least": ("不低于", "at least"),
    "at_most": ("不高于", "at most"),
}


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
    said = _SAID[measure.metric]
    fact_zh, fact_en = _fact(said, measure, rule.params)
    beyond_zh, beyond_en = _beyond(measure, rule)
    value_zh, value_en = _value_beside(measure)
    zh = f"截至 {instant(window.end_ms)} 的 {long_zh}内，{fact_zh}{value_zh}，{beyond_zh}"
    en = f"{fact_en} in the {long_en} to {instant(window.end_ms)}{value_en}, {beyond_en}"
    if also:
        also_zh, also_en = zip(*(_condition(condition, value) for condition, value in also), strict=True)
        zh += "，同时" + "、".join(also_zh)
        en += ", with " + " and ".join(also_en)
    clause_zh, clause_en = clause(behaviour)
    then_zh, then_en = _what_follows(rule, status, review_by_ms)
    return Reason(zh + clause_zh + then_zh, en + clause_en + then_en)


def alert(rule: Rule, measure: Measure | None, state: str, behaviour: Behaviour) -> Reason:
    """Why an alert fires or is over: no value, too small a denominator, or no longer beyond ``recover``.

    An early alert is also over if the evaluation of its window does not find the breach.
    """
    long_zh, long_en = span(rule.window_ms)
    head_zh, head_en = ("预警", "Alert") if state == "firing" else ("预警解除", "Alert over")
    clause_zh, clause_en = clause(behaviour)
    if rule.mode == "shadow":
        clause_zh, clause_en = clause_zh + "；影子规则，仅作观察", clause_en + "; a shadow rule, only observed"
    said = _SAID[measure.metric] if measure else None
    if measure is None or said is None or (measure.value is None and not said.of_en):
        zh, en = f"最近 {long_zh}内没有可供判断的记录", f"no records to judge in the last {long_en}"
        return Reason(f"{head_zh}：{zh}{clause_zh}", f"{head_en}: {en}{clause_en}")
    if measure.value is None:
        zh = f"最近 {long_zh}内没有{said.of_zh[1:]}可供计算{said.name_zh}"
        en = f"no {said.of_en} in the last {long_en}, so no {said.name_en}"
        return Reason(f"{head_zh}：{zh}{clause_zh}", f"{head_en}: {en}{clause_en}")
    fact_zh, fact_en = _fact(said, measure, rule.params)
    value_zh, value_en = _value_beside(measure, rule.recover)
    if state == "firing":
        then_zh, then_en = _beyond(measure, rule)
    elif measure.denominator is not None and measure.denominator < rule.min_denominator:
        then_zh = f"不足判断所需的 {count(rule.min_denominator)} {said.of_zh}"
        then_en = f"fewer than the {count(rule.min_denominator)} {said.of_en} needed to judge"
    elif measure.value > rule.recover if rule.direction == "above" else measure.value < rule.recover:
        then_zh, then_en = "窗口结束时判定未触发规则", "not in breach of the rule at the window's end"
    else:
        limit_zh, limit_en = _amount(measure.metric, rule.recover)
        word_zh, word_en = _OPS[rule.direction]
        then_zh, then_en = f"不再{word_zh}解除线 {limit_zh}", f"no longer {word_en} {limit_en}"
    return Reason(
        f"{head_zh}：最近 {long_zh}内，{fact_zh}{value_zh}，{then_zh}{clause_zh}",
        f"{head_en}: {fact_en} in the last {long_en}{value_en}, {then_en}{clause_en}",
    )


def _fact(said: _Said, measure: Measure, params: Params) -> tuple[str, str]:
    """The counts as a clause."""
    n = measure.numerator
    filled = {
        "n": count(n),
        "d": count(measure.denominator or 0),
        "v": "–" if measure.value is None else rounded(measure.value, (measure.threshold,)),
        "were": "was" if n == 1 else "were",
        "plural": "" if n == 1 else "s",
        "third": "s" if n == 1 else "",
        "many": "" if measure.denominator == 1 else "s",
        "s": exact(params.short_call_ms / 1000),
        "limit": count(params.callee_limit),
        "zone": params.timezone,
    }
    return said.zh.format_map(filled), said.en.format_map(filled)


def _value_beside(measure: Measure, *anchors: float) -> tuple[str, str]:
    """A ratio's value, to follow the counts; for counts and seconds the sentence has it already."""
    if METRICS[measure.metric].unit != "ratio" or measure.value is None:
        return "", ""
    zh, en = _amount(measure.metric, measure.value, (measure.threshold, 1.0, *anchors), measured=True)
    return f"，占比 {zh}", f": {en}"


def _beyond(measure: Measure, rule: Rule) -> tuple[str, str]:
    """On which side of the threshold the value is, and with what confidence."""
    limit_zh, limit_en = _amount(measure.metric, measure.threshold)
    word_zh, word_en = _OPS[rule.direction]
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
    said = _SAID[condition.metric]
    word_zh, word_en = _OPS[condition.op]
    limit_zh, limit_en = _amount(condition.metric, condition.value)
    if value is None:
        return f"{said.name_zh}无值（要求{word_zh} {limit_zh}）", f"no {said.name_en} (needed: {word_en} {limit_en})"
    is_zh, is_en = _amount(condition.metric, value, (condition.value,), measured=True)
    return f"{said.name_zh} {is_zh}（{word_zh} {limit_zh}）", f"{said.name_en} {is_en} ({word_en} {limit_en})"


def _amount(metric: str, value: float, anchors: tuple[float, ...] = (), *, measured: bool = False) -> tuple[str, str]:
    """A value or a threshold in the metric's unit. A measured value is rounded, a policy's value is not."""
    unit = METRICS[metric].unit
    if unit == "ratio":
        return _share(value, anchors, measured=measured)
    text = rounded(value, anchors) if measured and unit == "seconds" else exact(value)
    return (f"{text} 秒", f"{text} s") if unit == "seconds" else (text, text)


def _share(value: float, anchors: tuple[float, ...] = (), *, measured: bool = False) -> tuple[str, str]:
    text = rounded_percent(value, anchors) if measured else exact_percent(value)
    return f"{text}%", f"{text} %"


def _what_follows(rule: Rule, status: str, review_by_ms: int | None) -> tuple[str, str]:
    if rule.mode == "shadow":
        return "；影子规则，仅作记录，不产生任何后果", "; a shadow rule, only noted, nothing follows"
    return referred(review_by_ms) if status == "pending_review" else ("", "")
