"""A transactional producer: writes all records of a transaction or none, and is fenced by a newer one."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    IllegalOperation,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RecordTooLargeError,
)

from monitor.text.masking import mask_id
from streams.kafka.api import TP, OutputRecord, PermanentError, TransientError
from streams.kafka.clients import Clients, close
from streams.kafka.errors import translate_error

# The broker aborts a transaction after this long; `commit` gives up a little earlier.
_TRANSACTION_MS = 60_000
_COMMIT_S = 55.0
_START_S = 60.0
_STOP_S = 5.0
# The broker compares the size of a batch with `max.message.bytes`, 1,048,588 by default.
_BATCH_BYTES = 1_000_000
_APPENDED_AT_ONCE = 1_000  # records, before the event loop gets a turn

_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError)

T = TypeVar("T")


class KafkaWriter:
    """See `streams.kafka.api.Writer`."""

    def __init__(self, clients: Clients, transactional_id: str) -> None:
        self._clients = clients
        self._id = transactional_id
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        if self._producer is not None:
            raise RuntimeError("a writer starts once")
        self._producer = AIOKafkaProducer(
            **self._clients.common(),
            transactional_id=self._id,
            transaction_timeout_ms=_TRANSACTION_MS,
            request_timeout_ms=20_000,
            max_batch_size=_BATCH_BYTES,
            # A dead letter may have come in a compressed batch and be too large to be written uncompressed.
            compression_type="zstd",
        )
        try:
            async with asyncio.timeout(_START_S):
                await self._producer.start()
        # A broker that has just restarted may list no brokers at first, not even itself; aiokafka asserts that it does.
        except (KafkaError, AssertionError, OSError, TimeoutError) as error:
            raise await self._clients.explain_error(error, f"starting writer {self._id}") from None

    async def commit(self, records: Sequence[OutputRecord], offsets: Mapping[TP, int]) -> int:
        if self._producer is None:
            raise RuntimeError("a writer commits once it is started")
        producer = self._producer
        try:
            async with asyncio.timeout(_COMMIT_S):
                await producer.begin_transaction()
                last = await self._send(producer, records)
                if offsets:
                    group = self._clients.settings.group
                    await producer.send_offsets_to_transaction(
                        {TopicPartition(*tp): offset for tp, offset in offsets.items()}, group
                    )
                await producer.commit_transaction()
        # After a failure in the background, aiokafka's own assertions fail.
        except (KafkaError, IllegalOperation, AssertionError, OSError, TimeoutError) as error:
            raise translate_error(error, f"writing as {self._id}") from None
        return last

    async def stop(self) -> None:
        if self._producer is not None:
            await close(self._producer.stop(), _STOP_S)

    async def _send(self, producer: AIOKafkaProducer, records: Sequence[OutputRecord]) -> int:
        """Send all records, partitions concurrently; returns the offset of the last record."""
        by_tp: dict[TP, list[OutputRecord]] = {}
        for record in records:
            by_tp.setdefault(TP(record.topic, record.partition), []).append(record)
        sent = await _all(_send_in_order(producer, tp, out) for tp, out in by_tp.items())
        last = dict(zip(by_tp, sent, strict=True))[TP(records[-1].topic, records[-1].partition)]
        if last < 0:
            # The broker stored it at a first try whose response was lost, and no longer knows where.
            raise TransientError(f"writing as {self._id}: the broker does not say where it put the records")
        return last


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
