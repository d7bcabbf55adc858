"""Produces record batches unchanged, including those that no client would send."""

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple, Self

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import LeaderNotAvailableError, for_code
from aiokafka.protocol.produce import ProduceRequest

from helpers.patience import PATIENCE_S
from streams.kafka.api import TP

_NO_LEADER = -1
_AGAIN_S = 0.1


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
        """Append the batch; like every client, ask for the leader again while it is none or another."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                answer, is_elsewhere = await self._send(tp, batch)
                if not is_elsewhere:
                    return answer
                await asyncio.sleep(_AGAIN_S)
                await self._client.force_metadata_update()

    async def _send(self, tp: TP, batch: bytes) -> tuple[Answer, bool]:
        """The leader's answer, and whether it says that the metadata is old."""
        leader = self._client.cluster.leader_for_partition(tp)
        if leader is None or leader == _NO_LEADER:
            return Answer(LeaderNotAvailableError.__name__, -1), True
        request = ProduceRequest(None, -1, 10_000, [(tp.topic, [(tp.partition, batch)])])
        ((_, ((_, code, offset, *_),)),) = (await self._client.send(leader, request)).topics
        error = for_code(code)
        return Answer("" if code == 0 else error.__name__, offset), error.invalid_metadata


async def send(address: str, tp: TP, batch: bytes) -> str:
    """Append the batch at the broker; return the name of its error, or ``""``."""
    async with RawProducer(address, [tp.topic]) as producer:
        return (await producer.send(tp, batch)).error
