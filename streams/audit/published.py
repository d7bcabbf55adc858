"""Reads what is published in a topic partition."""

from streams.audit.compare import PublishedRecord
from streams.kafka.api import TP, Cluster


async def records_between(cluster: Cluster, tp: TP, start: int, end: int) -> list[PublishedRecord]:
    """The records with offsets from ``start`` to before ``end``."""
    return [
        PublishedRecord(record.offset, record.key, record.value, tuple(record.headers))
        async for records in cluster.records(tp, start, end)
        for record in records
    ]


async def every_record(cluster: Cluster, tp: TP) -> list[PublishedRecord]:
    """All records that are there now."""
    return await records_between(cluster, tp, (await cluster.starts([tp]))[tp], (await cluster.ends([tp]))[tp])
