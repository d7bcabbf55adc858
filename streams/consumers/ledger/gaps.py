"""Skips records that were deleted before they were recorded, and records the gap, who accepted it, and why."""

from typing import Any

from sqlalchemy import Connection, insert

from monitor.text.masking import mask_text
from streams.consumers.data_loss import same_cluster
from streams.consumers.database import Database
from streams.consumers.ledger.journal import GapAccepted, append
from streams.consumers.ledger.tables import LOSSES, POSITIONS
from streams.consumers.ledger.up_to_date import topics_of
from streams.consumers.topic_reader import TopicReader
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames

Gaps = dict[TP, tuple[int, int]]
"""For each partition, the first deleted offset and the first offset that still exists."""


async def gaps(cluster: TopicReader, database: Database, names: TopicNames) -> Gaps:
    """What was deleted before it was recorded. Raises TransientError or PermanentError (including `OtherCluster`)."""
    topics = topics_of(names)
    counts = await cluster.partitions(topics)
    starts = await cluster.starts([TP(topic, number) for topic in counts for number in range(counts[topic])])
    same_cluster(database.name, await database.run(POSITIONS.clusters), await cluster.cluster_id(), starts)
    known = await database.run(POSITIONS.known)
    return {tp: (known.get(tp, 0), start) for tp, start in starts.items() if known.get(tp, 0) < start}


async def accept(database: Database, lost: Gaps, at_ms: int, who: str, reason: str) -> None:
    """Skip these gaps; telephone numbers in ``reason`` are masked. Raises ConcurrentWriter if they are skipped already;
    TransientError."""

    def write(connection: Connection) -> None:
        POSITIONS.begin(connection, {tp: first for tp, (first, _) in lost.items()}, None)
        for tp, (first, stop) in lost.items():
            POSITIONS.move(connection, tp, first, stop)
        said: dict[str, Any] = {"at_ms": at_ms, "accepted_by": who, "reason": mask_text(reason)}
        rows = [{**tp._asdict(), "first": first, "stop": stop, **said} for tp, (first, stop) in sorted(lost.items())]
        connection.execute(insert(LOSSES), rows)
        append(connection, [GapAccepted(**row) for row in rows], at_ms)

    await database.run(write)
