"""Closes partitions for a move: read to their ends, all clocks made equal, and marked, in one last transaction each."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from monitor.idle import CALLS
from monitor.partition import Partition
from monitor.rows import Rows
from monitor.topics import INPUTS
from streams import emit
from streams.cluster import TP, Cluster, Out, Refused, Writer
from streams.names import Names
from streams.opening import OpeningRefused, open_partition
from streams.state.look import part_of
from streams.state.mark import MARK, Moved, mark_of

MOST_UNREAD = 500_000
"""More unread records are for the workers to read: all calls lie in memory until the clocks are known."""

_CALLS = INPUTS.index(CALLS)


class Side:
    """The topics on one side of a move; ``new`` makes a partition of a number, as a worker would."""

    def __init__(self, names: Names, application_id: str, partitions: int, new: Callable[[int], Partition]) -> None:
        self.names, self.application_id, self.partitions, self.new = names, application_id, partitions, new

    def inputs(self, number: int) -> list[TP]:
        """Those of a partition."""
        return [TP(topic, number) for topic in self.names.inputs]

    @asynccontextmanager
    async def writer(self, cluster: Cluster, number: int) -> AsyncIterator[Writer]:
        """The one who writes to a partition; whoever did before cannot any more, and all that it had begun is ended."""
        writer = cluster.writer(f"{self.application_id}-{number}")
        try:
            await writer.start()
            yield writer
        finally:
            await writer.stop()


async def close_all(cluster: Cluster, old: Side, new: Side) -> Moved:
    """Close all partitions, unless they are; the mark that they carry then. No worker may be at work.

    The calls' clock becomes the latest that there is in any partition, as of a partition without calls while others
    have some; the others' the latest of all. Refused; Unavailable, Fenced: to be begun again.
    """
    marks = []
    for number in range(old.partitions):
        async with old.writer(cluster, number):  # what an earlier attempt had begun is ended
            marks.append(mark_of((await part_of(cluster, old.names, number)).entries))
    to = (new.names.input_prefix, new.names.output_prefix, new.partitions)
    found = next((mark for mark in marks if mark is not None), None)
    if found is not None and (found.input_prefix, found.output_prefix, found.partitions) != to:
        raise Refused(
            f"the state was moved to {found.output_prefix}*, with {found.partitions} partitions; expected the same, or "
            "callwarden state move --undo first"
        )
    moved = found or Moved(*to, await _clocks(cluster, old))
    for number, mark in enumerate(marks):
        if mark is None:
            await _close(cluster, old, number, moved)
    return moved


async def _clocks(cluster: Cluster, old: Side) -> tuple[int, ...]:
    clocks = []
    for number in range(old.partitions):
        async with old.writer(cluster, number):
            clocks.append((await _read_on(cluster, old, number)).clocks_ms)
    calls_ms = max(some[_CALLS] for some in clocks)
    if not calls_ms:
        raise Refused(f"{old.names.inputs[_CALLS]} never had a call: there is nothing to move; begin anew")
    others_ms = max(max(some) for some in clocks)
    return tuple(calls_ms if source == _CALLS else others_ms for source in range(len(INPUTS)))


async def _read_on(cluster: Cluster, old: Side, number: int) -> Partition:
    """A partition as its state has it, that has read its inputs to their ends."""
    partition = old.new(number)
    try:
        opened = await open_partition(cluster, old.names, number, partition)
    except OpeningRefused as refused:
        raise Refused(str(refused)) from None
    if opened.commands:
        raise Refused(
            f"partition {number}: the commands from offset {opened.commands[0][0]} of {old.names.output('control')} on "
            "were not taken; expected a worker to have taken them before it was stopped"
        )
    partition.control = opened.control_end
    inputs = old.inputs(number)
    ends = await cluster.ends(inputs)
    unread = sum(ends[tp] - offset for tp, offset in zip(inputs, partition.offsets, strict=True))
    if unread > MOST_UNREAD:
        raise Refused(f"partition {number}: {unread:,} records are not read; expected workers to have read them")
    for source, pieces in enumerate(await rows_of(cluster, inputs, partition.offsets)):
        for rows in pieces:
            partition.feed(source, rows)
    return partition


async def rows_of(cluster: Cluster, inputs: Sequence[TP], offsets: Sequence[int]) -> list[list[Rows]]:
    """What each of the inputs has from its offset on."""
    ends = await cluster.ends(inputs)
    return [
        [
            Rows(one.start, one.stop, one.offsets, one.timestamps_ms, one.values, one.keys)
            async for one in cluster.read(tp, offset, ends[tp])
        ]
        for tp, offset in zip(inputs, offsets, strict=True)
    ]


async def _close(cluster: Cluster, old: Side, number: int, moved: Moved) -> None:
    closed = False
    while not closed:  # where another policy comes into force on the way, as often as that
        async with old.writer(cluster, number) as writer:
            partition = await _read_on(cluster, old, number)
            for source, clock_ms in enumerate(moved.clocks_ms):
                partition.move(source, clock_ms)
            partition.advance()
            closed = not partition.switching
            taken = partition.take()
            state = [*(moved.records() if closed else ()), *partition.snapshot()]
            done = dict(zip(old.inputs(number), partition.done, strict=True))
            await writer.commit(emit.records(old.names, number, taken, state), done)


async def open_again(cluster: Cluster, old: Side) -> None:
    """Take the marks away: workers go on here."""
    for number in range(old.partitions):
        async with old.writer(cluster, number) as writer:
            entries = (await part_of(cluster, old.names, number)).entries
            marked = [key for key in entries if key.startswith(f"{MARK}/")]
            if marked:
                state = old.names.output("state")
                await writer.commit([Out(state, number, key.encode(), None) for key in marked], {})
