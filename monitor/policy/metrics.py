"""The metric table: each metric's numerator and denominator. Source: section 4 of the contract."""

from dataclasses import dataclass
from typing import Literal

Family = Literal["calls", "parties", "complaints"]
Unit = Literal["count", "ratio", "seconds"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as a pair of field names.

    ``numerator`` and ``denominator`` name additive fields of `monitor.core.calls.fields` (family ``calls``), or values
    of the tally (``parties``) or the complaint register (``complaints``). A null denominator makes it a count.
    ``proportion`` metrics may have a confidence. The wording is in `monitor.policy.metric_wording`.
    """

    name: str
    family: Family
    numerator: str
    denominator: str | None
    proportion: bool
    unit: Unit

    @property
    def scale(self) -> int:
        """The factor of the denominator: 1000 to convert ms to seconds."""
        return 1000 if self.unit == "seconds" else 1


def _calls(name: str, numerator: str, denominator: str | None, unit: Unit = "ratio") -> Metric:
    return Metric(name, "calls", numerator, denominator, unit == "ratio", unit)


_TABLE = (
    _calls("attempts", "attempts", None, "count"),
    _calls("answered", "answered", None, "count"),
    _calls("policy_blocked", "policy_blocked", None, "count"),
    _calls("asr", "answered", "attempts"),
    _calls("acd_s", "talk_ms", "answered", "seconds"),
    _calls("ner", "network_effective", "attempts"),
    _calls("pdd_s", "ring_delay_ms", "rang", "seconds"),
    _calls("short_call_ratio", "short", "answered"),
    _calls("zero_second_ratio", "zero_second", "answered"),
    _calls("long_call_ratio", "long", "answered"),
    _calls("invalid_number_ratio", "invalid_number", "attempts"),
    _calls("reject_ratio", "rejected", "attempts"),
    _calls("cancel_ratio", "cancelled", "attempts"),
    _calls("carrier_blocked_ratio", "carrier_blocked", "attempts"),
    _calls("callee_hangup_ratio", "callee_hangup", "answered"),
    _calls("out_of_hours_ratio", "out_of_hours", "attempts"),
    _calls("consent_coverage", "consented", "answered"),
    _calls("abandon_ratio", "inbound_cancelled", "inbound"),
    Metric("distinct_callee_ratio", "parties", "distinct_callees", "attempts", False, "ratio"),
    Metric("sequential_ratio", "parties", "sequential_callees", "numeric_callees", False, "ratio"),
    Metric("callee_over_limit", "parties", "callees_over_limit", None, False, "count"),
    Metric("caller_peak", "parties", "caller_peak", None, False, "count"),
    Metric("complaints", "complaints", "complaints", None, False, "count"),
    Metric("complaint_rate", "complaints", "complaints", "answered", True, "ratio"),
    Metric("complainants", "complaints", "complainants", None, False, "count"),
    Metric("verified_complaints", "complaints", "verified", None, False, "count"),
    Metric("verified_complaint_rate", "complaints", "verified", "answered", True, "ratio"),
)

METRICS: dict[str, Metric] = {m.name: m for m in _TABLE}
