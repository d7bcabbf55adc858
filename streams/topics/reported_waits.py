"""What workers report in their clock ticks: what partitions wait for, and the delays of their decisions."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from streams.kafka.api import TP, FetchedBatch
from streams.kafka.topic_names import TopicNames
from streams.topics.transaction_records import ClockTick, DecisionDelays, decode_tick, is_tick

_TAIL = 2_000  # the offsets of a clock log that are searched for ticks
_MOST_TICKS = 50  # kept of a clock log: a worker writes at most one in 10 s, and repeats what it says
STALE_MS = 660_000
"""A tick is valid for this long. A worker ticks every five minutes."""


class TickLog(Protocol):
    """The part of a cluster that is needed to read."""

    async def starts(self, tps: Sequence[TP]) -> dict[TP, int]:
        """See `streams.kafka.api.Cluster`."""
        ...

    async def ends(self, tps: Sequence[TP]) -> dict[TP, int]:
        """See `streams.kafka.api.Cluster`."""
        ...

    def read(self, tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        """See `streams.kafka.api.Cluster`."""
        ...


@dataclass(frozen=True, slots=True)
class ReportedWaits:
    """What the newest valid ticks say together.

    ``newest_ms`` is the broker's time of the newest of all ticks, None if there is none. ``delays`` are those of the
    worker of each partition, as far as known.
    """

    newest_ms: int | None = None
    waits: Mapping[int, list[str]] = field(default_factory=dict)
    delays: Mapping[int, DecisionDelays] = field(default_factory=dict)


class TickReader:
    """Reads the clock logs of these partitions; each `read` continues where the last one ended."""

    def __init__(self, names: TopicNames, numbers: Iterable[int]) -> None:
        self._clocks = [TP(names.output("clock"), number) for number in numbers]
        self._next: dict[TP, int] = {}
        self._ticks: dict[TP, list[tuple[int, ClockTick]]] = {}

    async def read(self, cluster: TickLog) -> ReportedWaits:
        """Read to the ends of the logs. Raises TransientError and PermanentError."""
        starts, ends = await cluster.starts(self._clocks), await cluster.ends(self._clocks)
        for tp in self._clocks:
            await self._read(cluster, tp, starts[tp], ends[tp])
        return _merged([one for found in self._ticks.values() for one in found])

    async def _read(self, cluster: TickLog, tp: TP, start: int, end: int) -> None:
        if self._next.get(tp, 0) > end:  # the log was recreated
            del self._next[tp], self._ticks[tp]
        begin = max(start, end - _TAIL, self._next.get(tp, 0))
        if begin < end:
            found = self._ticks.setdefault(tp, [])
            async for fetched in cluster.read(tp, begin, end):
                for at_ms, value in zip(fetched.timestamps_ms.tolist(), fetched.values, strict=True):
                    if value is not None and is_tick(value) and (tick := _decoded(value)) is not None:
                        found.append((at_ms, tick))
                newest_ms = max((at_ms for at_ms, _ in found), default=0)
                found[:] = [one for one in found if one[0] >= newest_ms - STALE_MS][-_MOST_TICKS:]
        self._next[tp] = end


def _merged(ticks: list[tuple[int, ClockTick]]) -> ReportedWaits:
    newest_ms = max((at_ms for at_ms, _ in ticks), default=None)
    if newest_ms is None:
        return ReportedWaits()
    waits: dict[int, list[str]] = {}
    delays: dict[int, DecisionDelays] = {}  # by partition: it may have been another worker's a minute ago
    for at_ms, tick in sorted(ticks, key=lambda one: one[0]):
        if at_ms >= newest_ms - STALE_MS:
            waits |= tick.waits
            if tick.delays is not None:
                delays |= dict.fromkeys(tick.waits, tick.delays)
    shown = {number: lines for number, lines in sorted(waits.items()) if lines}
    return ReportedWaits(newest_ms, shown, delays)


def _decoded(value: bytes) -> ClockTick | None:
    try:
        return decode_tick(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # no release writes such a tick: another program did
