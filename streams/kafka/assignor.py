"""Assigns partition numbers to the members of the group: the same of all topics, and only those all topics have."""

from collections.abc import Iterable, Mapping

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


class NumberAssignor(AbstractPartitionAssignor):  # type: ignore[misc]  # aiokafka has no types
    """Assigns the numbers that all topics have, in ranges; with equal counts as Kafka's range assignor does.

    The range assignor handles each topic by itself: if one topic has more partitions, it assigns partition n of
    different topics to different members, and every partition is stalled.
    """

    name = "callwarden-number"
    version = 0

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """The assignment of each member. Topics that do not exist are left out."""
        topics = sorted({topic for metadata in members.values() for topic in metadata.subscription})
        counts = {topic: len(found) for topic in topics if (found := cluster.partitions_for_topic(topic))}
        each, more = divmod(min(counts.values(), default=0), len(members))
        assignment = {}
        for rank, member in enumerate(sorted(members)):
            first = rank * each + min(rank, more)
            numbers = list(range(first, first + each + (rank < more)))
            assignment[member] = ConsumerProtocolMemberAssignment(
                cls.version, [(topic, numbers) for topic in counts], b""
            )
        return assignment

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """The metadata of a member that joins."""
        return ConsumerProtocolMemberMetadata(cls.version, sorted(topics), b"")

    @classmethod
    def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Do nothing."""
