"""What holds back the watermark of a partition: which source, why, and the command that ends it. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from monitor.decoding.decode import NO_CLOCK_MS
from monitor.decoding.input_topics import INPUTS
from monitor.partition.idleness import CALLS
from monitor.text.timestamps import rfc3339

USUAL_MS = 120_000
"""The usual delay of a watermark in addition to ``idle_after`` and the lateness."""


class HoldReason(Enum):
    """Why a source holds the watermark back."""

    OUTAGE_GRACE = "outage_grace"  # no calls come in any partition: the feed may have an outage
    OLD_RECORDS = "old_records"  # valid records come, with old event times that still rise
    UNREAD = "unread"  # there are unread records


@dataclass(frozen=True, slots=True)
class SourceState:
    """An observation of a source: its clock, whether it is silent, and the number of unread records."""

    clock_ms: int
    silent: bool
    unread: int


@dataclass(frozen=True, slots=True)
class WatermarkHold:
    """``source``, by its number in `monitor.decoding.input_topics.INPUTS`, holds the watermark back.

    ``until_ms`` is the latest time by which everything read will be decided, if known.
    """

    source: int
    reason: HoldReason
    clock_ms: int
    until_ms: int | None = None


def held_by(
    sources: Sequence[SourceState], now_ms: int, idle_after_ms: int, lateness_ms: int, grace_ms: int, last_ms: int
) -> WatermarkHold | None:
    """What holds the watermark back at ``now_ms`` beyond the usual delay; None if nothing does.

    ``last_ms`` is the largest event time read. If everything up to it is decided, nothing waits for the outage grace.
    """
    source = min(range(len(sources)), key=lambda number: (sources[number].clock_ms, number))
    least = sources[source]
    if least.clock_ms >= now_ms - idle_after_ms - USUAL_MS:
        return None
    if least.unread:
        return WatermarkHold(source, HoldReason.UNREAD, least.clock_ms)
    if not least.silent:
        return WatermarkHold(source, HoldReason.OLD_RECORDS, least.clock_ms)
    if INPUTS[source] != CALLS or last_ms < least.clock_ms - lateness_ms or last_ms == NO_CLOCK_MS:
        return None  # its clock is about to move, or nothing waits
    return WatermarkHold(source, HoldReason.OUTAGE_GRACE, least.clock_ms, last_ms + lateness_ms + grace_ms)


def sentence(hold: WatermarkHold, topic: str, number: int, since_ms: int) -> str:
    """The message for an operator. ``topic`` is the full name of the source, which holds back since ``since_ms``."""
    clock = rfc3339(hold.clock_ms) if hold.clock_ms > NO_CLOCK_MS else "the beginning"
    match hold.reason:
        case HoldReason.OUTAGE_GRACE:
            return (
                f"partition {number}: no calls arrive in any partition, and decisions wait for calls that may be "
                f"missing, until {rfc3339(hold.until_ms or 0)} at the latest; if no calls are missing: "
                "callwarden end-outage --reason WHY"
            )
        case HoldReason.OLD_RECORDS:
            return (
                f"partition {number}: {topic} holds decisions back: its clock is at {clock}, and has been behind since "
                f"{rfc3339(since_ms)}, because its records are old; let its producer catch up, or stop it: decisions "
                "do not wait for a silent source"
            )
        case HoldReason.UNREAD:
            return (
                f"partition {number}: {topic} is not read to its end, and decisions after {clock} wait for it; "
                "start more workers if callwarden_lag_records grows"
            )


def open_transaction(topic: str, number: int, offset: int, since_ms: int) -> str:
    """The message for an input in which a producer's transaction is open since ``since_ms``."""
    return (
        f"partition {number}: a producer's transaction in {topic} has been open since {rfc3339(since_ms)}, and no "
        f"record from offset {offset} on can be read; if its producer has ended: kafka-transactions.sh "
        f"--bootstrap-server SERVER abort --topic {topic} --partition {number} --start-offset {offset}"
    )
