"""Sends records in batches: those of a partition in order, partitions concurrently."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError

from monitor.text.masking import mask_id
from streams.kafka.api import TP, OutputRecord, PermanentError

_APPENDED_AT_ONCE = 1_000  # records, before the event loop gets a turn
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError)

T = TypeVar("T")


async def send_records(producer: AIOKafkaProducer, records: Iterable[OutputRecord]) -> dict[TP, int]:
    """Send all records and wait for their acknowledgements; returns the last offset by partition, negative if unknown.

    The broker stores a batch at a first try whose response is lost, and then no longer knows where.
    """
    by_tp: dict[TP, list[OutputRecord]] = {}
    for record in records:
        by_tp.setdefault(TP(record.topic, record.partition), []).append(record)
    sent = await _all(_send_in_order(producer, tp, out) for tp, out in by_tp.items())
    return dict(zip(by_tp, sent, strict=True))


async def _send_in_order(producer: AIOKafkaProducer, tp: TP, records: Iterable[OutputRecord]) -> int:
    """Send the records of one partition in batches; returns the offset of the last, negative if unknown."""
    waiting: list[Any] = []  # futures of batches
    sent: list[list[OutputRecord]] = [[]]  # their records
    count = 0
    batch = producer.create_batch()
    for number, record in enumerate(records, 1):
        if number % _APPENDED_AT_ONCE == 0:
            await asyncio.sleep(0)
        parts = {"timestamp": None, "key": record.key, "value": record.value, "headers": list(record.headers)}
        if batch.append(**parts) is None:
            waiting.append(await producer.send_batch(batch, tp.topic, partition=tp.partition))
            batch = producer.create_batch()
            batch.append(**parts)
            sent.append([])
        sent[-1].append(record)
        count = batch.record_count()
    batch.close()
    waiting.append(await producer.send_batch(batch, tp.topic, partition=tp.partition))
    first = (await _all(_named(one, tp, some) for one, some in zip(waiting, sent, strict=True)))[-1].offset
    return first + count - 1 if first >= 0 else -1


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
    """The results of all; raises the first error once all have ended, so that none keeps running."""
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    results = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return results
