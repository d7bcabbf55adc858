"""Sends records in batches: those of a partition in order, partitions concurrently."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from functools import partial
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, Final, TypeVar, cast

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidTxnState, MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError
from aiokafka.structs import RecordMetadata

from monitor.compression import compressed
from monitor.text.masking import mask_id
from streams.kafka.aiokafka_private import BuiltBatch, replace_zstd
from streams.kafka.api import TP, PermanentError
from streams.kafka.fetch.record_batch import HEADER_BYTES
from streams.kafka.outputs import OutputColumns, OutputRecord, Outputs
from streams.kafka.produce import native_batches
from streams.kafka.produce.encoded_batch import EncodedBatch
from streams.runtime.wall_clock import epoch_ms

_APPENDED_AT_ONCE: Final = 1_000  # records, before the event loop gets a turn
BATCH_BYTES: Final = 1_000_000
"""The most bytes of a batch before compression, unless it is a single record.

A broker compares what it gets with ``max.message.bytes``, 1,048,588 by default.
"""

_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError)

T = TypeVar("T")


def use_fast_compression() -> None:
    """Have producers compress at level 1 of zstd: a fourth of the time of aiokafka's own. Measures become smaller."""
    replace_zstd(compressed)


async def send_records(producer: AIOKafkaProducer, records: Outputs, *, transactional: bool) -> dict[TP, int]:
    """Send all records and wait for their acknowledgements; returns the last offset by partition, negative if unknown.

    The producer must have `BATCH_BYTES` as its ``max_batch_size``, and compress by zstd. The broker stores a batch at a
    first try whose response is lost, and then no longer knows where.
    """
    by_tp = _by_partition(records)
    batches = partial(_encoded, transactional=transactional) if native_batches.enabled else partial(_appended, producer)
    sent = await _all(_send_in_order(producer, TP(*tp), out, batches(out)) for tp, out in by_tp.items())
    return {TP(*tp): last for tp, last in zip(by_tp, sent, strict=True)}


def _by_partition(records: Outputs) -> dict[tuple[str, int], Sequence[OutputRecord]]:
    """The records of each partition, in order; those that came as columns still are."""
    found: dict[tuple[str, int], list[Sequence[OutputRecord]]] = {}
    for kind, run in groupby(records, type):
        if kind is OutputColumns:
            for columns in cast(Iterable[OutputColumns], run):
                found.setdefault((columns.topic, columns.partition), []).append(columns)
            continue
        singles = cast(Iterable[OutputRecord], run)
        for tp, some in groupby(singles, itemgetter(0, 1)):  # a plain tuple is made several times as fast as a `TP`
            found.setdefault(tp, []).append(list(some))
    return {tp: _joined(parts) for tp, parts in found.items()}


def _joined(parts: list[Sequence[OutputRecord]]) -> Sequence[OutputRecord]:
    columns = [part for part in parts if isinstance(part, OutputColumns)]
    if len(columns) == len(parts):
        return columns[0].followed_by(columns[1:])
    return list(chain.from_iterable(parts))


async def _encoded(records: Sequence[OutputRecord], *, transactional: bool) -> AsyncIterator[tuple[Any, int]]:
    """The records in batches, each with the number of the first record that is not in it."""
    start, now_ms = 0, epoch_ms()
    while start < len(records):
        encoded, stop = native_batches.encode(records, start, BATCH_BYTES - HEADER_BYTES)
        batch = EncodedBatch(encoded, stop - start, now_ms, transactional)
        yield BuiltBatch(batch.count, batch.size, batch.build), stop
        start = stop
        await asyncio.sleep(0)  # the event loop gets a turn


async def _appended(producer: AIOKafkaProducer, records: Sequence[OutputRecord]) -> AsyncIterator[tuple[Any, int]]:
    """As `_encoded`, by aiokafka's builder, which takes several times as long."""
    batch = producer.create_batch()
    for number, (_, _, key, value, headers) in enumerate(records):
        if number % _APPENDED_AT_ONCE == _APPENDED_AT_ONCE - 1:
            await asyncio.sleep(0)
        listed = list(headers)
        if batch.append(timestamp=None, key=key, value=value, headers=listed) is None:
            yield batch, number
            batch = producer.create_batch()
            batch.append(timestamp=None, key=key, value=value, headers=listed)
    batch.close()
    yield batch, len(records)


async def _send_in_order(
    producer: AIOKafkaProducer, tp: TP, records: Sequence[OutputRecord], batches: AsyncIterator[tuple[Any, int]]
) -> int:
    """Send the records of one partition in batches; returns the offset of the last, negative if unknown."""
    waiting: list[tuple[asyncio.Future[RecordMetadata], Sequence[OutputRecord]]] = []
    start = 0
    async for batch, stop in batches:
        waiting.append((await producer.send_batch(batch, tp.topic, partition=tp.partition), records[start:stop]))
        start = stop
    first = (await _all(_named(sending, tp, some) for sending, some in waiting))[-1].offset
    return first + len(waiting[-1][1]) - 1 if first >= 0 else -1


async def _named(sending: Awaitable[T], tp: TP, records: Sequence[OutputRecord]) -> T:
    """The result of ``sending``. Raises PermanentError, naming the largest record, if the batch is too large."""
    try:
        return await sending
    except _TOO_LARGE as error:
        largest = max(records, key=lambda record: len(record.key or b"") + len(record.value or b""))
        key = mask_id((largest.key or b"").decode(errors="backslashreplace")[:128])
        raise PermanentError(
            f"{tp.topic}-{tp.partition}: the broker refuses a batch of {len(records):,} records for its size "
            f"({type(error).__name__}); the largest is of {len(largest.value or b''):,} bytes, under the key {key!r}. "
            "Expected max.message.bytes of the topic to be at least 1,048,588; see `callwarden topics check`"
        ) from None


async def _all(waiting: Iterable[Awaitable[T]]) -> list[T]:
    """The results of all; raises the first error once all have ended, so that none keeps running.

    A partition that the broker refuses ends the transaction, which then fails for the others: that is no cause.
    """
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if errors:
        raise next((error for error in errors if not isinstance(error, InvalidTxnState)), errors[0])
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
