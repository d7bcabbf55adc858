"""Hands fetched batches to the agents, which submit them to the partitions in memory."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol

from monitor.decoding.input_topics import INPUTS
from monitor.partition.idleness import CALLS
from monitor.partition.record_batch import RecordBatch
from streams.kafka.api import TP, Consumer, FetchedBatch
from streams.worker.context import OwnedPhase, WorkerContext
from streams.worker.running.owned_partition import OwnedPartition
from streams.worker.running.running_partition import RunningPartition

# Fed at once in the event loop. A late call costs 8 times as much as another one, and a rejected one 10 to 40 times, up
# to 45 us. Where many come, the first rows may take 150 ms; then fewer are fed at once, which take at most 50.
SLICE_ROWS, OTHER_ROWS, SLICE_BYTES = 3_000, 1_000, 4_000_000
SIGNED_ROWS = 200  # of reviews whose signatures are verified: a tenth of a millisecond each, without other cost
FEW_ROWS = 500  # of all batches of a round: an agent gets those of its topic together, for each costs it a turn


@dataclass(slots=True)
class PartitionRows:
    """Rows of a partition, fetched for what is ``running``; ``error`` is that of feeding them."""

    running: RunningPartition | None
    rows: RecordBatch | None
    error: Exception | None = None


@dataclass(slots=True)
class InputBatch:
    """Rows of one source for its agent, of one or more partitions; ``done`` resolves when it has submitted them."""

    source: int
    parts: Sequence[PartitionRows]
    done: asyncio.Future[None]

    def submit(self) -> None:
        """Submit the rows to the stream tasks of the partitions that they were fetched for, not to those opened since.

        The consumer loop stops a partition where that fails, loudly.
        """
        # A Faust stream keeps its last value until the next one comes: drop the references, or it would keep
        # thousands of records, or a revoked partition, in memory.
        parts, self.parts = self.parts, ()
        if self.done.done():
            return
        for part in parts:
            if part.running is None or part.rows is None:
                continue
            try:
                part.running.feed(self.source, part.rows)
            except Exception as error:  # noqa: BLE001 - see above
                part.error = error
        self.done.set_result(None)


class Agents(Protocol):
    """The agents, as the consumer loop sees them."""

    def reads(self, source: int | None) -> bool:
        """Whether the source has an agent; True for the commands of operators (None)."""
        ...

    async def deliver(self, batch: InputBatch) -> None:
        """Deliver a batch to the agent of its source, which resolves ``batch.done``."""
        ...


class InputDelivery:
    """Hands the batches of a round on to the ``owners`` of the ``assigned`` partition numbers; both may change."""

    def __init__(
        self,
        context: WorkerContext,
        agents: Agents,
        owners: Mapping[int, OwnedPartition],
        assigned: Set[int],
        consumer: Consumer,
    ) -> None:
        self._context, self._agents = context, agents
        self._owners, self._assigned, self._consumer = owners, assigned, consumer

    async def take(self, batches: Sequence[tuple[TP, FetchedBatch]]) -> None:
        """Take the batches of a round; if they have few rows, those of a topic together."""
        few = sum(len(fetched) for _, fetched in batches) < FEW_ROWS and len({tp for tp, _ in batches}) == len(batches)
        together: dict[object, list[tuple[TP, FetchedBatch]]] = {}
        for number, (tp, fetched) in enumerate(batches):
            together.setdefault(tp.topic if few else number, []).append((tp, fetched))
        for some in together.values():
            await self._take(some)

    async def _take(self, batches: Iterable[tuple[TP, FetchedBatch]]) -> None:
        """Take batches of one topic, each of another partition."""
        begun: list[_Feeding] = []
        for tp, fetched in batches:
            owner = self._owners.get(tp.partition)
            if owner is None or tp.partition not in self._assigned:
                continue  # opening the partition seeks again
            if owner.takes:
                begun.append(self._begin(owner, tp, fetched))
            else:
                owner.input.hold(tp, fetched)
        left = begun
        while left := [one for one in left if one.take_slice()]:
            await self._deliver(left)
        for one in begun:
            owner, tp = one.owner, one.tp
            if one.rest is not None:
                owner.input.hold(tp, one.rest)
            elif owner.phase is OwnedPhase.RUNNING and owner.next_offset(tp) != one.fetched.stop:
                # The batch is of an earlier position, or the owner cannot use it now: fetch again from the gap.
                self._context.telemetry.stale()
                self._consumer.seek(tp, owner.next_offset(tp))

    def _begin(self, owner: OwnedPartition, tp: TP, fetched: FetchedBatch) -> "_Feeding":
        """Begin to feed a batch. Commands are applied at once."""
        one = _Feeding(owner, tp, fetched, owner.running)
        if fetched.start != owner.next_offset(tp) or not owner.listens(tp):
            return one
        source = self._context.names.source(tp.topic)
        if source is None:
            owner.control(fetched)
        else:
            one.slices = iter(owner.input.slices(tp, fetched, _slice_rows(source, owner.running), SLICE_BYTES))
        return one

    async def _deliver(self, some: "Sequence[_Feeding]") -> None:
        """Deliver the next rows of batches of one source."""
        source = self._context.names.source(some[0].tp.topic)
        assert source is not None  # commands are not delivered
        parts = [PartitionRows(one.running, one.rows) for one in some]
        batch = InputBatch(source, parts, asyncio.get_running_loop().create_future())
        await self._agents.deliver(batch)
        await batch.done
        for one, part in zip(some, parts, strict=True):
            if part.error is not None:
                one.fail(part.error)


@dataclass(slots=True)
class _Feeding:
    """A batch that is fed slice by slice to what is ``running``; ``rest`` is what has to wait for a transaction."""

    owner: OwnedPartition
    tp: TP
    fetched: FetchedBatch
    running: RunningPartition | None
    slices: Iterator[RecordBatch] = field(default_factory=lambda: iter(()))
    rows: RecordBatch | None = None
    rest: FetchedBatch | None = None

    def take_slice(self) -> bool:
        """Make the next slice ``rows``; returns whether the partition can take it."""
        owner, self.rows = self.owner, next(self.slices, None)
        if self.rows is None or self.running is not owner.running or owner.phase is not OwnedPhase.RUNNING:
            return False
        if not owner.takes:
            self.rest = self.fetched.after(self.rows.start)
        return self.rest is None

    def fail(self, error: Exception) -> None:
        """Handle an error of feeding ``rows``: it stops the partition, loudly."""
        self.slices = iter(())
        if self.rows is not None and self.running is self.owner.running:
            self.owner.failed(self.tp, self.rows, error)


def _slice_rows(source: int, running: RunningPartition | None) -> int:
    """The most rows of a source to feed at once."""
    if INPUTS[source] == "reviews" and running is not None and running.task.sources.review_keys:
        return SIGNED_ROWS
    few = INPUTS[source] != CALLS or (running is not None and running.costly_rows)
    return OTHER_ROWS if few else SLICE_ROWS
