"""Moves the state to topics with another number of partitions, by tenant; what was not decided is read there again.

It may be begun again at any time: the former partitions are closed once, what lies in the new topics already is gone on
from, and a new partition has no head, so that no worker takes it for one, until all else of it is there.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from monitor.head import HEAD, MismatchError, PartitionHead
from monitor.idle import CALLS
from monitor.notes import Limit, Move, Switch
from monitor.partition import Partition
from monitor.policy.load import to_plain
from monitor.regroup import Former, Kept, Regrouped, RegroupError, regroup
from monitor.rows import Rows
from monitor.shard.packing import StateFormatError
from monitor.stored import Cutter, MissingPartError
from monitor.topics import INPUTS
from streams.cluster import TP, Cluster, Out, Refused, Unavailable
from streams.emit import encode_note
from streams.state.closing import Side, close_all, open_again, rows_of
from streams.state.look import part_of
from streams.state.mark import Moved, mark_of

_CALLS = INPUTS.index(CALLS)
_BATCH_BYTES = 8 << 20  # of a transaction: it must be through before its time is up


async def move(cluster: Cluster, old: Side, new: Side, told: Callable[[str], None]) -> None:
    """Move the state. No worker may be at work on either side, and nobody may write to the inputs of either.

    Refused where something does not fit; Unavailable, Fenced: to be begun again.
    """
    moved = await close_all(cluster, old, new)
    told(f"closed: {old.partitions} partitions, all judged up to one time")
    try:
        formers = [await _former(cluster, old, number, moved) for number in range(old.partitions)]
        for made in regroup(formers, new.partitions):
            await _make(cluster, new, made, moved)
            again = sum(map(len, made.kept))
            told(f"partition {made.number}: {made.head.shard.tenants:,} tenants, {again:,} records to be read again")
    except (RegroupError, MismatchError, StateFormatError, MissingPartError) as error:
        raise Refused(str(error)) from None


async def undo(cluster: Cluster, old: Side, new: Side) -> None:
    """Have workers go on with the old topics. Refused where some have gone on with the new ones."""
    parts = [await part_of(cluster, old.names, number) for number in range(old.partitions)]
    moved_at = {part.judged.watermark_ms for part in parts if part.judged is not None}
    for number in range(new.partitions):
        judged = (await part_of(cluster, new.names, number)).judged
        if judged is not None and judged.watermark_ms not in moved_at:
            raise Refused(
                f"{new.names.output('state')}-{number} has gone on: what was decided there would be decided again here"
            )
    await open_again(cluster, old)


async def _former(cluster: Cluster, old: Side, number: int, moved: Moved) -> Former:
    async with old.writer(cluster, number):
        records = dict((await part_of(cluster, old.names, number)).entries)
    if mark_of(records) != moved:
        raise Refused(f"partition {number} is not closed any more; expected nobody else to write to its state")
    again = old.new(number)
    inputs = old.inputs(number)
    sources = await rows_of(cluster, inputs, again.restore(records))
    for tp, pieces, done in zip(inputs, sources, again.done, strict=True):
        came = sum(int((rows.offsets >= done).sum()) for rows in pieces)
        if came:
            raise Refused(
                f"{tp.topic}-{tp.partition} got {came} records since it was closed: somebody still writes to it. Have "
                "that stopped; then callwarden state move --undo, a worker to read them, and the move anew"
            )
    return Former.of(old.new(number), records, sources)


async def _make(cluster: Cluster, new: Side, made: Regrouped, moved: Moved) -> None:
    number, names, inputs = made.number, new.names, new.inputs(made.number)
    async with new.writer(cluster, number) as writer:
        for tp, some in zip(inputs, made.kept, strict=True):
            missing = some[len(await _laid(cluster, tp, some)) :]
            for batch in _batches([Out(*tp, one.key, one.value) for one in missing]):
                await writer.commit(batch, {})
    async with new.writer(cluster, number) as writer:  # anew: all that was written can be seen then
        offsets = [await _laid(cluster, tp, some) for tp, some in zip(inputs, made.kept, strict=True)]
        if list(map(len, offsets)) != list(map(len, made.kept)):
            raise Unavailable(f"partition {number}: not all that was written can be read yet")
        ends = await cluster.ends(inputs)
        head = made.head_at(offsets, [ends[tp] for tp in inputs], moved.clocks_ms)
        cut = Cutter().cut([*made.entries.items(), (HEAD, msgspec.msgpack.encode(head))])
        records = {key: value for key, value in cut if value is not None}
        rows = await rows_of(cluster, inputs, [source.resume for source in head.sources])
        _prove(new.new(number), records, rows, made, moved)
        state = names.output("state")
        there = (await part_of(cluster, names, number)).entries
        if {k: v for k, v in there.items() if _of_head(k)} == {k: v for k, v in records.items() if _of_head(k)}:
            return
        if any(map(_of_head, there)):
            raise Refused(
                f"{state}-{number} has a state that is not of this move: it is of another attempt, and the new topics "
                "must be made anew; or workers have gone on with it, and the move is done"
            )
        entries = [Out(state, number, key.encode(), None) for key in there if key not in records]
        entries += [Out(state, number, key.encode(), value) for key, value in records.items() if not _of_head(key)]
        for batch in _batches(entries):
            await writer.commit(batch, {})
        last = [Out(names.output("clock"), number, str(number).encode(), note) for note in _notes(made, head)]
        last += [Out(state, number, key.encode(), value) for key, value in records.items() if _of_head(key)]
        await writer.commit(last, {})


def _of_head(key: str) -> bool:
    return key.startswith(f"{HEAD}/")


async def _laid(cluster: Cluster, tp: TP, kept: Sequence[Kept]) -> list[int]:
    """At which offsets of its new topic what is kept of a source lies, as far as it does. Refused: there is more."""
    start, end = (await cluster.starts([tp]))[tp], (await cluster.ends([tp]))[tp]
    offsets: list[int] = []
    found: list[tuple[bytes | None, bytes | None]] = []
    async for one in cluster.read(tp, start, end):
        offsets += one.offsets.tolist()
        found += zip(one.keys, one.values, strict=True)
    if found != [(one.key, one.value) for one in kept[: len(found)]]:
        raise Refused(
            f"{tp.topic}-{tp.partition} has records already that are not of this move: expected nobody to write to it "
            "before. Have that stopped, and make the new topics anew"
        )
    return offsets


def _prove(
    partition: Partition, records: dict[str, bytes], sources: Sequence[Sequence[Rows]], made: Regrouped, moved: Moved
) -> None:
    """Refused unless a worker that restores this and reads its inputs has what was kept, and nothing is due."""
    partition.restore(records)
    waiting = [one.at_ms for source, some in enumerate(made.kept) if source != _CALLS for one in some]
    for source, pieces in enumerate(sources):
        for rows in pieces if source != _CALLS else ():
            partition.feed(source, rows)
    handover = partition.shard.handover(partition.watermark_ms)
    assert handover is not None, "no call was read yet"
    for rows in sources[_CALLS]:
        partition.feed(_CALLS, rows)
    proven = (
        sorted(one.at_ms for one in handover.waiting) == sorted(waiting)
        and partition.open_calls == len(made.kept[_CALLS])
        and tuple(partition.clocks_ms) == moved.clocks_ms
        and not partition.due
    )
    if not proven:
        raise Refused(
            f"partition {made.number}: what would be stored does not say what the former partitions do, so it is not. "
            "That is a fault of callwarden: please report it"
        )


def _notes(made: Regrouped, head: PartitionHead) -> Iterator[bytes]:
    """What the new clock log begins with, as if the new topics had been there all along."""
    for era in made.eras if head.eras else ():
        yield encode_note(None, Switch(era.from_ms, era.policy.sha256, to_plain(era.policy)))
    for source, known in enumerate(head.sources):
        notes: list[Move | Limit] = [*known.moves, *known.limits]
        for note in notes:
            yield encode_note(source, note)


def _batches(outs: Sequence[Out]) -> Iterator[list[Out]]:
    batch: list[Out] = []
    size = 0
    for out in outs:
        batch.append(out)
        size += len(out.value or b"") + len(out.key or b"")
        if size > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
