"""What holds back the watermark of a partition: which source, why, and the command that ends it. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from monitor.decoding.source import NO_CLOCK_MS
from monitor.partition.waiting.decision_times import DecisionForecast, WaitCause
from monitor.text.durations import format_duration
from monitor.text.timestamps import rfc3339

END_OUTAGE = "callwarden end-outage --reason WHY"
"""The command that brings decisions forward that wait for the outage grace."""

USUAL_MS = 120_000
"""The usual delay of a watermark in addition to ``idle_after`` and the lateness."""


class HoldReason(Enum):
    """Why a source holds the watermark back."""

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
    """``source``, by its number in `monitor.decoding.input_topics.INPUTS`, holds the watermark back."""

    source: int
    reason: HoldReason
    clock_ms: int


def held_by(sources: Sequence[SourceState], now_ms: int, idle_after_ms: int) -> WatermarkHold | None:
    """The source that holds the watermark back at ``now_ms`` beyond the usual delay; None if none does.

    A silent source is none of them: its clock follows the time, for calls less the outage grace.
    """
    source = min(range(len(sources)), key=lambda number: (sources[number].clock_ms, number))
    least = sources[source]
    if least.clock_ms >= now_ms - idle_after_ms - USUAL_MS:
        return None
    if least.unread:
        return WatermarkHold(source, HoldReason.UNREAD, least.clock_ms)
    return None if least.silent else WatermarkHold(source, HoldReason.OLD_RECORDS, least.clock_ms)


def sentence(hold: WatermarkHold, topic: str, number: int, since_ms: int) -> str:
    """The message for an operator. ``topic`` is the full name of the source, which holds back since ``since_ms``."""
    clock = rfc3339(hold.clock_ms) if hold.clock_ms > NO_CLOCK_MS else "the beginning"
    match hold.reason:
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


def outage_grace(waiting: DecisionForecast, number: int) -> str | None:
    """The message that decisions wait for calls that may be missing, and until when; None if they do not."""
    times = [one for one in (waiting.record, *waiting.windows.values()) if one is not None]
    if not any(one.cause is WaitCause.OUTAGE_GRACE for one in times):
        return None
    decided = []
    if waiting.record is not None and waiting.record.at_ms is not None:
        until = rfc3339(waiting.record.until_ms)
        decided.append(f"complaints and other records up to {until} are decided at {rfc3339(waiting.record.at_ms)}")
    windows = [(step_ms, one.at_ms) for step_ms, one in waiting.windows.items() if one.at_ms is not None]
    if windows:
        (first_ms, from_ms), (last_ms, to_ms) = windows[0], windows[-1]
        at = f"at {rfc3339(from_ms)}"
        if first_ms != last_ms:
            steps = format_duration(first_ms), format_duration(last_ms)
            at = f"from {rfc3339(from_ms)} (rules with a step of {steps[0]}) to {rfc3339(to_ms)} ({steps[1]})"
        decided.append(f"windows with the newest calls are evaluated {at}")
    return (
        f"partition {number}: no calls arrive in any partition, and decisions wait for calls that may be missing: "
        f"{', '.join(decided)}, if no more calls come; if no calls are missing: {END_OUTAGE}"
    )


def open_transaction(topic: str, number: int, offset: int, since_ms: int) -> str:
    """The message for an input in which a producer's transaction is open since ``since_ms``."""
    return (
        f"partition {number}: a producer's transaction in {topic} has been open since {rfc3339(since_ms)}, and no "
        f"record from offset {offset} on can be read; if its producer has ended: kafka-transactions.sh "
        f"--bootstrap-server SERVER abort --topic {topic} --partition {number} --start-offset {offset}"
    )
