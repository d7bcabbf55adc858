"""An idempotent producer without transactions that partitions records by key, as the workers expect."""

from asyncio import Future
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from monitor.partition.partitioner import Partitioner, partition_of
from streams.kafka.clients import Clients
from streams.settings.load import Settings

# How long a broker may be away before a record fails.
_REQUEST_TIMEOUT_MS = 120_000


class Producer(Protocol):
    """The producer of `keyed_producer`: ``send`` queues a record and returns a future for its acknowledgement."""

    async def send(
        self, topic: str, value: bytes, key: bytes, *, headers: Sequence[tuple[str, bytes]]
    ) -> "Future[Any]": ...


def placed_by(partitioner: Partitioner) -> Callable[[bytes, Sequence[int], Sequence[int]], int]:
    """An aiokafka partitioner that places a key's records where the workers expect them."""

    def place(key: bytes, partitions: Sequence[int], available: Sequence[int]) -> int:
        return partition_of(key, len(partitions), partitioner)

    return place


@asynccontextmanager
async def keyed_producer(settings: Settings, doing: str) -> AsyncIterator[Producer]:
    """A started producer. Its errors inside the block become TransientError or PermanentError, naming ``doing``."""
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
        raise await clients.explain_error(error, doing) from None
    finally:
        await producer.stop()
