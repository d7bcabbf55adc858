"""The metric table: each metric's numerator and denominator. Source: section 4 of the contract."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Family = Literal["calls", "talk", "distinct", "complaints"]
Unit = Literal["count", "ratio", "seconds", "quotient"]
KeySet = Literal["callees", "callers", "blocks", "reached", "consents"]
"""A set of keys that is counted per tenant: the callees of attempts, their callers, their callees that are numbers by
block of a hundred, the callees of answered calls, and their pairs of consent and callee."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as a pair of field names.

    ``numerator`` and ``denominator`` name additive fields of `monitor.core.calls.fields` (family ``calls``), or values
    of the histogram of talk times (``talk``), `DISTINCT_COUNTS` (``distinct``) or the complaint register
    (``complaints``). A null denominator makes it a count.
    A ``ratio`` is a share of its denominator, a ``quotient`` any number per unit of it.
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

    @property
    def divided(self) -> bool:
        """Whether the value is the numerator divided by the denominator. A median only needs one that is not 0."""
        return self.family != "talk"


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
    _calls("short_cancel_ratio", "short_cancelled", "attempts"),
    _calls("carrier_blocked_ratio", "carrier_blocked", "attempts"),
    _calls("callee_hangup_ratio", "callee_hangup", "answered"),
    _calls("out_of_hours_ratio", "out_of_hours", "attempts"),
    _calls("out_of_hours_reject_ratio", "out_of_hours_refused", "out_of_hours"),
    _calls("consent_coverage", "consented", "answered"),
    _calls("abandon_ratio", "inbound_cancelled", "inbound"),
    Metric("median_talk_s", "talk", "median_talk_ms", "answered", False, "seconds"),
    Metric("distinct_callee_ratio", "distinct", "distinct_callees", "attempts", False, "ratio"),
    Metric("sequential_ratio", "distinct", "sequential_callees", "numeric_callees", False, "ratio"),
    Metric("callee_over_limit", "distinct", "callees_over_limit", None, False, "count"),
    Metric("caller_peak", "distinct", "caller_peak", None, False, "count"),
    Metric("callee_peak", "distinct", "callee_peak", None, False, "count"),
    Metric("callers", "distinct", "callers", None, False, "count"),
    Metric("calls_per_caller", "distinct", "attempts", "callers", False, "quotient"),
    Metric("top_callee_share", "distinct", "top_callees", "answered", False, "ratio"),
    Metric("block_ratio", "distinct", "callees_in_blocks", "block_numbers", False, "ratio"),
    Metric("consent_peak", "distinct", "consent_peak", None, False, "count"),
    Metric("complaints", "complaints", "complaints", None, False, "count"),
    Metric("complaint_rate", "complaints", "complaints", "answered", True, "ratio"),
    Metric("complainants", "complaints", "complainants", None, False, "count"),
    Metric("verified_complaints", "complaints", "verified", None, False, "count"),
    Metric("verified_complaint_rate", "complaints", "verified", "answered", True, "ratio"),
)

METRICS: dict[str, Metric] = {m.name: m for m in _TABLE}

DISTINCT_COUNTS: Final[dict[str, tuple[KeySet, str]]] = {
    "distinct_callees": ("callees", "distinct"),
    "numeric_callees": ("callees", "numbers"),
    "sequential_callees": ("callees", "sequential"),
    "callees_over_limit": ("callees", "over"),
    "callee_peak": ("callees", "peak"),
    "caller_peak": ("callers", "peak"),
    "callers": ("callers", "distinct"),
    "top_callees": ("reached", "top"),
    "callees_in_blocks": ("blocks", "in_blocks"),
    "block_numbers": ("blocks", "distinct"),
    "consent_peak": ("consents", "widest"),
}
"""The numerators and denominators that count distinct keys: the set of keys, and which count of it
(`monitor.core.windows.distinct`). ``over`` is a count for each `callee_limit`."""


def key_sets(metrics: Iterable[str]) -> set[KeySet]:
    """The sets of keys that these metrics count. Callees and callers of attempts are kept together."""
    counted = [METRICS[name] for name in metrics]
    names = [name for metric in counted for name in (metric.numerator, metric.denominator) if name is not None]
    found = {DISTINCT_COUNTS[name][0] for name in names if name in DISTINCT_COUNTS}
    return found | {"callees", "callers"} if found & {"callees", "callers"} else found
