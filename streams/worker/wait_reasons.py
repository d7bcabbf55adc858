"""What the partitions of a worker wait for, as sentences for an operator, by partition number."""

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

from monitor.partition.idleness import SilentSources
from monitor.partition.watermark_holds import (
    HoldReason,
    SourceState,
    WatermarkHold,
    held_by,
    open_transaction,
    sentence,
)
from streams.kafka.api import TP, Cluster
from streams.kafka.topic_names import TopicNames
from streams.topics.transaction_records import ClockTick, decode_tick, is_tick
from streams.worker.context import OwnerPhase, WorkerContext
from streams.worker.partition_owner import PartitionOwner

_OPEN_MS = 30_000  # a transaction open for longer is reported
_MOST = 50  # sentences of one worker

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class WaitReasons:
    """Tracks since when clocks are stalled, old records hold decisions back, and transactions are open."""

    def __init__(self, context: WorkerContext, silence: SilentSources[TP]) -> None:
        self._context, self._silence = context, silence
        self._stands: dict[TP, tuple[int, int]] = {}
        self._old: dict[TP, tuple[None, int]] = {}
        self._open: dict[TP, tuple[int, int]] = {}
        self.sentences: dict[int, list[str]] = {}

    def update(self, owners: Mapping[int, PartitionOwner], ends: Mapping[TP, int], undecided: Mapping[TP, int]) -> None:
        """Update from a check of these ``ends``; ``undecided`` are the first offsets of open transactions."""
        now_ms = self._context.broker_clock.rough_ms
        if now_ms is None:
            return
        inputs = self._context.names.inputs
        self._open = _since(self._open, {tp: at for tp, at in undecided.items() if tp.topic in inputs}, now_ms)
        clocks: dict[TP, int] = {}
        for number, owner in owners.items():
            if owner.phase is OwnerPhase.RUNNING and owner.partition is not None:
                tps = [TP(topic, number) for topic in inputs]
                clocks |= dict(zip(tps, owner.partition.sources.clocks_ms, strict=True))
        self._stands = _since(self._stands, clocks, now_ms)
        holds = {number: self._hold(number, owner, ends, now_ms) for number, owner in owners.items()}
        old = {
            TP(inputs[hold.source], number): None
            for number, hold in holds.items()
            if hold is not None and hold.reason is HoldReason.OLD_RECORDS
        }
        self._old = _since(self._old, old, now_ms)
        said = {number: self._of(number, hold, now_ms) for number, hold in holds.items()}
        left, self.sentences = _MOST, {}
        for number, lines in said.items():
            self.sentences[number], left = lines[:left], max(left - len(lines), 0)

    def _hold(self, number: int, owner: PartitionOwner, ends: Mapping[TP, int], now_ms: int) -> WatermarkHold | None:
        """What holds the watermark of a partition back, or None."""
        partition, live = owner.partition, self._context.live
        tps = [TP(topic, number) for topic in self._context.names.inputs]
        if owner.phase is not OwnerPhase.RUNNING or partition is None or not all(tp in ends for tp in tps):
            return None
        sources = partition.sources
        states = [
            SourceState(clock_ms, self._silence.silent(tp, sources.reading(source)), max(ends[tp] - at, 0))
            for source, (tp, clock_ms, at) in enumerate(zip(tps, sources.clocks_ms, sources.offsets, strict=True))
        ]
        return held_by(
            states,
            now_ms,
            live.idle_after_ms,
            partition.policy.lateness_ms,
            0 if sources.outage_ended else live.outage_grace_ms,
            partition.intake.last_ms,
        )

    def _of(self, number: int, hold: WatermarkHold | None, now_ms: int) -> list[str]:
        tps = [TP(topic, number) for topic in self._context.names.inputs]
        lines = [
            open_transaction(tp.topic, number, at, since_ms)
            for tp in tps
            if tp in self._open
            for at, since_ms in [self._open[tp]]
            if now_ms - since_ms >= _OPEN_MS
        ]
        if hold is not None:
            tp = tps[hold.source]
            # The event times of old records increase; otherwise the source would be silent.
            _, since_ms = self._old[tp] if hold.reason is HoldReason.OLD_RECORDS else self._stands[tp]
            if hold.reason is not HoldReason.OUTAGE_GRACE and now_ms - since_ms < 2 * self._context.live.idle_after_ms:
                return lines  # it is being read, or will soon count as silent
            lines.append(sentence(hold, tp.topic, number, since_ms))
        return lines


def _since(before: Mapping[_K, tuple[_V, int]], now: Mapping[_K, _V], now_ms: int) -> dict[_K, tuple[_V, int]]:
    """Each value with the time since which it has been the same."""
    return {tp: before[tp] if tp in before and before[tp][0] == one else (one, now_ms) for tp, one in now.items()}


_TAIL = 2_000  # the offsets of a clock log that are searched for ticks
_STALE_MS = 660_000  # a worker ticks every five minutes


async def reported_reasons(
    cluster: Cluster, names: TopicNames, numbers: Iterable[int]
) -> tuple[int | None, dict[int, list[str]]]:
    """The time of the newest tick of all (None if there is none), and what partitions wait for by their newest ticks.

    Raises TransientError and PermanentError.
    """
    clocks = [TP(names.output("clock"), number) for number in numbers]
    starts, ends = await cluster.starts(clocks), await cluster.ends(clocks)
    ticks: list[tuple[int, ClockTick]] = []
    for tp in clocks:
        async for fetched in cluster.read(tp, max(starts[tp], ends[tp] - _TAIL), ends[tp]):
            found = zip(fetched.timestamps_ms.tolist(), fetched.values, strict=True)
            ticks += [(at_ms, decode_tick(value)) for at_ms, value in found if value is not None and is_tick(value)]
    newest_ms = max((at_ms for at_ms, _ in ticks), default=None)
    waits: dict[int, list[str]] = {}
    for at_ms, tick in sorted(ticks, key=lambda one: one[0]):
        if newest_ms is not None and at_ms >= newest_ms - _STALE_MS:
            waits |= tick.waits
    return newest_ms, {number: lines for number, lines in sorted(waits.items()) if lines}
