"""The seam between whoever follows topics and a Kafka cluster."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from streams.kafka.api import TP, FetchedBatch, Reader, TopicInfo


class TopicReader(Protocol):
    """A cluster, as one who follows topics sees it; `streams.kafka.cluster.KafkaCluster` is one."""

    async def cluster_id(self) -> str | None:
        """By which the cluster is told from all others; None where it has no such name. Unavailable, Refused."""
        ...

    def reader(self) -> Reader:
        """A new reader."""
        ...

    async def topics(self, names: Sequence[str]) -> dict[str, TopicInfo]:
        """See `streams.kafka.api.Cluster`."""
        ...

    async def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        """See `streams.kafka.api.Cluster`."""
        ...

    async def starts(self, tps: Sequence[TP]) -> dict[TP, int]:
        """See `streams.kafka.api.Cluster`."""
        ...

    async def ends(self, tps: Sequence[TP]) -> dict[TP, int]:
        """See `streams.kafka.api.Cluster`."""
        ...

    def read(self, tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        """See `streams.kafka.api.Cluster`."""
        ...
