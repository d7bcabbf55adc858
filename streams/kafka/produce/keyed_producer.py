"""An idempotent producer without transactions that places records by key, as the workers expect them."""

from asyncio import Future
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from monitor.partition.key_check import Partitioner, partition_of
from streams.kafka.clients import Clients
from streams.settings.load import Settings

# How long a broker may be away before a record fails.
_REQUEST_TIMEOUT_MS = 120_000


class Producer(Protocol):
    """What `keyed_producer` yields: ``send`` queues a record; the future that it returns is its acknowledgement."""

    async def send(
        self, topic: str, value: bytes, key: bytes, *, headers: Sequence[tuple[str, bytes]]
    ) -> "Future[Any]": ...


def placed_by(partitioner: Partitioner) -> Callable[[bytes, Sequence[int], Sequence[int]], int]:
    """A partitioner for aiokafka: where the workers expect a key's records."""

    def place(key: bytes, partitions: Sequence[int], available: Sequence[int]) -> int:
        return partition_of(key, len(partitions), partitioner)

    return place


@asynccontextmanager
async def keyed_producer(settings: Settings, doing: str) -> AsyncIterator[Producer]:
    """A started producer. What it raises inside comes out as `Unavailable` or `Refused`, which names ``doing``."""
    clients = Clients(settings)
    producer = AIOKafkaProducer(
        **clients.common(),
        partitioner=placed_by(settings.partitioner),
        enable_idempotence=True,
        linger_ms=20,
        max_batch_size=1 << 19,
        request_timeout_ms=_REQUEST_TIMEOUT_MS,
    )
    try:
        await producer.start()
        yield producer
    except (KafkaError, OSError) as error:
        raise await clients.why(error, doing) from None
    finally:
        await producer.stop()
