"""The ledger's progress through its topics, stored in its database for read-only commands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select, update

from streams.consumers.data_loss import same_cluster
from streams.consumers.ledger.tables import POSITIONS, PROGRESS
from streams.consumers.sql_common import insert_new
from streams.consumers.topic_reader import TopicReader
from streams.kafka.api import TP
from streams.kafka.topic_names import require_topics

_ID = 1


@dataclass(frozen=True, slots=True)
class LedgerProgress:
    """One state of the ledger's database. ``as_of_ms``: it holds everything committed to the topics by then.

    ``service_ms``: when `callwarden ledger run` last wrote to it. None: never.
    """

    as_of_ms: int | None
    service_ms: int | None
    positions: Mapping[TP, int]
    clusters: frozenset[str]

    @property
    def is_of_files(self) -> bool:
        """Whether the database was filled from files (`streams.consumers.offline`), and has never seen a broker."""
        return bool(self.positions) and not self.clusters and self.as_of_ms is None and self.service_ms is None


UNKNOWN: Final = LedgerProgress(None, None, {}, frozenset())
"""The progress of a database that cannot be read."""


def progress_of(connection: Connection) -> LedgerProgress:
    """The progress in the state that this connection sees."""
    row = connection.execute(select(PROGRESS.c.as_of_ms, PROGRESS.c.service_ms)).one_or_none()
    as_of_ms, service_ms = row or (None, None)
    clusters = frozenset(POSITIONS.clusters(connection))
    return LedgerProgress(as_of_ms, service_ms, POSITIONS.known(connection), clusters)


def note_progress(connection: Connection, as_of_ms: int | None, service_ms: int | None = None) -> None:
    """Raise the stored times to these. The caller's transaction must see everything committed by ``as_of_ms``."""
    connection.execute(insert_new(connection, PROGRESS).values(id=_ID))
    for column, at_ms in ((PROGRESS.c.as_of_ms, as_of_ms), (PROGRESS.c.service_ms, service_ms)):
        if at_ms is not None:
            earlier = column.is_(None) | (column < at_ms)
            connection.execute(update(PROGRESS).where(earlier).values({column: at_ms}))


async def records_behind(cluster: TopicReader, topics: Sequence[str], progress: LedgerProgress) -> int:
    """The count of offsets beyond the positions, with transaction markers. Raises TransientError, PermanentError."""
    counts = await cluster.partitions(topics)
    require_topics(counts, topics)
    ends = await cluster.ends([TP(topic, number) for topic in topics for number in range(counts[topic])])
    same_cluster("ledger", progress.clusters, await cluster.cluster_id(), {})
    return sum(max(0, end - progress.positions.get(tp, 0)) for tp, end in ends.items())
