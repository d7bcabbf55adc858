"""Follows topics to whose records people look: every partition, without a group, committed records alone."""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.cluster import Refused
from streams.kafka import KafkaCluster
from streams.kafka.clients import Clients
from streams.settings import Settings


class Seen(NamedTuple):
    """One record of a topic."""

    topic: str
    value: bytes


async def follow(settings: Settings, topics: Sequence[str], from_start: bool = False) -> AsyncIterator[Seen]:
    """What these topics hold, with ``from_start``, and what comes: for as long as it is asked for.

    The order is that of each partition. Raises `Unavailable` and `Refused`; a broker that goes away later is waited
    for.
    """
    cluster = KafkaCluster(settings)
    try:
        counts = await cluster.partitions(topics)
    finally:
        await cluster.stop()
    for topic in topics:
        if topic not in counts:
            raise Refused(f"there is no topic {topic}; `callwarden topics create` makes it")
    clients = Clients(settings)
    consumer = AIOKafkaConsumer(
        **clients.common(),
        isolation_level="read_committed",
        auto_offset_reset="earliest" if from_start else "latest",
        enable_auto_commit=False,
    )
    try:
        await consumer.start()
        consumer.assign([TopicPartition(topic, n) for topic, count in counts.items() for n in range(count)])
        async for record in consumer:
            if record.value is not None:
                yield Seen(record.topic, record.value)
    except (KafkaError, OSError) as error:
        raise await clients.why(error, f"following {', '.join(topics)}") from None
    finally:
        await consumer.stop()
