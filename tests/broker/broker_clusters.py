"""Topics, records and clusters for the broker tests, created directly with aiokafka."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from deadlines import deadline

from helpers.patience import PATIENCE_S
from streams.kafka.api import TP, Consumer, FetchedBatch, Listener
from streams.kafka.cluster import KafkaCluster
from streams.kafka.consumer import KafkaConsumer
from streams.kafka.produce.transactional_writer import KafkaWriter
from streams.settings.load import Settings, load


class TidyCluster(KafkaCluster):
    """Stops every client that it created: a test that fails half-way would leave connections open."""

    def __init__(self, settings: Settings, group: str | None = None) -> None:
        super().__init__(settings, group)
        self._made: list[KafkaConsumer | KafkaWriter] = []

    def consumer(self, topics: Sequence[str], collect_s: float = 0.0) -> KafkaConsumer:
        self._made.append(made := super().consumer(topics, collect_s))
        return made

    def writer(self, transactional_id: str, transaction_s: float | None = None) -> KafkaWriter:
        self._made.append(made := super().writer(transactional_id, transaction_s))
        return made

    async def stop(self) -> None:
        for made in self._made:
            await made.stop()
        await super().stop()


@asynccontextmanager
async def cluster_at(address: str, group: str | None = None, **options: object) -> AsyncIterator[KafkaCluster]:
    """A cluster with a unique application id, unless ``options`` set another one. ``group``: another group."""
    settings = load({"bootstrap_servers": address, "application_id": f"app-{uuid.uuid4().hex}"} | options)
    cluster = TidyCluster(settings, group)
    try:
        yield cluster
    finally:
        await cluster.stop()
        if settings.security != "PLAINTEXT":
            # aiokafka drops a connection that was refused, and its TLS shutdown runs in the background, where nothing
            # can await it. The event loop ends with the test, and an open socket then is a warning.
            await asyncio.sleep(0.5)


async def create_topics(
    address: str, names: Iterable[str], partitions: int = 1, replicas: int = 1, config: Mapping[str, str] | None = None
) -> None:
    """Create topics, and wait until each partition has a leader that answers: a broker knows a topic's name and leader
    before it has opened its log, and refuses records meanwhile.
    """
    new = [NewTopic(name, partitions, replicas, topic_configs=dict(config or {})) for name in names]
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        answer = await admin.create_topics(new)
        assert all(not error for _, error, *_ in answer.topic_errors), answer
    finally:
        await admin.close()
    tps = [TopicPartition(topic.name, number) for topic in new for number in range(partitions)]
    async with AIOKafkaConsumer(bootstrap_servers=address, request_timeout_ms=round(PATIENCE_S * 1000)) as consumer:
        await consumer.beginning_offsets(tps)  # asks the leaders, again and again until they answer


async def make_topic(
    address: str, partitions: int = 1, suffix: str = "", prefix: str | None = None, **config: str
) -> str:
    """Create a topic whose name ends with ``suffix`` and begins with ``prefix``, or in a way of its own; in ``config``,
    underscores stand for dots.
    """
    name = f"{prefix or f't-{uuid.uuid4().hex}'}{suffix}"
    await create_topics(
        address, [name], partitions, config={key.replace("_", "."): value for key, value in config.items()}
    )
    return name


async def delete_below(address: str, tp: TP, offset: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(*tp): RecordsToDelete(offset)})
    finally:
        await admin.close()


async def produce(address: str, tp: TP, values: Sequence[bytes], **producer: object) -> None:
    async with AIOKafkaProducer(bootstrap_servers=address, **producer) as sender:
        for value in values:
            await sender.send(tp.topic, value, key=b"k", partition=tp.partition)
        await sender.flush()


async def in_transactions(address: str, tp: TP, *transactions: tuple[bool, Sequence[bytes]]) -> None:
    """Write each (committed?, values) in a transaction of its own."""
    async with AIOKafkaProducer(bootstrap_servers=address, transactional_id=uuid.uuid4().hex) as sender:
        for committed, values in transactions:
            await sender.begin_transaction()
            for value in values:
                await sender.send(tp.topic, value, partition=tp.partition)
            await (sender.commit_transaction() if committed else sender.abort_transaction())


async def until(holds: Callable[[], object]) -> None:
    async with deadline(getattr(holds, "__qualname__", repr(holds))):
        while not holds():
            await asyncio.sleep(0.05)


async def transactions_end(address: str, tps: Iterable[TP]) -> None:
    """Wait for the markers of all transactions that have been committed or aborted, as for one in `end_reaches`."""
    asked = [TopicPartition(*tp) for tp in tps]
    async with (
        AIOKafkaConsumer(bootstrap_servers=address) as every,
        AIOKafkaConsumer(bootstrap_servers=address, isolation_level="read_committed") as stable,
        deadline("all transactions have ended"),
    ):
        while await every.end_offsets(asked) != await stable.end_offsets(asked):
            await asyncio.sleep(0.05)


async def end_reaches(cluster: KafkaCluster, tp: TP, offset: int) -> None:
    """Wait for a marker, which is written after the commit is acknowledged."""
    async with deadline(f"{tp.topic}-{tp.partition} ends at {offset}"):
        while (await cluster.ends([tp]))[tp] < offset:
            await asyncio.sleep(0.05)
    assert await cluster.ends([tp]) == {tp: offset}


class Member:
    """A consumer, and the partitions that its listener was assigned and lost."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer
        self.assigned: list[frozenset[TP]] = []
        self.revoked: list[frozenset[TP]] = []
        self.listener = Listener(self._revoked, self._assigned)

    async def start(self) -> None:
        await self.consumer.start(self.listener)
        await until(lambda: self.assigned)

    def go(self, *positions: tuple[TP, int]) -> None:
        for tp, offset in positions:
            self.consumer.seek(tp, offset)
        self.consumer.resume([tp for tp, _ in positions])

    async def take(self, tp: TP, count: int, most: int = 1000) -> list[FetchedBatch]:
        """Poll until the batches hold ``count`` records."""
        batches: list[FetchedBatch] = []
        async with deadline(f"{count} records of {tp.topic}-{tp.partition}"):
            while sum(map(len, batches)) < count:
                batches += (await self.consumer.poll([tp], 0.2, most)).values()
        return batches

    async def _assigned(self, tps: frozenset[TP]) -> None:
        self.assigned.append(tps)

    async def _revoked(self, tps: frozenset[TP]) -> None:
        self.revoked.append(tps)


def values(batches: Sequence[FetchedBatch]) -> list[bytes | None]:
    return [value for batch in batches for value in batch.values]


def offsets(batches: Sequence[FetchedBatch]) -> list[int]:
    return [int(offset) for batch in batches for offset in batch.offsets]


def assert_seamless(batches: Sequence[FetchedBatch], start: int) -> None:
    """Each batch begins where the previous one ended and holds only offsets between its start and stop."""
    for batch in batches:
        assert batch.start == start
        found = batch.offsets.tolist()
        assert found == sorted(set(found))
        assert not found or (start <= found[0] and found[-1] < batch.stop)
        assert len(batch.keys) == len(batch.values) == len(batch.timestamps_ms) == len(found)
        start = batch.stop


def numbered(first: int, count: int) -> list[bytes]:
    """Values that contain their own offsets."""
    return [b"%d" % number for number in range(first, first + count)]
