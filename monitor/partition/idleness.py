"""Idle sources: when the clock of a silent source follows broker time, and how closely (section 3 of the contract)."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

CALLS: Final = "cdr"
"""The source whose whole feed may have an outage. The others hold the watermark back only for ``idle_after``."""

_MOST_OBSERVATIONS = 40  # distinct ends kept per log; a reader further behind than that is not at the end of the log

K = TypeVar("K", bound=Hashable)


class ReadProgress(NamedTuple):
    """How far a log was read: everything before ``position``. No record from ``led`` on shows activity
    (`monitor.partition.source_position.SourceProgress.reads`)."""

    position: int
    led: int


class QuietSource(NamedTuple):
    """How long a log has been silent, up to ``ago_ms`` before the last observation."""

    for_ms: int = 0
    ago_ms: int = 0


@dataclass(slots=True)
class _Seen:
    """The log ended at ``end`` from the first to the last of consecutive observations."""

    end: int
    first_ms: int
    last_ms: int


class SilentSources(Generic[K]):
    """Which logs are silent: those without activity in all observations over ``idle_after``.

    Activity depends on what was read, not on log growth: rejected records, aborted transactions and markers are
    silence. So are late calls, and other records whose event time is not after that of all earlier records. These do
    not move a clock, and no number of them may hold back the other sources. Event times are compared with each other
    and not with the clock, which may have followed broker time: records a little behind it end the silence.
    If only the ends of a log are known, it is silent while they do not change. A log that cannot be observed is not
    silent. After an outage of the broker or the network, or a pause of the process, the wait starts again, so that
    delayed records have time to arrive.
    """

    def __init__(self, idle_after_ms: int) -> None:
        self.idle_after_ms = idle_after_ms
        self._observed_ms: int | None = None
        self._seen: dict[K, list[_Seen]] = {}
        # By log, for how far it was read; each check asks several times.
        self._quiet: dict[K, tuple[ReadProgress | None, QuietSource]] = {}

    def observe(self, at_ms: int, ends: Mapping[K, int]) -> None:
        """Record that the logs ended at these offsets at ``at_ms``, on a monotonic clock."""
        # Observations must be close enough together to show continuous silence: at most half of the wait.
        if self._observed_ms is None or not 0 <= at_ms - self._observed_ms <= self.idle_after_ms / 2:
            self._seen = {}
        self._observed_ms = at_ms
        self._quiet = {}
        self._seen = {log: self._add(self._seen.get(log, []), end, at_ms) for log, end in ends.items()}

    @staticmethod
    def _add(seen: list[_Seen], end: int, at_ms: int) -> list[_Seen]:
        if seen and end < seen[-1].end:
            seen = []  # the log was recreated
        if seen and end == seen[-1].end:
            seen[-1].last_ms = at_ms
        else:
            seen.append(_Seen(end, at_ms, at_ms))
        if len(seen) > _MOST_OBSERVATIONS:
            del seen[1]  # the first marks the start of the silence, the last ones its end
        return seen

    def blind(self) -> None:
        """Record that an observation failed."""
        self._seen, self._quiet = {}, {}

    def quiet(self, log: K, reading: ReadProgress | None = None) -> QuietSource:
        """How long the log has been silent, as far as it was read; without ``reading``, by its ends alone.

        Records after the last observation count only after the next one.
        """
        known = self._quiet.get(log)
        if known is None or known[0] != reading:
            known = self._quiet[log] = reading, self._find_quiet(log, reading)
        return known[1]

    def _find_quiet(self, log: K, reading: ReadProgress | None) -> QuietSource:
        seen = self._seen.get(log)
        if not seen or self._observed_ms is None:
            return QuietSource()
        position, led = reading if reading is not None else (seen[-1].end, seen[-1].end)
        while reading is not None and len(seen) > 1 and seen[0].end < led:
            del seen[0]  # a record with activity came since
        read = [one for one in seen if led <= one.end <= position]
        if not read:
            return QuietSource()
        return QuietSource(read[-1].last_ms - read[0].first_ms, self._observed_ms - read[-1].last_ms)

    def silent(self, log: K, reading: ReadProgress | None = None) -> bool:
        """Whether the log has been silent for long enough."""
        return self.quiet(log, reading).for_ms >= self.idle_after_ms > 0


def feed_is_current(newest_ms: Iterable[int | None], now_ms: int, lateness_ms: int) -> bool:
    """Whether the feed delivers current calls: ``newest_ms`` is the event time of the newest call of each partition
    that is not silent (None: no valid call is known).

    After an outage, some partitions receive the backlog first, with old event times. The others must keep waiting for
    theirs.
    """
    newest = list(newest_ms)
    return bool(newest) and all(ms is not None and ms >= now_ms - lateness_ms for ms in newest)


def clock_ms(source: str, now_ms: int, outage_grace_ms: int, feed_current: bool) -> int:
    """The clock of a silent source at ``now_ms``. ``feed_current``: other partitions have calls, or none will come."""
    return now_ms if source != CALLS or feed_current else now_ms - outage_grace_ms
