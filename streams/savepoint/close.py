"""Closes partitions for a move: reads them to the end, equalizes clocks, and marks them with the last transaction."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from monitor.decoding.input_topics import INPUTS
from monitor.partition.idleness import CALLS
from monitor.partition.processing.task_output import TaskOutput
from monitor.partition.task import StreamTask
from streams.kafka.api import TP, Cluster, PermanentError, Writer
from streams.kafka.outputs import OutputRecord
from streams.kafka.topic_names import TopicNames
from streams.topics import transaction_records
from streams.topics.moved_marker import MARK, MovedMarker, marker_of
from streams.topics.owners_topic import newest_owner_bans
from streams.topics.state_topic import part_of
from streams.worker.recovery import RecoveryRefused, open_partition
from streams.worker.running.transaction import MOST_AT_ONCE

MOST_UNREAD = 500_000
"""The most unread records of a partition: all calls are in memory until the clocks are known."""

MOST_UNREAD_BYTES = 1 << 30
"""The most bytes of these records."""

StateChanges = list[tuple[str, bytes | None]]
"""Records of a partition's state to store; None deletes one."""

_CALLS = INPUTS.index(CALLS)


class RescaleSide:
    """The topics on one side of a move; ``new`` creates the partition of a number, as a worker would."""

    def __init__(
        self,
        names: TopicNames,
        application_id: str,
        partitions: int,
        new: Callable[[int], StreamTask],
        measures: bool = True,
    ) -> None:
        """``measures``: what is decided before the move also writes the measures of each hour."""
        self.names, self.application_id, self.partitions = names, application_id, partitions
        self._new, self._measures = new, measures

    def new(self, number: int) -> StreamTask:
        """A new task of a partition."""
        task = self._new(number)
        if self._measures:
            task.write_measures()
        return task

    def inputs(self, number: int) -> list[TP]:
        """The input partitions of a partition number."""
        return [TP(topic, number) for topic in self.names.inputs]

    @asynccontextmanager
    async def writer(self, cluster: Cluster, number: int) -> AsyncIterator[Writer]:
        """The started writer of a partition; it fences earlier writers and ends their open transactions."""
        writer = cluster.writer(f"{self.application_id}-{number}")
        try:
            await writer.start()
            yield writer
        finally:
            await writer.stop()


class PartitionClose:
    """Closes the partitions of ``old`` for a move to ``new``. No worker may run.

    Its methods raise PermanentError; after TransientError or Fenced the move can be started again.
    """

    def __init__(self, cluster: Cluster, old: RescaleSide, new: RescaleSide) -> None:
        self._cluster, self._old, self._new = cluster, old, new
        self._open = set(range(old.partitions))

    @property
    def begun(self) -> bool:
        """Whether at least one partition is closed."""
        return len(self._open) < self._old.partitions

    @property
    def ended(self) -> bool:
        """Whether all partitions are closed."""
        return not self._open

    async def mark(self) -> MovedMarker:
        """The marker for all partitions; that of an earlier attempt if it has closed partitions.

        The clock of the calls becomes the latest of that source in any partition, as for a partition without calls
        while others have some. The clocks of the other sources become the latest of all clocks.
        """
        marks = await moved_markers(self._cluster, self._old)
        found = next(iter(marks.values()), None)
        names, partitions = self._new.names, self._new.partitions
        if found is not None and not found.leads_to(names, partitions):
            raise PermanentError(moved_elsewhere(found))
        self._open -= marks.keys()
        return found or MovedMarker(names.input_prefix, names.output_prefix, partitions, await self._clocks())

    async def _clocks(self) -> tuple[int, ...]:
        cluster, old, clocks = self._cluster, self._old, []
        for number in range(old.partitions):
            async with old.writer(cluster, number):
                partition = await _restored(cluster, old, number)
                async with aclosing(_fed(cluster, old, number, partition)) as pieces:
                    async for _ in pieces:
                        partition.take()  # nothing is written
                clocks.append(partition.sources.clocks_ms)
        calls_ms = max(some[_CALLS] for some in clocks)
        if not calls_ms:
            raise PermanentError(
                f"{old.names.inputs[_CALLS]} has no call: there is no state to move; start with the new topics"
            )
        others_ms = max(max(some) for some in clocks)
        return tuple(calls_ms if source == _CALLS else others_ms for source in range(len(INPUTS)))

    async def records(self, number: int, moved: MovedMarker) -> dict[str, bytes]:
        """The state of a partition as it is, or will be, once the partition is closed; nothing is written."""
        cluster, old = self._cluster, self._old
        async with old.writer(cluster, number):
            records = dict((await part_of(cluster, old.names, number)).entries)
            if number not in self._open:
                if marker_of(records) != moved:
                    raise PermanentError(
                        f"partition {number} is no longer closed: another program wrote to its state; stop it"
                    )
                return records
            partition = await _restored(cluster, old, number)
            while True:
                async with aclosing(_transactions(cluster, old, number, partition, moved)) as transactions:
                    async for _, state in transactions:
                        for key, value in state:
                            if value is None:
                                records.pop(key, None)
                            else:
                                records[key] = value
                if _ended(partition):
                    return records
                partition = old.new(number)
                partition.restore(records)

    async def close(self, moved: MovedMarker) -> None:
        """Close the partitions that are still open, each in transactions of the size that workers write."""
        cluster, old = self._cluster, self._old
        for number in sorted(self._open):
            while number in self._open:  # once more for each change of policy on the way
                async with old.writer(cluster, number) as writer:
                    partition = await _restored(cluster, old, number)
                    async with aclosing(_transactions(cluster, old, number, partition, moved)) as transactions:
                        async for taken, state in transactions:
                            done = dict(zip(old.inputs(number), partition.sources.done, strict=True))
                            await writer.commit(transaction_records.records(old.names, number, taken, state), done)
                    if _ended(partition):
                        self._open.remove(number)


async def moved_markers(cluster: Cluster, old: RescaleSide) -> dict[int, MovedMarker]:
    """The markers of the closed partitions."""
    marks = {}
    for number in range(old.partitions):
        async with old.writer(cluster, number):  # ends open transactions of an earlier attempt
            mark = marker_of((await part_of(cluster, old.names, number)).entries)
        if mark is not None:
            marks[number] = mark
    return marks


def moved_elsewhere(found: MovedMarker) -> str:
    """Why a state that was moved cannot be moved to, or taken back from, other topics."""
    return (
        f"the state was moved to {found.output_prefix}*, with {found.partitions} partitions; expected "
        f"--to-input-prefix {found.input_prefix} --to-output-prefix {found.output_prefix}, to finish that move or, "
        "with --undo, to undo it"
    )


async def _restored(cluster: Cluster, old: RescaleSide, number: int) -> StreamTask:
    """A partition restored from its state."""
    partition = old.new(number)
    try:
        opened = await open_partition(cluster, old.names, number, partition)
    except RecoveryRefused as refused:
        raise PermanentError(str(refused)) from None
    if opened.commands:
        raise PermanentError(
            f"partition {number}: the commands from offset {opened.commands[0][0]} of {old.names.output('control')} on "
            "were not taken: start a worker until it has taken them, and stop it again"
        )
    partition.control = opened.control_end
    return partition


async def _take_owner_bans(cluster: Cluster, old: RescaleSide, partition: StreamTask) -> None:
    """Take the bans of owners that the partition has not taken yet."""
    tp, since = old.names.owners, partition.owners.offset
    start, end = (await cluster.starts([tp]))[tp], (await cluster.ends([tp]))[tp]
    start = start if since > end else max(start, since)  # a topic that was created again is read from its start
    partition.owners.take(partition.shard, await newest_owner_bans(cluster, tp, start, end), end)


async def _fed(cluster: Cluster, old: RescaleSide, number: int, partition: StreamTask) -> AsyncGenerator[None, None]:
    """Feed a partition its inputs to their ends; returns after each fetched batch."""
    inputs = old.inputs(number)
    ends = await cluster.ends(inputs)
    starts = list(partition.sources.offsets)
    unread = sum(ends[tp] - offset for tp, offset in zip(inputs, starts, strict=True))
    if unread > MOST_UNREAD:
        raise PermanentError(
            f"partition {number}: expected at most {MOST_UNREAD:,} unread records, got {unread:,}: run workers until "
            "they have read them"
        )
    size = 0
    for source, (tp, start) in enumerate(zip(inputs, starts, strict=True)):
        async for batch in cluster.read(tp, start, ends[tp]):
            size += batch.size
            if size > MOST_UNREAD_BYTES:
                raise PermanentError(
                    f"partition {number}: expected at most {MOST_UNREAD_BYTES:,} bytes of unread records, got more: "
                    "run workers until they have read them"
                )
            partition.feed(source, batch.rows)
            yield


async def _transactions(
    cluster: Cluster, old: RescaleSide, number: int, partition: StreamTask, moved: MovedMarker
) -> AsyncGenerator[tuple[TaskOutput, StateChanges], None]:
    """The transactions that close a partition, each with its output and the state to store.

    Rejected records are written after each batch, as a worker does: any number of them may be unread. Ends early if
    the policy changes on the way: the partition must then be restored.
    """
    async with aclosing(_fed(cluster, old, number, partition)) as batches:
        async for _ in batches:
            if partition.pending:
                yield partition.take(), partition.snapshot()
    await _take_owner_bans(cluster, old, partition)
    ended = False
    while not (ended or partition.switching):
        taken, state = _brought_to(partition, moved)
        ended = _ended(partition)
        yield taken, state


def _brought_to(partition: StreamTask, moved: MovedMarker) -> tuple[TaskOutput, StateChanges]:
    """The output of advancing a partition to the common clocks, or a part of that, and the state to store.

    The state is marked once the partition is there.
    """
    for source, clock_ms in enumerate(moved.clocks_ms):
        partition.sources.move(source, clock_ms)
    partition.advance(MOST_AT_ONCE)
    taken = partition.take()
    return taken, [*(moved.records() if _ended(partition) else ()), *partition.snapshot()]


def _ended(partition: StreamTask) -> bool:
    """Whether a partition has decided everything that its clocks allow, and says so."""
    watermark = partition.watermark
    return not partition.switching and not partition.due and watermark.decided_ms == watermark.ms


async def open_again(cluster: Cluster, old: RescaleSide) -> None:
    """Delete the markers, so that workers can use these topics again."""
    for number in range(old.partitions):
        async with old.writer(cluster, number) as writer:
            entries = (await part_of(cluster, old.names, number)).entries
            marked = [key for key in entries if key.startswith(f"{MARK}/")]
            if marked:
                state = old.names.output("state")
                await writer.commit([OutputRecord(state, number, key.encode(), None) for key in marked], {})
