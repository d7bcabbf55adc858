"""The call feed as a whole, as one worker sees it: whether current calls arrive in some partition."""

from collections.abc import Mapping

import structlog

from monitor.decoding.input_topics import INPUTS
from monitor.partition.checkpoint import PartitionIdentity
from monitor.partition.idleness import CALLS, SilentSources, feed_is_current
from monitor.partition.log_tail import LogTail
from streams.kafka.api import TP, CorruptLog, FetchedBatch, OffsetOutOfRange
from streams.worker.context import WorkerContext
from streams.worker.partition_owner import PartitionOwner

log = structlog.get_logger("callwarden")

_TAIL_ROWS = 50  # the most records read per check from a partition of another worker
_TELL_AGAIN_MS = 3_600_000


class CallFeed:
    """All partitions of the topic of calls; those that other workers own are judged by their last few records."""

    def __init__(self, context: WorkerContext, silence: SilentSources[TP]) -> None:
        topic = context.names.inputs[INPUTS.index(CALLS)]
        self.tps = [TP(topic, number) for number in range(context.partitions)]
        self._context, self._silence = context, silence
        self._tails: dict[TP, LogTail] = {}
        self._silent_ms = 0
        self._told_ms: int | None = None

    async def is_current(self, mine: Mapping[int, PartitionOwner], ends: Mapping[TP, int], now_ms: int | None) -> bool:
        """Whether at least one partition is not silent, and current calls arrive in every such partition.

        ``mine`` are this worker's owners. A partition with only rejected or old records is silent. If no partition of
        ``mine`` is silent, nothing is asked of the broker and the result is False. Raises TransientError.
        """
        owned = {tp: mine[tp.partition] for tp in self.tps if tp.partition in mine}
        if not any(self._silence.silent(tp, owner.reading(tp)) for tp, owner in owned.items()):
            readings = [(tp, owned[tp].reading(tp) if tp in owned else None) for tp in self.tps]
            self._silent_ms = min((self._silence.quiet(*one).for_ms for one in readings), default=0)
            return False
        newest: list[int | None] = []
        silent_ms: list[int] = []
        for tp in self.tps:
            quiet_ms, newest_ms = await self._look(tp, owned.get(tp), ends[tp])
            silent_ms.append(quiet_ms)
            if quiet_ms < self._silence.idle_after_ms:
                newest.append(newest_ms)
                if now_ms is None or not feed_is_current(newest, now_ms, self._context.policy.lateness_ms):
                    break
        self._silent_ms = min(silent_ms, default=0)
        return now_ms is not None and feed_is_current(newest, now_ms, self._context.policy.lateness_ms)

    async def _look(self, tp: TP, owner: PartitionOwner | None, end: int) -> tuple[int, int | None]:
        """For how long a partition has been silent, in ms, and the event time of its newest call, None if unknown."""
        reading = owner.reading(tp) if owner is not None else None
        known = owner.partition.sources.newest_call_ms if owner is not None and owner.partition is not None else None
        if known is not None or self._silence.silent(tp, reading):
            return self._silence.quiet(tp, reading).for_ms, known
        tail = await self._tail(tp, end)
        return self._silence.quiet(tp, reading or tail.reading).for_ms, tail.newest_ms

    async def _tail(self, tp: TP, end: int) -> LogTail:
        """The last records of a partition, read up to ``end``."""
        context = self._context
        tail = self._tails.get(tp)
        if tail is None:
            place = PartitionIdentity(tp.partition, context.partitions, context.partitioner)
            tail = self._tails[tp] = LogTail(context.policy, context.secret, place, context.live.max_ahead_ms)
        before = tail.reading.position
        if before == end:
            return tail
        start = (await context.cluster.starts([tp]))[tp]
        at = max(end - _TAIL_ROWS, start, before if before <= end else 0)
        tail.begin(at)
        try:
            async for fetched in context.cluster.read(tp, at, end):
                _read(tail, tp, fetched)
        except (OffsetOutOfRange, CorruptLog):
            pass  # its owner reports it; nothing valid can be read there
        tail.end(end)
        return tail

    def report_outage(self) -> None:
        """Log, and export as a metric, for how long no call has come in any partition, as of the last check."""
        now_ms = self._context.broker_clock.steady_ms()
        away = self._silent_ms >= self._silence.idle_after_ms
        self._context.telemetry.feed_silent(self._silent_ms / 1000)
        if away and (self._told_ms is None or now_ms - self._told_ms >= _TELL_AGAIN_MS):
            log.warning(
                "no calls arrive in any partition; windows wait for the outage grace",
                silent_s=self._silent_ms // 1000,
                grace_s=self._context.live.outage_grace_ms // 1000,
            )
            self._told_ms = now_ms
        elif not away:
            self._told_ms = None


def _read(tail: LogTail, tp: TP, fetched: FetchedBatch) -> None:
    """Read these records of another worker's partition; an error stops that partition, where its owner reads them."""
    try:
        tail.read(fetched.rows)
    except Exception as error:
        at = {"partition": tp.partition, "offset": fetched.start}
        log.error("the last records of another worker's partition cannot be judged", **at, exc_info=error)
