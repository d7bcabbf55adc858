"""When a partition decides what it has read, if no more records come, and which source it waits for. Pure functions.

A clock that follows the broker's time is moved at the checks of its worker, so a decision comes up to one check later
than the time given here, and never earlier.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from monitor.decoding.input_topics import INPUTS
from monitor.partition.idleness import CALLS, QuietSource
from monitor.partition.task import StreamTask


class WaitCause(Enum):
    """Why decisions wait for a source."""

    LATENESS = "lateness"  # records may come late by so much
    SILENCE = "silence"  # it is not silent for `idle_after` yet
    OUTAGE_GRACE = "outage_grace"  # no calls come in any partition: the feed may have an outage
    UNREAD = "unread"  # it has unread records: the time is not known


@dataclass(frozen=True, slots=True)
class SourceForecast:
    """How the clock of a source advances without further records.

    From ``follows_from_ms`` on it is the broker's time less ``behind_ms``, and never below ``clock_ms``.
    ``follows_from_ms`` is None while there are unread records.
    """

    clock_ms: int
    follows_from_ms: int | None
    behind_ms: int = 0

    def reaches(self, clock_ms: int) -> int | None:
        """The broker's time at which the clock is at ``clock_ms``: 0 if it is already, None if not known."""
        if self.clock_ms >= clock_ms:
            return 0
        return None if self.follows_from_ms is None else max(self.follows_from_ms, clock_ms + self.behind_ms)


@dataclass(frozen=True, slots=True)
class DecisionTime:
    """Everything up to the event time ``until_ms`` is decided at the broker's time ``at_ms``, None if not known.

    It waits for ``source``, by its number in `monitor.decoding.input_topics.INPUTS`.
    """

    until_ms: int
    at_ms: int | None
    source: int
    cause: WaitCause


@dataclass(frozen=True, slots=True)
class DecisionForecast:
    """When what a partition has read is decided: its newest waiting record, and the windows with its newest call.

    ``windows`` has, for each step of the policy's rules, the first window end after the newest call that is not
    evaluated yet; later windows with the call follow at each step. None and empty: nothing waits.
    """

    record: DecisionTime | None
    windows: dict[int, DecisionTime]

    @property
    def last(self) -> DecisionTime | None:
        """The decision time that comes last; one that is not known is later than all others."""
        times = [*self.windows.values(), *([self.record] if self.record is not None else [])]
        return max(times, key=lambda one: (one.at_ms is None, one.at_ms or 0), default=None)


def source_forecast(
    clock_ms: int, unread: int, quiet: QuietSource, now_ms: int, idle_after_ms: int, behind_ms: int
) -> SourceForecast:
    """The forecast for a source that has been ``quiet`` at ``now_ms``, the broker's time."""
    follows_from_ms = now_ms - quiet.for_ms - quiet.ago_ms + idle_after_ms
    return SourceForecast(clock_ms, None if unread else follows_from_ms, behind_ms)


def grace_ms(source: int, outage_grace_ms: int, feed_current: bool, outage_ended: bool) -> int:
    """By how much the clock of a silent source is behind the broker's time (`monitor.partition.idleness.clock_ms`)."""
    return outage_grace_ms if INPUTS[source] == CALLS and not (feed_current or outage_ended) else 0


def forecast(task: StreamTask, sources: Sequence[SourceForecast], now_ms: int) -> DecisionForecast:
    """When the task decides what it has read; ``sources`` are forecasts of its sources at the broker's ``now_ms``."""
    shard, line = task.shard, task.policies.lateness
    record_ms, call_ms = shard.pending_records.newest_ms, shard.open_panes.newest_ms
    record = None
    if record_ms is not None:
        # Records are decided once the watermark is beyond their event time, windows once it is at their end.
        record = _reached(record_ms, line.clock_ms(record_ms + 1), sources, now_ms)
    windows = {}
    for step_ms in sorted({rule.step_ms for rule in task.policy.rules}) if call_ms >= 0 else ():
        end_ms = (call_ms // step_ms + 1) * step_ms
        if end_ms > task.watermark.decided_ms:
            windows[step_ms] = _reached(end_ms, line.clock_ms(end_ms), sources, now_ms)
    return DecisionForecast(record, windows)


def _reached(until_ms: int, clock_ms: int, sources: Sequence[SourceForecast], now_ms: int) -> DecisionTime:
    times = [one.reaches(clock_ms) for one in sources]
    unread = next((source for source, at_ms in enumerate(times) if at_ms is None), None)
    if unread is not None:
        return DecisionTime(until_ms, None, unread, WaitCause.UNREAD)
    known = [at_ms or 0 for at_ms in times]
    source = known.index(max(known))
    last = sources[source]
    if last.behind_ms and known[source] >= clock_ms + last.behind_ms:
        cause = WaitCause.OUTAGE_GRACE
    else:
        cause = WaitCause.SILENCE if known[source] == last.follows_from_ms else WaitCause.LATENESS
    return DecisionTime(until_ms, max(known[source], now_ms), source, cause)
