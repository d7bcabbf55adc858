"""A transactional producer: writes all records of a transaction or none, and is fenced by a newer one."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, KafkaError
from aiokafka.structs import OffsetAndMetadata

from streams.kafka.aiokafka_private import add_to_transaction
from streams.kafka.api import TP, TransientError
from streams.kafka.clients import Clients, close
from streams.kafka.errors import translate_error
from streams.kafka.outputs import Outputs
from streams.kafka.produce.batch_sender import BATCH_BYTES, send_records, use_fast_compression

# The broker aborts a transaction after this long; `commit` gives up a little earlier.
_TRANSACTION_MS = 60_000
_COMMIT_S = 55.0
_COMMIT_PART = 0.8
_START_S = 60.0
_STOP_S = 5.0


class KafkaWriter:
    """See `streams.kafka.api.Writer`."""

    def __init__(self, clients: Clients, transactional_id: str, transaction_s: float | None = None) -> None:
        """``transaction_s``: the broker aborts a transaction after that time; None: the time for decisions."""
        self._clients = clients
        self._id = transactional_id
        self._transaction_s = transaction_s
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        if self._producer is not None:
            raise RuntimeError("a writer starts once")
        given_s = self._transaction_s
        use_fast_compression()
        self._producer = AIOKafkaProducer(
            **self._clients.common(),
            transactional_id=self._id,
            transaction_timeout_ms=_TRANSACTION_MS if given_s is None else round(given_s * 1000),
            request_timeout_ms=20_000,
            max_batch_size=BATCH_BYTES,
            # A dead letter may have come in a compressed batch and be too large to be written uncompressed.
            compression_type="zstd",
        )
        try:
            async with asyncio.timeout(_START_S):
                await self._producer.start()
        # A broker that has just restarted may list no brokers at first, not even itself; aiokafka asserts that it does.
        except (KafkaError, AssertionError, OSError, TimeoutError) as error:
            raise await self._clients.explain_error(error, f"starting writer {self._id}") from None

    async def commit(self, records: Outputs, offsets: Mapping[TP, int], note: str = "") -> int:
        async with self._transaction() as producer:
            last = await self._send(producer, records) if records else -1
            if offsets:
                committed = {TopicPartition(*tp): OffsetAndMetadata(offset, note) for tp, offset in offsets.items()}
                await producer.send_offsets_to_transaction(committed, self._clients.group)
        return last

    async def commit_again(self, tps: Sequence[TP]) -> None:
        async with self._transaction() as producer:
            add_to_transaction(producer, [TopicPartition(*tp) for tp in tps])

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AIOKafkaProducer]:
        """A transaction of what is done meanwhile. Raises Fenced, TransientError and PermanentError."""
        if self._producer is None:
            raise RuntimeError("a writer commits once it is started")
        within_s = _COMMIT_S if self._transaction_s is None else self._transaction_s * _COMMIT_PART
        try:
            async with asyncio.timeout(within_s):
                await self._producer.begin_transaction()
                yield self._producer
                await self._producer.commit_transaction()
        # After a failure in the background, aiokafka's own assertions fail.
        except (KafkaError, IllegalOperation, AssertionError, OSError, TimeoutError) as error:
            raise translate_error(error, f"writing as {self._id}") from None

    async def stop(self) -> None:
        if self._producer is not None:
            await close(self._producer.stop(), _STOP_S)

    async def _send(self, producer: AIOKafkaProducer, records: Outputs) -> int:
        """Send all records, partitions concurrently; returns the offset of the last record."""
        last = (await send_records(producer, records, transactional=True))[TP(records[-1].topic, records[-1].partition)]
        if last < 0:
            # The broker stored it at a first try whose response was lost, and no longer knows where.
            raise TransientError(f"writing as {self._id}: the broker does not say where it put the records")
        return last
