"""The metric table: each metric's numerator, denominator and wording. Source: section 4 of the contract."""

from dataclasses import dataclass
from typing import Literal

Family = Literal["calls", "parties", "complaints"]
Unit = Literal["count", "ratio", "seconds"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as a pair of field names.

    ``numerator`` and ``denominator`` name additive fields of `monitor.core.calls.fields` (family ``calls``), or values
    of the tally (``parties``) or the complaint register (``complaints``). A null denominator makes it a count.
    ``proportion`` metrics may have a confidence. ``zh`` and ``en`` name what the numerator counts.
    """

    name: str
    family: Family
    numerator: str
    denominator: str | None
    proportion: bool
    unit: Unit
    zh: str
    en: str

    @property
    def scale(self) -> int:
        """The factor of the denominator: 1000 to convert ms to seconds."""
        return 1000 if self.unit == "seconds" else 1


def _calls(name: str, numerator: str, denominator: str | None, zh: str, en: str, unit: Unit = "ratio") -> Metric:
    return Metric(name, "calls", numerator, denominator, unit == "ratio", unit, zh, en)


_TABLE = (
    _calls("attempts", "attempts", None, "外呼尝试数", "outbound attempts", "count"),
    _calls("answered", "answered", None, "接通数", "answered calls", "count"),
    _calls("policy_blocked", "policy_blocked", None, "被策略拦截的呼叫数", "calls blocked by policy", "count"),
    _calls("asr", "answered", "attempts", "接通", "were answered"),
    _calls("acd_s", "talk_ms", "answered", "平均通话时长", "average call duration", "seconds"),
    _calls("ner", "network_effective", "attempts", "网络有效", "reached a person or a busy line"),
    _calls("pdd_s", "ring_delay_ms", "rang", "平均拨号后延迟", "average post-dial delay", "seconds"),
    _calls("short_call_ratio", "short", "answered", "通话极短", "were short"),
    _calls("zero_second_ratio", "zero_second", "answered", "通话时长为零", "lasted zero seconds"),
    _calls("long_call_ratio", "long", "answered", "通话达 60 秒", "lasted at least 60 s"),
    _calls("invalid_number_ratio", "invalid_number", "attempts", "拨打空号", "went to invalid numbers"),
    _calls("reject_ratio", "rejected", "attempts", "被拒接", "were rejected"),
    _calls("cancel_ratio", "cancelled", "attempts", "主叫取消", "were cancelled"),
    _calls("carrier_blocked_ratio", "carrier_blocked", "attempts", "被运营商拦截", "were blocked by carriers"),
    _calls(
        "callee_hangup_ratio",
        "callee_hangup",
        "answered",
        "被叫在 10 秒内挂断",
        "were ended by the callee within 10 s",
    ),
    _calls("out_of_hours_ratio", "out_of_hours", "attempts", "在时段外拨打", "began out of hours"),
    _calls("consent_coverage", "consented", "answered", "有同意凭证", "carried a consent id"),
    _calls("abandon_ratio", "inbound_cancelled", "inbound", "被放弃", "were abandoned"),
    Metric(
        "distinct_callee_ratio",
        "parties",
        "distinct_callees",
        "attempts",
        False,
        "ratio",
        "不同被叫",
        "distinct callees",
    ),
    Metric(
        "sequential_ratio",
        "parties",
        "sequential_callees",
        "numeric_callees",
        False,
        "ratio",
        "连号被叫",
        "callees whose number follows another's",
    ),
    Metric(
        "callee_over_limit",
        "parties",
        "callees_over_limit",
        None,
        False,
        "count",
        "超频被叫数",
        "callees called too often",
    ),
    Metric(
        "caller_peak",
        "parties",
        "caller_peak",
        None,
        False,
        "count",
        "单号最高外呼数",
        "attempts by the busiest number",
    ),
    Metric("complaints", "complaints", "complaints", None, False, "count", "投诉数", "complaints"),
    Metric("complaint_rate", "complaints", "complaints", "answered", True, "ratio", "投诉", "complaints"),
    Metric("complainants", "complaints", "complainants", None, False, "count", "投诉人数", "complainants"),
    Metric(
        "verified_complaints",
        "complaints",
        "verified",
        None,
        False,
        "count",
        "核实投诉数",
        "verified complaints",
    ),
    Metric(
        "verified_complaint_rate",
        "complaints",
        "verified",
        "answered",
        True,
        "ratio",
        "核实投诉",
        "verified complaints",
    ),
)

METRICS: dict[str, Metric] = {m.name: m for m in _TABLE}
