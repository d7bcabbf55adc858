"""A new partition of a move: whether it can be built, and the writing of its inputs and its state."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import msgspec
import numpy as np

from monitor.core.shard_state import ShardState
from monitor.decoding.input_topics import INPUTS
from monitor.partition.checkpoint import HEAD, CheckpointMetadata
from monitor.partition.checkpoint_fields import is_head_part
from monitor.partition.chunking import Chunker
from monitor.partition.idleness import CALLS
from monitor.partition.journal import ClockAdvance, MaxAheadChange, PolicyChange, ReviewKeysChange
from monitor.partition.record_batch import RecordBatch
from monitor.partition.rescaling.rescaled_partition import RescaledPartition
from monitor.partition.rescaling.source_partition import KeptRecord
from monitor.partition.task import StreamTask
from monitor.policy.load import to_plain
from streams.kafka.api import TP, Cluster, PermanentError, TransientError
from streams.kafka.outputs import OutputRecord
from streams.savepoint.close import RescaleSide
from streams.savepoint.stray_records import CarriedRecord, carried_from
from streams.savepoint.transactions import transactions
from streams.topics.moved_marker import MovedMarker
from streams.topics.state_inputs import current_inputs
from streams.topics.state_topic import part_of
from streams.topics.transaction_records import encode_journal_entry

_CALLS = INPUTS.index(CALLS)


async def check_new_partition(
    cluster: Cluster,
    new: RescaleSide,
    made: RescaledPartition,
    moved: MovedMarker,
    stray_records: Sequence[Sequence[CarriedRecord]],
) -> None:
    """Raise PermanentError if the new partition cannot be built; nothing is written."""
    number, names = made.number, new.names
    async with new.writer(cluster, number):
        if any(map(is_head_part, (await part_of(cluster, names, number)).entries)):
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


async def write_new_partition(
    cluster: Cluster,
    new: RescaleSide,
    made: RescaledPartition,
    moved: MovedMarker,
    stray_records: Sequence[Sequence[CarriedRecord]],
) -> None:
    """Write the new partition, the head last. What an earlier attempt has written stays.

    Raises PermanentError if the topics have other records or another state, and TransientError if what was written
    cannot be read yet.
    """
    number, names, inputs = made.number, new.names, new.inputs(made.number)
    # After the records that were read before come those that were not: new input to the new partition.
    lie = [[*_carried(some), *more] for some, more in zip(made.kept, stray_records, strict=True)]
    async with new.writer(cluster, number) as writer:
        for tp, wanted in zip(inputs, lie, strict=True):
            missing = wanted[len(await _laid(cluster, tp, wanted)) :]
            for batch in transactions([record.to(tp) for record in missing]):
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
        if {k: v for k, v in there.items() if is_head_part(k)} == {k: v for k, v in records.items() if is_head_part(k)}:
            return
        if any(map(is_head_part, there)):
            raise PermanentError(
                f"{state}-{number} has a state of another attempt, or of workers that "
                "ran on it; expected none: recreate the new topics"
            )
        entries = [OutputRecord(state, number, key.encode(), None) for key in there if key not in records]
        entries += [
            OutputRecord(state, number, key.encode(), value) for key, value in records.items() if not is_head_part(key)
        ]
        for batch in transactions(entries):
            await writer.commit(batch, {})
        last = [
            OutputRecord(names.output("clock"), number, str(number).encode(), entry)
            for entry in _journal_entries(made, head)
        ]
        last += [
            OutputRecord(state, number, key.encode(), value) for key, value in records.items() if is_head_part(key)
        ]
        await writer.commit(last, {})


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
