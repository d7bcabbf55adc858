"""An idempotent producer without transactions, for records that are to be visible as soon as they are written."""

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import IllegalOperation, KafkaError

from streams.kafka.api import TP
from streams.kafka.clients import Clients, close
from streams.kafka.errors import translate_error
from streams.kafka.outputs import OutputRecord
from streams.kafka.produce.batch_sender import BATCH_BYTES, send_records, use_fast_compression

_START_S = 20.0
_STOP_S = 5.0
# For how long the client tries again before a record fails.
_REQUEST_MS = 10_000


class KafkaAppender:
    """See `streams.kafka.api.Appender`."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        if self._producer is not None:
            raise RuntimeError("an appender starts once")
        use_fast_compression()
        self._producer = AIOKafkaProducer(
            **self._clients.common(),
            enable_idempotence=True,  # which includes acks=all
            request_timeout_ms=_REQUEST_MS,
            max_batch_size=BATCH_BYTES,
            compression_type="zstd",
        )
        try:
            async with asyncio.timeout(_START_S):
                await self._producer.start()
        # As in `transactional_writer`: a broker that has just restarted may list no brokers, which aiokafka asserts.
        except (KafkaError, AssertionError, OSError, TimeoutError) as error:
            raise await self._clients.explain_error(error, "starting a producer") from None

    async def append(self, records: Sequence[OutputRecord]) -> Mapping[TP, int]:
        if self._producer is None:
            raise RuntimeError("an appender appends once it is started")
        try:
            return await send_records(self._producer, records, transactional=False)
        except (KafkaError, IllegalOperation, AssertionError, OSError, TimeoutError) as error:
            raise translate_error(error, "writing records") from None

    async def stop(self) -> None:
        if self._producer is not None:
            await close(self._producer.stop(), _STOP_S)
