"""Idle sources: when the clock of a silent source follows broker time, and how far (section 3 of the contract)."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

CALLS: Final = "cdr"
"""The source whose feed may be away as a whole; the others hold back only by their ``idle_after``."""

_MOST_LOOKS = 40  # different ends of one log that are kept; a reader further behind than that is not at its end

K = TypeVar("K", bound=Hashable)


class ReadProgress(NamedTuple):
    """How far a log was read: everything before ``position``; no record from ``led`` on shows that it is not silent
    (`monitor.partition.source_position.SourceProgress.reads`)."""

    position: int
    led: int


class QuietSource(NamedTuple):
    """For how long a log has been silent, up to ``ago_ms`` before the last look."""

    for_ms: int = 0
    ago_ms: int = 0


@dataclass(slots=True)
class _Seen:
    """The log ended at ``end`` from the first to the last of some looks."""

    end: int
    first_ms: int
    last_ms: int


class SilentSources(Generic[K]):
    """Which logs are silent: over ``idle_after``, look after look, they brought nothing that says otherwise.

    What counts is what was read, not that a log grew: rejected records, aborted transactions and markers are silence.
    So are late calls, and other records whose event time is not beyond that of all records before them: they move no
    clock, and a writer of such records, however many, must not hold back all other sources. Their own event times
    count, and not the clock, which may have followed the broker's time: records a little behind end the silence.
    A log of which only the ends are known is silent while these stay the same. A log at which one cannot look is not
    silent: after an outage of the broker or the network, or a stop of the process, the wait begins again, so that what
    was held up has time to arrive.
    """

    def __init__(self, idle_after_ms: int) -> None:
        self.idle_after_ms = idle_after_ms
        self._looked_ms: int | None = None
        self._seen: dict[K, list[_Seen]] = {}

    def look(self, at_ms: int, ends: Mapping[K, int]) -> None:
        """At ``at_ms`` (of a clock that only goes forward) the logs ended at these offsets."""
        # Half of the time to wait: the looks must be close enough to be one view.
        if self._looked_ms is None or not 0 <= at_ms - self._looked_ms <= self.idle_after_ms / 2:
            self._seen = {}
        self._looked_ms = at_ms
        self._seen = {log: self._add(self._seen.get(log, []), end, at_ms) for log, end in ends.items()}

    @staticmethod
    def _add(seen: list[_Seen], end: int, at_ms: int) -> list[_Seen]:
        if seen and end < seen[-1].end:
            seen = []  # the log was created again
        if seen and end == seen[-1].end:
            seen[-1].last_ms = at_ms
        else:
            seen.append(_Seen(end, at_ms, at_ms))
        if len(seen) > _MOST_LOOKS:
            del seen[1]  # the first says since when it is silent, the last ones up to when
        return seen

    def blind(self) -> None:
        """A look failed."""
        self._seen = {}

    def quiet(self, log: K, reading: ReadProgress | None = None) -> QuietSource:
        """For how long the log has been silent, as far as it was read; without ``reading``, by its ends alone.

        Records behind the last look count only once the next look has seen them.
        """
        seen = self._seen.get(log)
        if not seen or self._looked_ms is None:
            return QuietSource()
        position, led = reading if reading is not None else (seen[-1].end, seen[-1].end)
        while reading is not None and len(seen) > 1 and seen[0].end < led:
            del seen[0]  # a record of a later time has come since
        read = [one for one in seen if led <= one.end <= position]
        if not read:
            return QuietSource()
        return QuietSource(read[-1].last_ms - read[0].first_ms, self._looked_ms - read[-1].last_ms)

    def silent(self, log: K, reading: ReadProgress | None = None) -> bool:
        """Whether the log has been silent for long enough."""
        return self.quiet(log, reading).for_ms >= self.idle_after_ms > 0


def feed_is_current(newest_ms: Iterable[int | None], now_ms: int, lateness_ms: int) -> bool:
    """Whether calls of the present come in: ``newest_ms`` are the event times of the newest call of each partition
    that is not silent (None: no valid call is known).

    After an outage the backlog comes first in some partitions, with old event times; the others must go on waiting
    for theirs.
    """
    newest = list(newest_ms)
    return bool(newest) and all(ms is not None and ms >= now_ms - lateness_ms for ms in newest)


def clock_ms(source: str, now_ms: int, outage_grace_ms: int, feed_current: bool) -> int:
    """Where the clock of a silent source is at ``now_ms``; ``feed_current``: calls come in elsewhere, or never will."""
    return now_ms if source != CALLS or feed_current else now_ms - outage_grace_ms
