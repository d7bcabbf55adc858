"""Follows topics for display: every partition, without a group, only committed records."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import NamedTuple

import structlog

from streams.kafka.api import TP, CorruptLog, OffsetOutOfRange
from streams.kafka.cluster import KafkaCluster
from streams.kafka.topic_names import require_topics
from streams.settings.load import Settings

log = structlog.get_logger("callwarden")

_POLL_S = 0.25
_MOST = 2_000


class TailedRecord(NamedTuple):
    """One record of a topic."""

    topic: str
    value: bytes


async def follow(settings: Settings, topics: Sequence[str], from_start: bool = False) -> AsyncGenerator[TailedRecord]:
    """The new records of these topics, and with ``from_start`` also the existing ones, until the caller stops.

    The order is that of each partition. Raises TransientError and PermanentError; waits for a broker that goes away
    later. Unreadable records are skipped and logged with their place.
    """
    cluster = KafkaCluster(settings)
    try:
        counts = await cluster.partitions(topics)
        require_topics(counts, topics)
        tps = [TP(topic, number) for topic in topics for number in range(counts[topic])]
        at = await (cluster.starts if from_start else cluster.ends)(tps)
        while True:
            async with aclosing(_follow(cluster, at)) as some:
                async for seen in some:
                    yield seen
    finally:
        await cluster.stop()


async def _follow(cluster: KafkaCluster, at: dict[TP, int]) -> AsyncGenerator[TailedRecord]:
    """The records from the positions ``at`` on, which it advances, until a log cannot be read at its position."""
    reader = cluster.reader()
    try:
        await reader.start(at)
        while True:
            for tp, fetched in (await reader.poll(_POLL_S, _MOST)).items():
                at[tp] = fetched.stop
                for offset, value in zip(fetched.offsets.tolist(), fetched.values, strict=True):
                    bad = fetched.unreadable.get(offset)
                    if bad is not None and bad.first_offset is not None:
                        log.warning("passed over", topic=tp.topic, partition=tp.partition, why=bad.reason)
                    elif value is not None:
                        yield TailedRecord(tp.topic, value)
    except CorruptLog as damaged:
        log.warning("passed over", why=str(damaged))
        at[damaged.tp] = damaged.last + 1
    except OffsetOutOfRange as truncated:
        log.warning("the log starts again", why=str(truncated))
        at |= await cluster.starts([truncated.tp])
    finally:
        await reader.stop()
