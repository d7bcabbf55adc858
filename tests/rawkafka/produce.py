"""Produces record batches unchanged, including those that no client would send."""

from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple, Self

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.produce import ProduceRequest

from streams.kafka.api import TP


class Answer(NamedTuple):
    """The name of the broker's error, or ``""`` if it accepted the batch, and the offset of the batch's
    first record.
    """

    error: str
    offset: int


class RawProducer:
    """Appends batches to these topics, over one client."""

    def __init__(self, address: str, topics: Iterable[str]) -> None:
        self._client = AIOKafkaClient(bootstrap_servers=address)
        self._topics = list(topics)

    async def __aenter__(self) -> Self:
        await self._client.bootstrap()
        await self._client.set_topics(self._topics)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._client.close()

    async def send(self, tp: TP, batch: bytes) -> Answer:
        """Append the batch."""
        leader = self._client.cluster.leader_for_partition(tp)
        request = ProduceRequest(None, -1, 10_000, [(tp.topic, [(tp.partition, batch)])])
        ((_, ((_, code, offset, *_),)),) = (await self._client.send(leader, request)).topics
        return Answer("" if code == 0 else str(for_code(code).__name__), offset)


async def send(address: str, tp: TP, batch: bytes) -> str:
    """Append the batch at the broker; return the name of its error, or ``""``."""
    async with RawProducer(address, [tp.topic]) as producer:
        return (await producer.send(tp, batch)).error
