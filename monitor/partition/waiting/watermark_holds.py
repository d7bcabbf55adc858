"""What holds back the watermark of a partition: which source, why, and the command that ends it. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from monitor.decoding.source import NO_CLOCK_MS
from monitor.partition.waiting.decision_times import DecisionForecast, WaitCause
from monitor.partition.waiting.wait_wording import wait_text
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
    clock = rfc3339(hold.clock_ms) if hold.clock_ms > NO_CLOCK_MS else wait_text("beginning").en
    values = {"number": number, "topic": topic, "clock": clock, "since": rfc3339(since_ms)}
    return wait_text(hold.reason.value, **values).en


def outage_grace(waiting: DecisionForecast, number: int) -> str | None:
    """The message that decisions wait for calls that may be missing, and until when; None if they do not."""
    times = [one for one in (waiting.record, *waiting.windows.values()) if one is not None]
    if not any(one.cause is WaitCause.OUTAGE_GRACE for one in times):
        return None
    return wait_text("outage_grace", number=number, decided=_decided(waiting), command=END_OUTAGE).en


def _decided(waiting: DecisionForecast) -> str:
    """When records and windows are decided; empty if that is not known of either."""
    windows = _windows(waiting)
    if waiting.record is None or waiting.record.at_ms is None:
        return windows
    times = {"until": rfc3339(waiting.record.until_ms), "at": rfc3339(waiting.record.at_ms)}
    if not windows:
        return wait_text("records_decided", **times).en
    return wait_text("records_and_windows", **times, windows=windows).en


def _windows(waiting: DecisionForecast) -> str:
    windows = [(step_ms, one.at_ms) for step_ms, one in waiting.windows.items() if one.at_ms is not None]
    if not windows:
        return ""
    (first_ms, from_ms), (last_ms, to_ms) = windows[0], windows[-1]
    if first_ms == last_ms:
        return wait_text("windows_evaluated", at=rfc3339(from_ms)).en
    steps = {"first": format_duration(first_ms), "last": format_duration(last_ms)}
    return wait_text("windows_evaluated_by_step", from_at=rfc3339(from_ms), to_at=rfc3339(to_ms), **steps).en


def open_transaction(topic: str, number: int, offset: int, since_ms: int) -> str:
    """The message for an input in which a producer's transaction is open since ``since_ms``."""
    command = (
        f"kafka-transactions.sh --bootstrap-server SERVER abort --topic {topic} --partition {number} "
        f"--start-offset {offset}"
    )
    values = {"number": number, "topic": topic, "since": rfc3339(since_ms), "offset": offset, "command": command}
    return wait_text("open_transaction", **values).en
