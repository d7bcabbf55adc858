"""Which member of the group gets which partition numbers: of all topics alike, and none that a topic does not have."""

from collections.abc import Iterable, Mapping

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


class NumberAssignor(AbstractPartitionAssignor):  # type: ignore[misc]  # aiokafka has no types
    """Deals out the numbers that all topics have, in ranges. With equal counts it assigns as Kafka's range assignor.

    That one assigns each topic by itself: where one topic got more partitions than the others, it gives partition n of
    them to different members, and every partition stands still.
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
        """What a member says of itself when it joins."""
        return ConsumerProtocolMemberMetadata(cls.version, sorted(topics), b"")

    @classmethod
    def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Nothing is kept of it."""
