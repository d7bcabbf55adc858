"""Moves the state to topics with another number of partitions, by tenant; undecided records are read again there.

The move can be restarted at any time: the old partitions are closed once, records already in the new topics are kept,
and a new partition gets its head last, so that no worker uses an incomplete state.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

from monitor.core.codec import StateFormatError
from monitor.partition.checkpoint import MismatchError
from monitor.partition.chunking import MissingChunkError
from monitor.partition.rescaling.compatibility import RescaleError
from monitor.partition.rescaling.rescale import rescaled
from monitor.partition.rescaling.source_partition import SourcePartition
from monitor.partition.rescaling.source_reading import SourceReading
from streams.kafka.api import TP, Cluster, PermanentError
from streams.savepoint.close import PartitionClose, RescaleSide, moved_elsewhere, moved_markers, open_again
from streams.savepoint.new_partition import check_new_partition, write_new_partition
from streams.savepoint.stray_records import StrayRecords, find_stray_records
from streams.savepoint.transactions import transactions
from streams.topics.moved_marker import MovedMarker, marker_of
from streams.topics.owners_topic import newest_owner_bans
from streams.topics.state_topic import part_of
from streams.topics.transaction_records import owner_ban_record

MOST_KEPT_BYTES = 1 << 30
"""The most bytes of records that were read and are not decided, of all partitions: they are in memory."""


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
            await write_new_partition(cluster, new, made, moved, stray_records.of(made.number))
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
            await check_new_partition(cluster, new, made, moved, stray_records.of(made.number))
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
        for batch in transactions(outs):
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
