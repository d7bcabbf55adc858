"""Metadata queries to a cluster over shared connections, which are replaced after a failure."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.kafka.api import TP, CommittedOffset, TopicInfo
from streams.kafka.clients import Clients, close
from streams.kafka.metadata.committed_offsets import committed_offsets
from streams.kafka.metadata.topics_with_ids import describe, not_writable

_ASK_S = 15.0
_STOP_S = 5.0
REQUEST_MS = 10_000

T = TypeVar("T")


class MetadataQueries:
    """Metadata queries; bound to the event loop of the first query.

    ``committed``: whether the ends of partitions are those of committed records.
    """

    def __init__(self, clients: Clients, committed: bool = True) -> None:
        self._clients = clients
        self._committed = committed
        self._lock = asyncio.Lock()
        self._connected: tuple[AIOKafkaConsumer, AIOKafkaAdminClient] | None = None
        self._counts: dict[str, int] = {}

    async def ask(self, doing: str, question: Callable[[AIOKafkaConsumer, AIOKafkaAdminClient], Awaitable[T]]) -> T:
        """The answer to ``question``. Raises TransientError and PermanentError, whose messages name ``doing``."""
        used = None
        try:
            async with asyncio.timeout(_ASK_S):
                used = await self._connect()
                return await question(*used)
        except (KafkaError, OSError, TimeoutError) as error:
            if used is self._connected:  # else another query failed earlier and replaced the connections
                await self.stop()
            raise await self._clients.explain_error(error, doing) from None

    async def partitions(self, topics: Collection[str]) -> dict[str, int]:
        """The number of partitions of each existing topic."""
        return {topic: info.partitions for topic, info in (await self.topics(topics)).items()}

    async def topics(self, names: Collection[str]) -> dict[str, TopicInfo]:
        """The number of partitions and the id of each existing topic."""

        async def look(_: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> dict[str, TopicInfo]:
            return await describe(admin, names)

        found = await self.ask("looking at the topics", look)
        for topic in names:
            self._counts.pop(topic, None)
        self._counts |= {topic: info.partitions for topic, info in found.items()}
        return {topic: found[topic] for topic in names if topic in found}

    async def not_writable(self, names: Collection[str]) -> list[str]:
        """The existing ones of these topics that ACLs do not allow us to write to."""

        async def look(_: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> list[str]:
            return await not_writable(admin, names)

        return await self.ask("asking which topics may be written", look)

    async def cluster_id(self) -> str | None:
        """The cluster's id, None if it has none."""

        async def look(_: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> str | None:
            return (await admin.describe_cluster()).get("cluster_id") or None

        return await self.ask("asking which cluster it is", look)

    async def committed(self, group: str, tps: Collection[TP]) -> dict[TP, CommittedOffset]:
        """The offsets that a group has committed; partitions without one are left out."""

        async def look(_: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> dict[TP, CommittedOffset]:
            return await committed_offsets(admin, group, tps)

        return await self.ask(f"looking up the offsets of group {group}", look)

    async def exist(self, topic: str, partition: int) -> bool:
        """Whether the partition exists; a positive answer is cached."""
        if partition >= self._counts.get(topic, 0):
            await self.partitions([topic])
        return partition < self._counts.get(topic, 0)

    async def stop(self) -> None:
        """Close the connections; the next query opens new ones."""
        connected, self._connected = self._connected, None
        if connected is not None:
            # Concurrently: an interrupt while the first is closed would leave the other coroutine never awaited.
            await asyncio.gather(close(connected[0].stop(), _STOP_S), close(connected[1].close(), _STOP_S))

    async def _connect(self) -> tuple[AIOKafkaConsumer, AIOKafkaAdminClient]:
        async with self._lock:
            if self._connected is None:
                made: Any = (
                    self._clients.asker(committed=self._committed, request_timeout_ms=REQUEST_MS),
                    AIOKafkaAdminClient(**self._clients.common(), request_timeout_ms=REQUEST_MS),
                )
                try:
                    for client in made:
                        await client.start()
                except BaseException:
                    await close(made[0].stop(), _STOP_S)
                    await close(made[1].close(), _STOP_S)
                    raise
                self._connected = made
            return self._connected
