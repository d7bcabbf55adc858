"""Writes single records outside of transactions to get the broker's timestamps."""

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.kafka.api import PermanentError
from streams.kafka.clients import Clients, close
from streams.kafka.errors import translate_error
from streams.kafka.outputs import OutputRecord

_WITHIN_S = 5.0
_STOP_S = 5.0
_LOG_APPEND_TIME = 1


class TimestampProducer:
    """A producer that is created with the first record, and again after a failure."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._producer: AIOKafkaProducer | None = None

    async def stamp(self, out: OutputRecord) -> int:
        """See `streams.kafka.api.Cluster.stamp`."""
        doing = f"writing to {out.topic}"
        try:
            async with asyncio.timeout(_WITHIN_S):
                if self._producer is None:
                    self._producer = AIOKafkaProducer(**self._clients.common(), request_timeout_ms=5_000)
                    await self._producer.start()
                sent = await self._producer.send_and_wait(
                    out.topic, out.value, key=out.key, partition=out.partition, headers=list(out.headers)
                )
        except (KafkaError, AssertionError, OSError, TimeoutError) as error:
            await self.stop()
            raise translate_error(error, doing) from None
        if sent.timestamp_type != _LOG_APPEND_TIME or sent.timestamp is None:
            raise PermanentError(
                f"{doing}: expected message.timestamp.type=LogAppendTime; `callwarden topics check` names the fix"
            )
        return int(sent.timestamp)

    async def stop(self) -> None:
        """Close the connection."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await close(producer.stop(), _STOP_S)
