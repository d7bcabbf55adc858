"""A member of the group: it reads its partitions by one consumer, and hands each batch to its partition."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import structlog

from streams.ingest.partitions.exclusive_partition import ExclusivePartition, PartitionContext, PartitionPhase
from streams.ingest.partitions.partition_handler import NewHandler
from streams.ingest.partitions.start_position import (
    GroupCluster,
    GroupOptions,
    GroupTopicMissing,
    StartLookup,
    damaged,
    lost,
)
from streams.ingest.partitions.telemetry import PartitionMetrics
from streams.kafka.api import (
    TP,
    Consumer,
    CorruptLog,
    FetchedBatch,
    Listener,
    OffsetOutOfRange,
    PermanentError,
    TransientError,
)
from streams.runtime.retry import Backoff

log = structlog.get_logger("callwarden")

_POLL_S: Final = 0.2
_BUSY_POLL_S: Final = 0.02  # while a partition that is busy will take more soon
_POLL_ROWS: Final = 20_000
_FEW_ROWS, _LINGER_S = 500, 0.05  # small transactions cost more a record: wait for more
_MOST_BYTES: Final = 32 << 20  # of batches that wait in all partitions; a poll returns 16 MB more at most
_LOOK_S: Final = 2.0
_UNANSWERED_S: Final = 10.0


class PartitionGroup:
    """Reads the partitions that the group assigns to this process. `run` works until it is cancelled."""

    def __init__(
        self, cluster: GroupCluster, options: GroupOptions, new_handler: NewHandler, metrics: PartitionMetrics
    ) -> None:
        self._cluster, self._options, self._metrics = cluster, options, metrics
        self._context = PartitionContext(cluster, options, new_handler, metrics)
        self._lookup = StartLookup(cluster, options)
        self._consumer: Consumer = cluster.consumer([options.topic])
        self._partitions: dict[int, ExclusivePartition] = {}
        self._topic_id: str | None = None
        self._lag: dict[int, int] = {}
        self._away: str | None = "has not joined the group yet"
        self._assigned = self._stopping = False
        self._foreign: str | None = None
        self._missing: str | None = None

    @property
    def not_ready(self) -> str | None:
        """Why the process is not ready, in one line; None if it is."""
        if self._stopping:
            return "is stopping"
        if hindrance := self._foreign or self._missing or self._away:
            return hindrance
        if self._consumer.unanswered_s > _UNANSWERED_S:
            return f"the broker has not answered for {self._consumer.unanswered_s:.0f} s"
        if not self._assigned:
            return "the consumer group is rebalancing"
        waiting = {
            number: each
            for number, each in sorted(self._partitions.items())
            if each.phase is not PartitionPhase.RUNNING
        }
        lines = [": ".join(filter(None, (f"partition {n}", each.phase.value, each.why))) for n, each in waiting.items()]
        return "; ".join(lines) or None

    async def run(self) -> None:
        """Join the group and work until cancelled; then end what is under way, and leave it. Raises PermanentError."""
        looking = asyncio.create_task(self._look())
        try:
            await self._join()
            while True:
                if looking.done():
                    looking.result()
                await self._round()
        finally:
            self._stopping = True
            looking.cancel()
            await asyncio.wait([looking])
            await self._give_up_all()
            await self._consumer.stop()

    async def _join(self) -> None:
        backoff = Backoff()
        while True:
            try:
                self._topic_id = (await self._lookup.topic()).id
                await self._consumer.start(Listener(self._revoked, self._assign))
            except TransientError as error:
                self._away = str(error)
                delay_s = backoff.next_s()
                log.warning("waiting", why=str(error), again_in_s=delay_s)
                await asyncio.sleep(delay_s)
            else:
                self._away = None
                return

    # The group --------------------------------------------------------------------------------------------------

    async def _assign(self, tps: frozenset[TP]) -> None:
        if self._stopping:
            return
        self._assigned = True
        others = sorted({tp.topic for tp in tps} - {self._options.topic})
        if others:
            self._foreign = (
                f"the group {self._options.group} also reads {', '.join(others)}; expected a group of its own for each "
                "topic, as --group"
            )
            return
        for tp in sorted(tps):
            if tp.partition not in self._partitions:
                one = ExclusivePartition(tp, self._context, self._consumer, self._topic_id)
                self._partitions[tp.partition] = one
                one.begin()

    async def _revoked(self, tps: frozenset[TP]) -> None:
        self._assigned = False
        await self._give_up_all()

    async def _give_up_all(self) -> None:
        partitions, self._partitions, self._lag = self._partitions, {}, {}
        await asyncio.gather(*(each.give_up() for each in partitions.values()))

    # Reading ----------------------------------------------------------------------------------------------------

    async def _round(self) -> None:
        if self._foreign is not None:
            raise PermanentError(self._foreign)
        partitions = list(self._partitions.values())
        room = sum(each.held_bytes for each in partitions) < _MOST_BYTES
        wanted = [each.tp for each in partitions if each.takes] if room else []
        running = [each for each in partitions if each.phase is PartitionPhase.RUNNING]
        timeout_s = _POLL_S if len(wanted) == len(running) else _BUSY_POLL_S
        fetched: Mapping[TP, FetchedBatch] = {}
        try:
            # Also if nothing is wanted: only a poll shows that the membership has failed.
            fetched = await self._consumer.poll(wanted, timeout_s, _POLL_ROWS)
            self._away = None
        except OffsetOutOfRange as error:
            await self._reread_or_stop(error)
        except CorruptLog as torn:
            if (
                partition := self._partitions.get(torn.tp.partition)
            ) is not None and torn.offset == partition.next_offset:
                partition.finish(damaged(self._options, torn.tp, str(torn), torn.last))
        except TransientError as error:
            self._say_away(error)
            await asyncio.sleep(1.0)
        for tp, batch in fetched.items():
            if (partition := self._partitions.get(tp.partition)) is not None:
                partition.deliver(batch)
        if 0 < sum(map(len, fetched.values())) < _FEW_ROWS:
            await asyncio.sleep(_LINGER_S)

    async def _reread_or_stop(self, error: OffsetOutOfRange) -> None:
        """Records were deleted before they were read, or the topic is another one: opening it finds out."""
        partition = self._partitions.get(error.tp.partition)
        if partition is None or partition.next_offset != error.offset:
            return
        with suppress(TransientError):
            topic = await self._lookup.topic()
            start = (await self._cluster.starts([error.tp]))[error.tp]
            if topic.id == partition.topic_id and start > error.offset:
                partition.finish(str(lost(self._options, error.tp, error.offset, start)))
                return
        partition.reopen(str(error))

    def _say_away(self, error: TransientError) -> None:
        if self._away is None:
            log.warning("waiting", why=str(error))
        self._away = str(error)

    # Looking on -------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Watch the topic and its ends until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self._metrics.show(self._phases(), self._lag)
            try:
                await self._look_once()
            except GroupTopicMissing as error:
                # The group then assigns no partition: as if this were a member more than there are partitions.
                if self._missing is None:
                    log.warning("waiting", why=str(error))
                self._missing = str(error)
            except TransientError:  # what reads and writes reports a cluster that is away
                continue

    def _phases(self) -> list[str]:
        """The phase of each partition; a topic that is missing counts as one that is being opened, for the alert."""
        phases = [each.phase.value for each in self._partitions.values()]
        return phases or [PartitionPhase.OPENING.value] * (self._missing is not None)

    async def _look_once(self) -> None:
        topic, state_id = await self._lookup.topic(), await self._lookup.state_id()
        self._missing, self._topic_id = None, self._topic_id or topic.id
        partitions = [each for each in self._partitions.values() if each.phase is PartitionPhase.RUNNING]
        for each in partitions:
            if each.topic_id not in (None, topic.id):
                each.reopen("the topic was deleted and created again")
            elif each.state_id not in (None, state_id):
                each.reopen("the topic of its state was deleted and created again")
        ends = await self._cluster.ends([each.tp for each in partitions])
        for each in partitions:
            if self._partitions.get(each.tp.partition) is not each:
                continue
            end = ends[each.tp]
            self._lag[each.tp.partition] = max(0, end - each.next_offset)
            handler = each.idle_handler(end)
            record = handler.idle() if handler is not None else None
            if record is not None:
                await self._cluster.stamp(record)
