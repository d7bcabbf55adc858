"""The interface between topic consumers and a Kafka cluster."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from streams.kafka.api import TP, FetchedBatch, Reader, TopicInfo


class TopicReader(Protocol):
    """A cluster as a topic consumer uses it; `streams.kafka.cluster.KafkaCluster` implements it."""

    async def cluster_id(self) -> str | None:
        """The cluster's unique id; None if it has none. Raises TransientError or PermanentError."""
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
