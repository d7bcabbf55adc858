"""Section 4: every metric by its definition over lists of calls and complaints, and the calls behind it."""

import math
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import NormalDist
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

Call = dict[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Seen(NamedTuple):
    """The content of one window: its calls, and the complaints that it counts (without dismissed ones)."""

    calls: list[Call]
    first: list[dict[str, Any]]  # complaints whose first record is in the window
    verified: list[dict[str, Any]]  # complaints whose verified record is in the window


class Params(NamedTuple):
    """`short_call_s` in ms, `callee_limit`, `timezone`, `short_ring_s` in ms."""

    short_call_ms: float
    callee_limit: int
    timezone: str
    short_ring_ms: float


def is_attempt(c: Call) -> bool:
    return bool(c["direction"] == "outbound" and c["outcome"] != "policy_blocked")


def is_answered(c: Call) -> bool:
    return bool(c["direction"] == "outbound" and c["outcome"] == "answered")


def is_inbound(c: Call) -> bool:
    return bool(c["direction"] == "inbound")


def talk_ms(c: Call) -> int:
    talk: int = c["end_ms"] - c["answer_ms"]
    return talk


def out_of_hours(c: Call, timezone: str) -> bool:
    local = (EPOCH + timedelta(milliseconds=c["start_ms"])).astimezone(ZoneInfo(timezone))
    return not 8 <= local.hour < 21


def is_refused(c: Call) -> bool:
    """Rejected, or answered and released by the callee with d <= 10 s."""
    if c["outcome"] == "rejected":
        return True
    return is_answered(c) and c["hangup_by"] == "callee" and talk_ms(c) <= 10_000


Test = Callable[[Call, Params], bool]


def _outcome(*names: str) -> Test:
    return lambda c, p: is_attempt(c) and c["outcome"] in names


# metric -> (which calls the numerator counts, which the denominator; None for counts)
OF_CALLS: dict[str, tuple[Test, Test | None]] = {
    "attempts": (lambda c, p: is_attempt(c), None),
    "answered": (lambda c, p: is_answered(c), None),
    "policy_blocked": (lambda c, p: c["direction"] == "outbound" and c["outcome"] == "policy_blocked", None),
    "asr": (lambda c, p: is_answered(c), lambda c, p: is_attempt(c)),
    "ner": (_outcome("answered", "busy", "no_answer", "rejected"), lambda c, p: is_attempt(c)),
    "short_call_ratio": (
        lambda c, p: is_answered(c) and 0 < talk_ms(c) <= p.short_call_ms,
        lambda c, p: is_answered(c),
    ),
    "zero_second_ratio": (lambda c, p: is_answered(c) and talk_ms(c) == 0, lambda c, p: is_answered(c)),
    "long_call_ratio": (lambda c, p: is_answered(c) and talk_ms(c) >= 60_000, lambda c, p: is_answered(c)),
    "invalid_number_ratio": (_outcome("invalid_number"), lambda c, p: is_attempt(c)),
    "reject_ratio": (_outcome("rejected"), lambda c, p: is_attempt(c)),
    "cancel_ratio": (_outcome("cancelled"), lambda c, p: is_attempt(c)),
    "carrier_blocked_ratio": (_outcome("carrier_blocked"), lambda c, p: is_attempt(c)),
    "callee_hangup_ratio": (
        lambda c, p: is_answered(c) and c["hangup_by"] == "callee" and talk_ms(c) <= 10_000,
        lambda c, p: is_answered(c),
    ),
    "out_of_hours_ratio": (
        lambda c, p: is_attempt(c) and out_of_hours(c, p.timezone),
        lambda c, p: is_attempt(c),
    ),
    "short_cancel_ratio": (
        lambda c, p: (
            is_attempt(c)
            and c["outcome"] == "cancelled"
            and c["ring_ms"] is not None
            and c["end_ms"] - c["ring_ms"] <= p.short_ring_ms
        ),
        lambda c, p: is_attempt(c),
    ),
    "out_of_hours_reject_ratio": (
        lambda c, p: is_attempt(c) and out_of_hours(c, p.timezone) and is_refused(c),
        lambda c, p: is_attempt(c) and out_of_hours(c, p.timezone),
    ),
    "consent_coverage": (lambda c, p: is_answered(c) and c["consent_id"] is not None, lambda c, p: is_answered(c)),
    "abandon_ratio": (lambda c, p: is_inbound(c) and c["outcome"] == "cancelled", lambda c, p: is_inbound(c)),
}
IN_SECONDS = {"acd_s", "pdd_s", "median_talk_s"}
OF_PARTIES = {
    "distinct_callee_ratio",
    "sequential_ratio",
    "callee_over_limit",
    "caller_peak",
    "callee_peak",
    "callers",
    "calls_per_caller",
    "top_callee_share",
    "block_ratio",
    "consent_peak",
}
OF_COMPLAINTS = {
    "complaints",
    "complaint_rate",
    "complainants",
    "verified_complaints",
    "verified_complaint_rate",
}
COUNTS = {
    "attempts",
    "answered",
    "policy_blocked",
    "callee_over_limit",
    "caller_peak",
    "callee_peak",
    "callers",
    "consent_peak",
    "complaints",
    "complainants",
    "verified_complaints",
}
QUOTIENTS = {"calls_per_caller"}
"""Neither counts nor shares: values have no largest one."""
ALL = sorted({*OF_CALLS, *IN_SECONDS, *OF_PARTIES, *OF_COMPLAINTS})
NUMBER = re.compile(r"\+?[0-9]+")


def _rang(c: Call) -> bool:
    return is_attempt(c) and c["ring_ms"] is not None


def number_before(number: str) -> str | None:
    """The number less 1, with the same plus and number of digits; None if there is none."""
    plus = "+" if number[0] == "+" else ""
    digits = number[len(plus) :]
    return plus + str(int(digits) - 1).zfill(len(digits)) if int(digits) > 0 else None


def median_talk_ms(talks: list[int]) -> int:
    """The ceil(C/2)-th smallest, with all binary digits after the five highest set to 0; 0 if there is none."""
    if not talks:
        return 0
    digits = f"{sorted(talks)[math.ceil(len(talks) / 2) - 1]:b}"
    return int(digits[:5] + "0" * len(digits[5:]), 2)


def _distinct_keys(metric: str, seen: Seen, params: Params) -> tuple[int, int | None]:
    attempts = [c for c in seen.calls if is_attempt(c)]
    callees = [c["callee"] for c in attempts]
    distinct = set(callees)
    if metric == "distinct_callee_ratio":
        return len(distinct), len(attempts)
    if metric == "sequential_ratio":
        numbers = {c for c in distinct if NUMBER.fullmatch(c)}
        return len([n for n in numbers if number_before(n) in distinct]), len(numbers)
    if metric == "callee_over_limit":
        return len([n for n in Counter(callees).values() if n > params.callee_limit]), None
    if metric == "callee_peak":
        return max(Counter(callees).values(), default=0), None
    answered = [c for c in seen.calls if is_answered(c)]
    if metric == "top_callee_share":
        return sum(sorted(Counter(c["callee"] for c in answered).values())[-10:]), len(answered)
    if metric == "block_ratio":
        numbers = {c for c in distinct if NUMBER.fullmatch(c)}
        blocks = Counter(n[:-2] for n in numbers if len(n.lstrip("+")) >= 3)
        return sum(size for size in blocks.values() if size >= 10), len(numbers)
    if metric == "consent_peak":
        reached: dict[str, set[str]] = {}
        for c in answered:
            if c["consent_id"] is not None:
                reached.setdefault(c["consent_id"], set()).add(c["callee"])
        return max(map(len, reached.values()), default=0), None
    callers = Counter(c["caller"] for c in attempts)
    if metric == "callers":
        return len(callers), None
    if metric == "calls_per_caller":
        return len(attempts), len(callers)
    return max(callers.values(), default=0), None


def measure(metric: str, seen: Seen, params: Params) -> tuple[int, int | None, float | None]:
    """Numerator, denominator (None for counts), value (None if the denominator is 0)."""
    scale = 1
    den: int | None
    if metric in OF_CALLS:
        top, bottom = OF_CALLS[metric]
        num = len([c for c in seen.calls if top(c, params)])
        den = None if bottom is None else len([c for c in seen.calls if bottom(c, params)])
    elif metric == "acd_s":
        talks = [talk_ms(c) for c in seen.calls if is_answered(c)]
        num, den, scale = sum(talks), len(talks), 1000
    elif metric == "pdd_s":
        waits = [c["ring_ms"] - c["start_ms"] for c in seen.calls if _rang(c)]
        num, den, scale = sum(waits), len(waits), 1000
    elif metric == "median_talk_s":
        talks = [talk_ms(c) for c in seen.calls if is_answered(c)]
        num, den = median_talk_ms(talks), len(talks)
        return num, den, (num / 1000 if den else None)
    elif metric in OF_PARTIES:
        num, den = _distinct_keys(metric, seen, params)
    else:
        if metric == "complainants":
            num = len({c["complainant"] for c in seen.first if c["complainant"] is not None})
        else:
            num = len(seen.verified if metric.startswith("verified") else seen.first)
        den = len([c for c in seen.calls if is_answered(c)]) if metric.endswith("_rate") else None
    if den is None:
        return num, None, float(num)
    return num, den, (num / (scale * den) if den else None)


def behind(metric: str, direction: str, seen: Seen, params: Params) -> tuple[list[Call], list[dict[str, Any]]]:
    """Calls and complaints that are the evidence: the numerator's for `above`, the rest of the denominator's for
    `below`.

    For metrics in seconds, all calls of the denominator, either way.
    """
    above = direction == "above"
    if metric in OF_CALLS:
        top, bottom = OF_CALLS[metric]
        if above:
            return [c for c in seen.calls if top(c, params)], []
        if bottom is None:
            return [], []
        return [c for c in seen.calls if bottom(c, params) and not top(c, params)], []
    if metric in {"acd_s", "median_talk_s"}:
        return [c for c in seen.calls if is_answered(c)], []
    if metric == "pdd_s":
        return [c for c in seen.calls if _rang(c)], []
    if metric in OF_PARTIES:
        return [], []
    if not above:
        return [], []  # "none for counts and metrics of complaints"
    if metric == "complainants":
        return [], [c for c in seen.first if c["complainant"] is not None]
    return [], (seen.verified if metric.startswith("verified") else seen.first)


def wilson(numerator: int, denominator: int, confidence: float, direction: str) -> float:
    """The one-sided Wilson bound: the lower one for `above`, the upper one for `below`. p is capped at 1."""
    z = NormalDist().inv_cdf(confidence)
    n = denominator
    p = min(1.0, numerator / n)
    centre = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (centre - spread if direction == "above" else centre + spread) / (1 + z * z / n)
