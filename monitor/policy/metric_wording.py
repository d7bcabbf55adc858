"""The wording of each metric, for reasons, the report, notifications and `policy explain`: one table."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from monitor.policy.metrics import METRICS
from monitor.text.bilingual import Bilingual


class DenominatorWording(NamedTuple):
    """What a denominator counts. ``counter_zh`` is its Chinese counting word."""

    counter_zh: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class MetricWording:
    """The wording of a metric.

    ``title`` heads a chart or a line of a notification and names rules, ``name`` stands in a sentence, ``fact`` states
    the counts.
    A ratio of the same records has a ``share``: what those of the numerator did, as in "of answered calls, more than
    15 % lasted at most 6 s". Of any other metric, ``noun`` is what is compared with the threshold.

    Texts contain ``{n}``, ``{d}``, ``{v}`` for numerator, denominator and value; ``{s}``, ``{ring}``, ``{limit}``,
    ``{zone}`` for the rule's parameters; ``{were}``, ``{plural}``, ``{third}`` agree with the numerator, ``{many}``
    with the denominator.
    """

    title: Bilingual
    name: Bilingual
    fact: Bilingual
    share: Bilingual | None
    noun: Bilingual


OPERATORS: Final = {
    "above": Bilingual("高于", "above"),
    "below": Bilingual("低于", "below"),
    "at_least": Bilingual("不低于", "at least"),
    "at_most": Bilingual("不高于", "at most"),
}
"""The comparisons of rules and conditions."""

_DENOMINATORS: Final = {
    "attempts": DenominatorWording("次", "外呼尝试", "outbound attempts"),
    "answered": DenominatorWording("通", "接通电话", "answered calls"),
    "rang": DenominatorWording("次", "振铃的外呼", "outbound attempts that rang"),
    "out_of_hours": DenominatorWording("次", "时段外外呼尝试", "outbound attempts out of hours"),
    "inbound": DenominatorWording("通", "呼入电话", "inbound calls"),
    "numeric_callees": DenominatorWording("个", "不同的被叫号码", "different numbers called"),
    "block_numbers": DenominatorWording("个", "不同的被叫号码", "different numbers called"),
    "callers": DenominatorWording("个", "不同的主叫号码", "different caller numbers"),
}


def denominator_wording(metric: str) -> DenominatorWording | None:
    """What the denominator of a metric counts; None if it has none."""
    name = METRICS[metric].denominator
    return None if name is None else _DENOMINATORS[name]


def _of_share(metric: str, title: Bilingual, name: Bilingual, share: Bilingual) -> MetricWording:
    """A ratio of the same records: ``200 of 1,031 answered calls lasted at most 6 s``."""
    of = denominator_wording(metric)
    assert of is not None
    zh = f"{{d}} {of.counter_zh}{of.zh}中 {{n}} {of.counter_zh}{share.zh}"
    return MetricWording(title, name, Bilingual(zh, f"{{n}} of {{d}} {of.en} {share.en}"), share, name)


def _of_noun(title: Bilingual, name: Bilingual, fact: Bilingual, noun: Bilingual | None = None) -> MetricWording:
    """Any other metric. ``noun`` is its name, unless the name does not fit beside a number."""
    return MetricWording(title, name, fact, None, noun or name)


METRIC_WORDING: Final = {
    "attempts": _of_noun(
        Bilingual("外呼尝试数", "Attempts"),
        Bilingual("外呼尝试数", "outbound attempts"),
        Bilingual("外呼尝试 {n} 次", "{n} outbound attempt{plural}"),
    ),
    "answered": _of_noun(
        Bilingual("接通数", "Answered calls"),
        Bilingual("接通数", "answered calls"),
        Bilingual("接通 {n} 通", "{n} answered call{plural}"),
    ),
    "policy_blocked": _of_noun(
        Bilingual("策略拦截数", "Blocked by policy"),
        Bilingual("策略拦截数", "calls blocked by policy"),
        Bilingual("被平台策略拦截 {n} 次", "{n} call{plural} blocked by policy"),
    ),
    "asr": _of_share(
        "asr",
        Bilingual("接通率 ASR", "Answer-seizure ratio (ASR)"),
        Bilingual("接通率", "answer-seizure ratio"),
        Bilingual("接通", "{were} answered"),
    ),
    "acd_s": _of_noun(
        Bilingual("平均通话时长 ACD", "Average call duration (ACD)"),
        Bilingual("平均通话时长", "average call duration"),
        Bilingual("{d} 通接通电话的平均通话时长为 {v} 秒", "{d} answered call{many} lasted {v} s on average"),
    ),
    "ner": _of_share(
        "ner",
        Bilingual("网络有效率 NER", "Network effectiveness ratio (NER)"),
        Bilingual("网络有效率", "network effectiveness ratio"),
        Bilingual(
            "到达被叫一侧（接通、忙、无应答或拒接）",
            "reached the called side (answered, busy, not answered or rejected)",
        ),
    ),
    "pdd_s": _of_noun(
        Bilingual("拨号后延迟 PDD", "Post-dial delay (PDD)"),
        Bilingual("平均拨号后延迟", "post-dial delay"),
        Bilingual(
            "{d} 次振铃的外呼平均拨号后延迟为 {v} 秒", "{d} outbound attempt{many} rang {v} s after dialling on average"
        ),
        Bilingual("平均拨号后延迟", "average post-dial delay"),
    ),
    "short_call_ratio": _of_share(
        "short_call_ratio",
        Bilingual("短呼占比", "Short-call ratio"),
        Bilingual("短通话占比", "share of short calls"),
        Bilingual("通话时长不超过 {s} 秒", "lasted at most {s} s"),
    ),
    "zero_second_ratio": _of_share(
        "zero_second_ratio",
        Bilingual("零秒通话占比", "Zero-second ratio"),
        Bilingual("零秒通话占比", "share of zero-second calls"),
        Bilingual("通话时长为 0 秒", "lasted 0 s"),
    ),
    "long_call_ratio": _of_share(
        "long_call_ratio",
        Bilingual("长通话占比", "Long-call ratio"),
        Bilingual("长通话占比", "share of calls of at least 60 s"),
        Bilingual("通话时长达到 60 秒", "lasted at least 60 s"),
    ),
    "invalid_number_ratio": _of_share(
        "invalid_number_ratio",
        Bilingual("空号率", "Invalid-number ratio"),
        Bilingual("空号占比", "share of invalid numbers"),
        Bilingual("拨打了空号", "went to invalid numbers"),
    ),
    "reject_ratio": _of_share(
        "reject_ratio",
        Bilingual("拒接率", "Reject ratio"),
        Bilingual("拒接占比", "share of rejected attempts"),
        Bilingual("被拒接", "{were} rejected"),
    ),
    "cancel_ratio": _of_share(
        "cancel_ratio",
        Bilingual("主叫取消率", "Cancel ratio"),
        Bilingual("取消占比", "share of cancelled attempts"),
        Bilingual("在接通前由主叫取消", "{were} cancelled by the caller"),
    ),
    "short_cancel_ratio": _of_share(
        "short_cancel_ratio",
        Bilingual("短振铃取消率", "Short-ring cancel ratio"),
        Bilingual("短振铃取消占比", "share of attempts cancelled after a short ring"),
        Bilingual("振铃不超过 {ring} 秒即被主叫取消", "{were} cancelled by the caller within {ring} s of ringing"),
    ),
    "carrier_blocked_ratio": _of_share(
        "carrier_blocked_ratio",
        Bilingual("运营商拦截率", "Carrier-blocked ratio"),
        Bilingual("运营商拦截占比", "share of attempts blocked by carriers"),
        Bilingual("被运营商拦截", "{were} blocked by carriers"),
    ),
    "callee_hangup_ratio": _of_share(
        "callee_hangup_ratio",
        Bilingual("被叫速挂率", "Quick callee hang-up ratio"),
        Bilingual("被叫速挂占比", "share of calls ended by the callee within 10 s"),
        Bilingual("由被叫在 10 秒内挂断", "{were} ended by the callee within 10 s"),
    ),
    "out_of_hours_ratio": _of_share(
        "out_of_hours_ratio",
        Bilingual("时段外外呼率", "Out-of-hours ratio"),
        Bilingual("时段外外呼占比", "share of attempts out of hours"),
        Bilingual("在 08:00 至 21:00（{zone}）之外拨出", "began outside 08:00 to 21:00 ({zone})"),
    ),
    "out_of_hours_reject_ratio": _of_share(
        "out_of_hours_reject_ratio",
        Bilingual("时段外拒接率", "Out-of-hours reject ratio"),
        Bilingual("时段外拒接占比", "share of attempts out of hours that callees refused"),
        Bilingual(
            "被拒接，或由被叫在 10 秒内挂断（时段外指 {zone} 的 08:00 至 21:00 之外）",
            "{were} rejected, or ended by the callee within 10 s (out of hours: outside 08:00 to 21:00, {zone})",
        ),
    ),
    "consent_coverage": _of_share(
        "consent_coverage",
        Bilingual("同意凭证覆盖率", "Consent coverage"),
        Bilingual("同意凭证覆盖率", "consent coverage"),
        Bilingual("带有同意凭证", "carried a consent id"),
    ),
    "abandon_ratio": _of_share(
        "abandon_ratio",
        Bilingual("呼入放弃率", "Abandon ratio"),
        Bilingual("呼入放弃率", "share of abandoned inbound calls"),
        Bilingual("被放弃", "{were} abandoned"),
    ),
    "median_talk_s": _of_noun(
        Bilingual("通话时长中位数", "Median talk time"),
        Bilingual("通话时长中位数", "median talk time"),
        Bilingual(
            "{d} 通接通电话的通话时长中位数为 {v} 秒", "the median talk time of {d} answered call{many} was {v} s"
        ),
    ),
    "distinct_callee_ratio": _of_noun(
        Bilingual("被叫去重率", "Distinct-callee ratio"),
        Bilingual("不同被叫占比", "different callees per attempt"),
        Bilingual(
            "{d} 次外呼尝试拨打了 {n} 个不同的被叫", "{d} outbound attempt{many} went to {n} different callee{plural}"
        ),
        Bilingual("不同的被叫", "different callees"),
    ),
    "sequential_ratio": _of_share(
        "sequential_ratio",
        Bilingual("连号拨打率", "Sequential dialling ratio"),
        Bilingual("连号占比", "share of sequential numbers"),
        Bilingual(
            "紧接在另一个同被拨打的号码之后（连号）", "directly follow{third} another number that was called too"
        ),
    ),
    "callee_over_limit": _of_noun(
        Bilingual("超频被叫数", "Callees over the limit"),
        Bilingual("超频被叫数", "callees called too often"),
        Bilingual("{n} 个被叫各被拨打超过 {limit} 次", "{n} callee{plural} {were} called more than {limit} times each"),
        Bilingual("被呼叫超过 {limit} 次的被叫数", "callees called more than {limit} times"),
    ),
    "caller_peak": _of_noun(
        Bilingual("单号外呼峰值", "Peak of one caller"),
        Bilingual("单号外呼峰值", "most attempts by one caller number"),
        Bilingual("单个主叫号码最多外呼 {n} 次", "one caller number made {n} outbound attempt{plural}"),
        Bilingual("单号外呼峰值", "attempts by one caller number"),
    ),
    "callee_peak": _of_noun(
        Bilingual("单个被叫呼叫峰值", "Peak of one callee"),
        Bilingual("单个被叫呼叫峰值", "most attempts to one callee"),
        Bilingual("单个被叫最多被呼叫 {n} 次", "one callee received {n} outbound attempt{plural}"),
        Bilingual("单个被叫呼叫峰值", "attempts to one callee"),
    ),
    "callers": _of_noun(
        Bilingual("主叫号码数", "Caller numbers"),
        Bilingual("主叫号码数", "different caller numbers"),
        Bilingual("用 {n} 个不同的主叫号码外呼", "outbound attempts came from {n} different caller number{plural}"),
    ),
    "calls_per_caller": _of_noun(
        Bilingual("单号平均外呼量", "Attempts per caller number"),
        Bilingual("单号平均外呼次数", "attempts per caller number"),
        Bilingual(
            "{d} 个不同的主叫号码外呼 {n} 次，平均每个号码 {v} 次",
            "{d} different caller number{many} made {n} outbound attempt{plural}, {v} each on average",
        ),
    ),
    "top_callee_share": _of_share(
        "top_callee_share",
        Bilingual("十大被叫接通占比", "Share of the ten busiest callees"),
        Bilingual("接通最多的十个被叫的占比", "share of the ten callees with the most answered calls"),
        Bilingual("拨往接通最多的十个被叫", "went to the ten callees with the most answered calls"),
    ),
    "block_ratio": _of_share(
        "block_ratio",
        Bilingual("号段拨打率", "Block dialling ratio"),
        Bilingual("号段号码占比", "share of numbers in blocks"),
        Bilingual(
            "与至少九个同被拨打的号码仅末两位不同（同一号段）",
            "differ{third} from at least nine others called in the last two digits alone",
        ),
    ),
    "consent_peak": _of_noun(
        Bilingual("单个同意凭证被叫峰值", "Most callees of one consent"),
        Bilingual("单个同意凭证的被叫数峰值", "most callees reached under one consent id"),
        Bilingual(
            "以同一个同意凭证接通 {n} 个不同的被叫", "one consent id was used to reach {n} different callee{plural}"
        ),
        Bilingual("同一同意凭证接通的不同被叫数", "different callees reached under one consent id"),
    ),
    "complaints": _of_noun(
        Bilingual("投诉数", "Complaints"),
        Bilingual("投诉数", "complaints"),
        Bilingual("收到投诉 {n} 件", "{n} complaint{plural} {were} received"),
    ),
    "complaint_rate": _of_noun(
        Bilingual("投诉率", "Complaint rate"),
        Bilingual("投诉率", "complaint rate"),
        Bilingual("{d} 通接通电话收到投诉 {n} 件", "{n} complaint{plural} {were} received for {d} answered call{many}"),
        Bilingual("投诉", "complaints"),
    ),
    "complainants": _of_noun(
        Bilingual("投诉人数", "Complainants"),
        Bilingual("投诉人数", "complainants"),
        Bilingual("{n} 名不同的投诉人提出投诉", "{n} different complainant{plural} came forward"),
    ),
    "verified_complaints": _of_noun(
        Bilingual("核实投诉数", "Verified complaints"),
        Bilingual("核实投诉数", "verified complaints"),
        Bilingual("经核实的投诉 {n} 件", "{n} complaint{plural} {were} verified"),
    ),
    "verified_complaint_rate": _of_noun(
        Bilingual("核实投诉率", "Verified complaint rate"),
        Bilingual("核实投诉率", "verified complaint rate"),
        Bilingual(
            "{d} 通接通电话有经核实的投诉 {n} 件", "{n} complaint{plural} {were} verified for {d} answered call{many}"
        ),
        Bilingual("核实投诉", "verified complaints"),
    ),
}
"""The wording of each metric of `METRICS`, by its name."""
