"""A Kafka cluster as one worker sees it: creates consumers and writers, queries metadata, reads without a group."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from streams.kafka.aiokafka_private import know
from streams.kafka.api import TP, CommittedOffset, FetchedBatch, PermanentError, TopicInfo
from streams.kafka.clients import Clients
from streams.kafka.errors import silence_client_logs
from streams.kafka.metadata.queries import MetadataQueries
from streams.kafka.outputs import OutputRecord
from streams.kafka.produce.timestamp_producer import TimestampProducer
from streams.kafka.produce.transactional_writer import KafkaWriter
from streams.settings.load import Settings

if TYPE_CHECKING:
    from streams.kafka.consumer import KafkaConsumer
    from streams.kafka.produce.appender import KafkaAppender
    from streams.kafka.read.group_reader import KafkaGroupReader
    from streams.kafka.read.range_reader import WholeRecord
    from streams.kafka.read.reader import KafkaReader


class KafkaCluster:
    """See `streams.kafka.api.Cluster`. Belongs to one event loop."""

    def __init__(self, settings: Settings, group: str | None = None) -> None:
        """Connects to nothing yet. ``group``: the consumer group, if not the workers'.

        Raises OSError for certificates that cannot be read.
        """
        silence_client_logs()
        self._clients = Clients(settings, group)
        self.questions = MetadataQueries(self._clients)
        self._uncommitted = MetadataQueries(self._clients, committed=False)
        self._stamps = TimestampProducer(self._clients)

    def consumer(self, topics: Sequence[str], collect_s: float = 0.0) -> "KafkaConsumer":
        from streams.kafka.consumer import KafkaConsumer

        return KafkaConsumer(self._clients, self.questions, topics, collect_s)

    def writer(self, transactional_id: str, transaction_s: float | None = None) -> KafkaWriter:
        return KafkaWriter(self._clients, transactional_id, transaction_s)

    def appender(self) -> "KafkaAppender":
        """See `streams.kafka.api.Appender`."""
        from streams.kafka.produce.appender import KafkaAppender

        return KafkaAppender(self._clients)

    def reader(self) -> "KafkaReader":
        from streams.kafka.read.reader import KafkaReader

        return KafkaReader(self._clients)

    def group_reader(self, topics: Sequence[str], group: str) -> "KafkaGroupReader":
        """See `streams.kafka.api.GroupReader`."""
        from streams.kafka.read.group_reader import KafkaGroupReader

        return KafkaGroupReader(self._clients, self.questions, topics, group)

    async def stamp(self, out: OutputRecord) -> int:
        return await self._stamps.stamp(out)

    async def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        return await self.questions.partitions(topics)

    async def topics(self, names: Sequence[str]) -> dict[str, TopicInfo]:
        return await self.questions.topics(names)

    async def not_writable(self, names: Sequence[str]) -> list[str]:
        """See `streams.kafka.write_rights`."""
        return await self.questions.not_writable(names)

    async def topic_config(self, topic: str, name: str) -> str | None:
        """The value of a configuration, such as ``cleanup.policy``. Raises TransientError and PermanentError."""
        from streams.kafka.admin import topic_config

        return await topic_config(self.questions, topic, name)

    async def cluster_id(self) -> str | None:
        """See `streams.consumers.topic_reader.TopicReader`."""
        return await self.questions.cluster_id()

    async def starts(self, tps: Sequence[TP]) -> dict[TP, int]:
        return await self._offsets(tps, AIOKafkaConsumer.beginning_offsets)

    async def ends(self, tps: Sequence[TP]) -> dict[TP, int]:
        return await self._offsets(tps, AIOKafkaConsumer.end_offsets)

    async def high_watermarks(self, tps: Sequence[TP]) -> dict[TP, int]:
        return await self._offsets(tps, AIOKafkaConsumer.end_offsets, self._uncommitted)

    async def committed(self, tps: Sequence[TP]) -> dict[TP, CommittedOffset]:
        """The group's committed offsets; partitions without one are left out.

        Raises TransientError, also while a transaction has written an offset and is not ended, and PermanentError.
        """
        return await self.questions.committed(self._clients.group, tps)

    async def offsets_from(self, tps: Sequence[TP], at_ms: int) -> dict[TP, int]:
        """The first offset of each partition whose record has that timestamp or a later one.

        Partitions without such a record are left out. Raises TransientError and PermanentError.
        """

        async def which(reader: AIOKafkaConsumer, asked: list[TopicPartition]) -> dict[TopicPartition, int]:
            found = await reader.offsets_for_times(dict.fromkeys(asked, at_ms))
            return {tp: at.offset for tp, at in found.items() if at is not None}

        return await self._offsets(tps, which)

    async def read(self, tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        from streams.kafka.read import range_reader

        async with aclosing(range_reader.read(self._clients, tp, start, stop)) as fetches:
            async for fetched in fetches:
                yield fetched

    async def records(self, tp: TP, start: int, stop: int) -> "AsyncIterator[list[WholeRecord]]":
        from streams.kafka.read import range_reader

        async with aclosing(range_reader.records(self._clients, tp, start, stop)) as fetches:
            async for records in fetches:
                yield records

    async def stop(self) -> None:
        await self._stamps.stop()
        await asyncio.gather(self.questions.stop(), self._uncommitted.stop())

    async def _offsets(
        self,
        tps: Sequence[TP],
        which: Callable[..., Awaitable[dict[TopicPartition, int]]],
        queries: MetadataQueries | None = None,
    ) -> dict[TP, int]:
        if not tps:
            return {}
        for topic, partition in tps:
            if not await self.questions.exist(topic, partition):  # aiokafka would wait for it
                raise PermanentError(f"there is no partition {partition} of topic {topic}")

        async def look(reader: AIOKafkaConsumer, _: AIOKafkaAdminClient) -> dict[TP, int]:
            await know(reader, {topic for topic, _ in tps})
            return {TP(*tp): int(at) for tp, at in (await which(reader, [TopicPartition(*tp) for tp in tps])).items()}

        return await (queries or self.questions).ask("looking up offsets", look)
