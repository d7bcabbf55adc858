"""Moves the state to topics with another number of partitions, by tenant; undecided records are read again there.

The move can be restarted at any time: the old partitions are closed once, records already in the new topics are kept,
and a new partition gets its head last, so that no worker uses an incomplete state.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

import msgspec
import numpy as np

from monitor.core.codec import StateFormatError
from monitor.core.shard_state import ShardState
from monitor.decoding.input_topics import INPUTS
from monitor.partition.checkpoint import HEAD, CheckpointMetadata, MismatchError
from monitor.partition.chunking import Chunker, MissingChunkError
from monitor.partition.idleness import CALLS
from monitor.partition.journal import ClockAdvance, MaxAheadChange, PolicyChange, ReviewKeysChange
from monitor.partition.record_batch import RecordBatch
from monitor.partition.rescaling.compatibility import RescaleError
from monitor.partition.rescaling.rescale import rescaled
from monitor.partition.rescaling.rescaled_partition import RescaledPartition
from monitor.partition.rescaling.source_partition import KeptRecord, SourcePartition
from monitor.partition.rescaling.source_reading import SourceReading
from monitor.partition.task import StreamTask
from monitor.policy.load import to_plain
from streams.kafka.api import TP, Cluster, OutputRecord, PermanentError, TransientError
from streams.savepoint.close import PartitionClose, RescaleSide, moved_elsewhere, moved_markers, open_again
from streams.savepoint.stray_records import CarriedRecord, StrayRecords, carried_from, find_stray_records
from streams.topics.moved_marker import MovedMarker, marker_of
from streams.topics.owners_topic import newest_owner_bans
from streams.topics.state_inputs import current_inputs
from streams.topics.state_topic import part_of
from streams.topics.transaction_records import encode_journal_entry, owner_ban_record

_CALLS = INPUTS.index(CALLS)

MOST_KEPT_BYTES = 1 << 30
"""The most bytes of records that were read and are not decided, of all partitions: they are in memory."""

_BATCH_BYTES = 8 << 20  # of a transaction, which must end before its time-out


async def move(cluster: Cluster, old: RescaleSide, new: RescaleSide, told: Callable[[str], None]) -> None:
    """Move the state. No worker may run on either side, and no producer may write to the inputs of either side.

    Raises PermanentError if something does not fit: before anything is written if that is known by then, else with the
    command to undo the move. After TransientError or Fenced the move can be restarted.
    """
    closing = PartitionClose(cluster, old, new)
    moved = await closing.mark()
    stray_records = await find_stray_records(cluster, old, new.partitions)
    if closing.ended and (why := await _gone_on(cluster, old, new, stray_records)):
        raise PermanentError(f"{why}: the move is complete")
    try:
        formers = await _close(cluster, old, new, closing, moved, stray_records, told)
        for number, former in enumerate(formers):
            await _check_quiet(cluster, old.inputs(number), former)
        await _copy_owner_bans(cluster, old, new)
        for made in rescaled(formers, new.partitions):
            await _make(cluster, new, made, moved, stray_records.of(made.number))
            again = sum(map(len, made.kept))
            told(f"partition {made.number}: {made.head.shard.tenants:,} tenants, {again:,} records to be read again")
        if stray_records.count:
            told(
                f"carried over: {stray_records.count:,} records of partitions {old.partitions} and above, "
                "read by no worker"
            )
    except (PermanentError, RescaleError, MismatchError, StateFormatError, MissingChunkError) as error:
        back = (
            f"\nThe former partitions are closed. To let their workers continue: {_back(new)}" if closing.begun else ""
        )
        raise PermanentError(f"{error}{back}") from None


async def _close(
    cluster: Cluster,
    old: RescaleSide,
    new: RescaleSide,
    closing: PartitionClose,
    moved: MovedMarker,
    stray_records: StrayRecords,
    told: Callable[[str], None],
) -> list[SourcePartition]:
    """Close the old partitions, after checking that the new ones can be built from them, and return them."""
    formers: list[SourcePartition] = []
    digests: list[bytes] = []
    for number in range(old.partitions):
        records = await closing.records(number, moved)
        room = MOST_KEPT_BYTES - sum(former.kept_bytes for former in formers)
        formers.append(await _former(cluster, old, number, records, room))
        digests.append(_digest(records))
    if not closing.ended:
        for number, former in enumerate(formers):
            await _check_quiet(cluster, old.inputs(number), former)
        for made in rescaled(formers, new.partitions):
            await _try(cluster, new, made, moved, stray_records.of(made.number))
        await closing.close(moved)
        for number, digest in enumerate(digests):
            records = await closing.records(number, moved)
            if _digest(records) != digest:  # records arrived before it was closed
                others = sum(former.kept_bytes for other, former in enumerate(formers) if other != number)
                formers[number] = await _former(cluster, old, number, records, MOST_KEPT_BYTES - others)
    told(f"closed: {old.partitions} partitions, all judged up to one time")
    return formers


async def _copy_owner_bans(cluster: Cluster, old: RescaleSide, new: RescaleSide) -> None:
    """Write the bans of owners to the new topic, for partitions that lose their state. The new states have them."""
    tp = old.names.owners
    start, end = (await cluster.starts([tp]))[tp], (await cluster.ends([tp]))[tp]
    outs = [owner_ban_record(new.names, ban) for ban in await newest_owner_bans(cluster, tp, start, end)]
    async with new.writer(cluster, 0) as writer:
        for batch in _batches(outs):
            await writer.commit(batch, {})


async def undo(cluster: Cluster, old: RescaleSide, new: RescaleSide) -> None:
    """Let workers use the old topics again. Raises PermanentError if the new ones have been used since."""
    for mark in (await moved_markers(cluster, old)).values():
        if not mark.leads_to(new.names, new.partitions):
            raise PermanentError(moved_elsewhere(mark))
    if why := await _gone_on(cluster, old, new, await find_stray_records(cluster, old, new.partitions)):
        raise PermanentError(f"{why}: an undo would decide those records twice, or lose them")
    await open_again(cluster, old)


def _back(new: RescaleSide) -> str:
    names = new.names
    return (
        f"callwarden state move --undo --to-input-prefix {names.input_prefix} --to-output-prefix {names.output_prefix} "
        f"--to-application-id {new.application_id}"
    )


async def _gone_on(cluster: Cluster, old: RescaleSide, new: RescaleSide, stray_records: StrayRecords) -> str | None:
    """What has changed in the new topics since the move, or None: nothing that matters."""
    parts = [await part_of(cluster, old.names, number) for number in range(old.partitions)]
    moved_at = {part.judged.watermark_ms for part in parts if part.judged is not None and marker_of(part.entries)}
    for number in range(new.partitions) if moved_at else ():
        judged = (await part_of(cluster, new.names, number)).judged
        if judged is None:
            continue
        if judged.watermark_ms not in moved_at:
            return f"workers have continued with {new.names.output('state')}-{number}"
        if judged.control:
            return f"workers have taken commands from {new.names.output('control')}-{number}"
        for tp, source, laid in zip(new.inputs(number), judged.sources, stray_records.of(number), strict=True):
            if (came := await _came(cluster, tp, source.done) - len(laid)) > 0:
                return f"{tp.topic}-{number} received {came} records"
    return None


async def _former(
    cluster: Cluster, old: RescaleSide, number: int, records: dict[str, bytes], room: int
) -> SourcePartition:
    """An old partition, built from its state and what it reads again. Raises PermanentError if more than ``room`` bytes
    of records are not decided.
    """
    reading, inputs = SourceReading(old.new(number), records), old.inputs(number)
    ends = await cluster.ends(inputs)
    for source in reading.order:
        tp = inputs[source]
        async for batch in cluster.read(tp, reading.offsets[source], min(reading.done[source], ends[tp])):
            reading.feed(source, batch.rows)
            if reading.kept_bytes > room:
                raise PermanentError(
                    f"expected at most {MOST_KEPT_BYTES:,} bytes of records that are read and not decided, got more in "
                    f"partitions 0 to {number}: stop the producers, and run workers until they have decided them"
                )
    return reading.result()


def _digest(records: Mapping[str, bytes]) -> bytes:
    """A digest that identifies a state."""
    seen = hashlib.sha256()
    for key, value in sorted(records.items()):
        seen.update(f"{key} {len(value)} ".encode())
        seen.update(value)
    return seen.digest()


async def _check_quiet(cluster: Cluster, inputs: Sequence[TP], former: SourcePartition) -> None:
    """Raise PermanentError if records still arrive."""
    for tp, source in zip(inputs, former.head.sources, strict=True):
        if came := await _came(cluster, tp, source.done):
            raise PermanentError(
                f"{tp.topic}-{tp.partition} received {came} records meanwhile: a producer still writes to it. Stop the "
                "producer, let a worker read the records, and start the move again"
            )


async def _came(cluster: Cluster, tp: TP, offset: int) -> int:
    """The number of records from an offset on."""
    end = (await cluster.ends([tp]))[tp]
    return sum([len(batch) async for batch in cluster.read(tp, offset, end)])


async def _try(
    cluster: Cluster,
    new: RescaleSide,
    made: RescaledPartition,
    moved: MovedMarker,
    stray_records: Sequence[Sequence[CarriedRecord]],
) -> None:
    """Raise PermanentError if the new partition cannot be built; nothing is written."""
    number, names = made.number, new.names
    async with new.writer(cluster, number):
        if any(map(_of_head, (await part_of(cluster, names, number)).entries)):
            raise PermanentError(
                f"{names.output('state')}-{number} already has a state; expected none: recreate the new topics"
            )
        for tp, some, more in zip(new.inputs(number), made.kept, stray_records, strict=True):
            await _laid(cluster, tp, [*_carried(some), *more])
    offsets = [list(range(len(some))) for some in made.kept]
    head = made.head_at(offsets, [0] * len(offsets), moved.clocks_ms)

    async def read(source: int) -> AsyncIterator[RecordBatch]:
        yield _rows(made.kept[source])

    await _prove(new.new(number), _stored(made, head), read, made, moved)


def _carried(kept: Sequence[KeptRecord]) -> list[CarriedRecord]:
    return [CarriedRecord(one.key, one.value, one.signature) for one in kept]


def _rows(kept: Sequence[KeptRecord]) -> RecordBatch:
    """The rows as they would be read from the beginning of a topic."""
    count, times_ms = len(kept), np.array([one.at_ms for one in kept], np.int64)
    keys, values = [one.key for one in kept], [one.value for one in kept]
    return RecordBatch(0, count, np.arange(count), times_ms, values, keys)


def _stored(made: RescaledPartition, head: CheckpointMetadata) -> dict[str, bytes]:
    """The records of a new partition's state."""
    cut = Chunker().cut([*made.entries.items(), (HEAD, msgspec.msgpack.encode(head))])
    return {key: value for key, value in cut if value is not None}


async def _make(
    cluster: Cluster,
    new: RescaleSide,
    made: RescaledPartition,
    moved: MovedMarker,
    stray_records: Sequence[Sequence[CarriedRecord]],
) -> None:
    number, names, inputs = made.number, new.names, new.inputs(made.number)
    # After the records that were read before come those that were not: new input to the new partition.
    lie = [[*_carried(some), *more] for some, more in zip(made.kept, stray_records, strict=True)]
    async with new.writer(cluster, number) as writer:
        for tp, wanted in zip(inputs, lie, strict=True):
            missing = wanted[len(await _laid(cluster, tp, wanted)) :]
            for batch in _batches([record.to(tp) for record in missing]):
                await writer.commit(batch, {})
    async with new.writer(cluster, number) as writer:  # a new writer: all that was written is visible then
        laid = [await _laid(cluster, tp, wanted) for tp, wanted in zip(inputs, lie, strict=True)]
        if list(map(len, laid)) != list(map(len, lie)):
            raise TransientError(f"partition {number}: not all written records can be read yet")
        ends = await cluster.ends(inputs)
        counts = list(map(len, made.kept))
        offsets = [at[:count] for at, count in zip(laid, counts, strict=True)]
        empty = [at[0] if at else ends[tp] for tp, at in zip(inputs, laid, strict=True)]
        head = made.head_at(offsets, empty, moved.clocks_ms)
        head = msgspec.structs.replace(head, inputs=await current_inputs(cluster, names))
        records = _stored(made, head)

        async def read(source: int) -> AsyncIterator[RecordBatch]:
            written = head.sources[source]
            async for batch in cluster.read(inputs[source], written.resume, written.done):
                yield batch.rows

        await _prove(new.new(number), records, read, made, moved)
        state = names.output("state")
        there = (await part_of(cluster, names, number)).entries
        if {k: v for k, v in there.items() if _of_head(k)} == {k: v for k, v in records.items() if _of_head(k)}:
            return
        if any(map(_of_head, there)):
            raise PermanentError(
                f"{state}-{number} has a state of another attempt, or of workers that "
                "ran on it; expected none: recreate the new topics"
            )
        entries = [OutputRecord(state, number, key.encode(), None) for key in there if key not in records]
        entries += [
            OutputRecord(state, number, key.encode(), value) for key, value in records.items() if not _of_head(key)
        ]
        for batch in _batches(entries):
            await writer.commit(batch, {})
        last = [
            OutputRecord(names.output("clock"), number, str(number).encode(), entry)
            for entry in _journal_entries(made, head)
        ]
        last += [OutputRecord(state, number, key.encode(), value) for key, value in records.items() if _of_head(key)]
        await writer.commit(last, {})


def _of_head(key: str) -> bool:
    return key.startswith(f"{HEAD}/")


async def _laid(cluster: Cluster, tp: TP, wanted: Sequence[CarriedRecord]) -> list[int]:
    """The offsets of these records in a new topic, as far as they were written.

    Raises PermanentError if the topic has other records.
    """
    start, end = (await cluster.starts([tp]))[tp], (await cluster.ends([tp]))[tp]
    offsets: list[int] = []
    async for one in cluster.read(tp, start, end):
        if list(carried_from(one)) != list(wanted[len(offsets) : len(offsets) + len(one)]):
            raise PermanentError(
                f"{tp.topic}-{tp.partition} already has records of another producer; expected none before the "
                "move: stop the producer, and recreate the new topics"
            )
        offsets += one.offsets.tolist()
    return offsets


async def _prove(
    partition: StreamTask,
    records: dict[str, bytes],
    read: Callable[[int], AsyncIterator[RecordBatch]],
    made: RescaledPartition,
    moved: MovedMarker,
) -> None:
    """Raise PermanentError unless a worker that restores this and reads its inputs has all kept records, none due.

    ``read`` returns what it reads of a source.
    """
    partition.restore(records)
    waiting = [one.at_ms for source, some in enumerate(made.kept) if source != _CALLS for one in some]
    for source in range(len(made.kept)):
        if source != _CALLS:
            async for rows in read(source):
                partition.feed(source, rows)
    handover = ShardState(partition.shard).handover(partition.watermark.ms)
    assert handover is not None, "no call was read yet"
    async for rows in read(_CALLS):
        partition.feed(_CALLS, rows)
    proven = (
        sorted(one.at_ms for one in handover.waiting) == sorted(waiting)
        and len(partition.shard.open_panes) == len(made.kept[_CALLS])
        and tuple(partition.sources.clocks_ms) == moved.clocks_ms
        and not partition.due
    )
    if not proven:
        raise PermanentError(
            f"partition {made.number}: the new state differs from the former ones, so nothing was written. "
            "This is a defect of callwarden: please report it"
        )


def _journal_entries(made: RescaledPartition, head: CheckpointMetadata) -> Iterator[bytes]:
    """The first entries of the new clock log, as if the new topics had always existed."""
    for version in made.versions:
        yield encode_journal_entry(None, PolicyChange(version.from_ms, version.policy.sha256, to_plain(version.policy)))
    for source, known in enumerate(head.sources):
        entries: list[ClockAdvance | MaxAheadChange | ReviewKeysChange] = [
            *known.moves,
            *known.limits,
            *known.review_keys,
        ]
        for entry in entries:
            yield encode_journal_entry(source, entry)


def _batches(outs: Sequence[OutputRecord]) -> Iterator[list[OutputRecord]]:
    batch: list[OutputRecord] = []
    size = 0
    for out in outs:
        batch.append(out)
        size += len(out.value or b"") + len(out.key or b"")
        if size > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
