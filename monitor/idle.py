"""Idle sources: when the clock of a silent source follows system time, and how far (section 3 of the contract)."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

CALLS: Final = "cdr"
"""The source whose feed may be away as a whole; the others hold back only by their ``idle_after``."""

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Seen:
    end: int
    since_ms: int


class Silence(Generic[K]):
    """Which logs are silent: seen without a break, look after look, to end where they ended ``idle_after`` ago.

    A log at which one cannot look is not silent: a broker or a network that was away, or a process that was stopped,
    begins to wait anew, so that what was held up meanwhile has the time to come.
    """

    def __init__(self, idle_after_ms: int) -> None:
        self._idle_after_ms = idle_after_ms
        self._looked_ms: int | None = None
        self._seen: dict[K, _Seen] = {}

    def look(self, at_ms: int, ends: Mapping[K, int]) -> None:
        """At ``at_ms`` (of a clock that only goes forward) the logs ended at these offsets."""
        # Half of the time to wait: the looks must be close enough to be one view.
        if self._looked_ms is None or not 0 <= at_ms - self._looked_ms <= self._idle_after_ms / 2:
            self._seen = {}
        self._looked_ms = at_ms
        seen = {}
        for log, end in ends.items():
            before = self._seen.get(log)
            seen[log] = before if before is not None and before.end == end else _Seen(end, at_ms)
        self._seen = seen

    def blind(self) -> None:
        """A look failed."""
        self._seen = {}

    def silent_ms(self, log: K) -> int:
        """For how long the log has been seen to be silent, 0 where it was not."""
        seen = self._seen.get(log)
        return 0 if seen is None or self._looked_ms is None else self._looked_ms - seen.since_ms

    def silent(self, log: K, position: int | None = None) -> bool:
        """Whether the log has been silent for long enough, and (with ``position``) was read to just its end.

        A position beyond the end that was seen is that of a record which has come since.
        """
        seen = self._seen.get(log)
        if seen is None or (position is not None and position != seen.end):
            return False
        return self.silent_ms(log) >= self._idle_after_ms


def feed_is_current(newest_ms: Iterable[int | None], now_ms: int, lateness_ms: int) -> bool:
    """Whether calls of the present come in: ``newest_ms`` are the event times of the newest call of each partition
    that is not silent (None: it is no call).

    After an outage the backlog comes first in some partitions, with old event times; the others must go on waiting
    for theirs.
    """
    newest = list(newest_ms)
    return bool(newest) and all(ms is not None and ms >= now_ms - lateness_ms for ms in newest)


def clock_ms(source: str, now_ms: int, outage_grace_ms: int, feed_current: bool) -> int:
    """Where the clock of a silent source is at ``now_ms``; ``feed_current``: calls come in elsewhere, or never will."""
    return now_ms if source != CALLS or feed_current else now_ms - outage_grace_ms
