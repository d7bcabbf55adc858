"""Where the reading of a partition begins: at the group's committed offset, if it still means the same records."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from streams.kafka.api import TP, Cluster, CommittedOffset, PermanentError, TopicInfo, TransientError
from streams.kafka.topic_names import absence

_LOOKS: Final = 5


class GroupCluster(Cluster, Protocol):
    """A cluster as a member of a consumer group sees it; `streams.kafka.cluster.KafkaCluster` implements it."""

    async def committed(self, tps: Sequence[TP]) -> dict[TP, CommittedOffset]:
        """The group's committed offsets; partitions without one are left out.

        Raises TransientError, also while one is not decided, and PermanentError.
        """
        ...


class UnreadRecordsLost(PermanentError):
    """Records that were not read yet are gone, or may be: what to do is for an operator to say."""


class SourceTopicMissing(TransientError):
    """The topic that the group reads does not exist, or ACLs hide it. It may come back."""


@dataclass(frozen=True, slots=True)
class GroupOptions:
    """A group and what it reads.

    ``group`` belongs to this topic alone. The transactional ids are ``transactional_prefix``, ``-`` and the number of
    the partition. ``from_end``: where a new group begins, instead of at the first record. ``program`` is the command
    as an operator calls it. ``ours``: `callwarden topics create` creates the topic.
    """

    topic: str
    group: str
    transactional_prefix: str
    program: str
    from_end: bool = False
    ours: bool = False

    def reset(self, partition: int, to: str) -> str:
        """How an operator sets the offset of a partition; ``to`` as kafka-consumer-groups.sh expects it."""
        return (
            f"stop all `{self.program}` of the group, run kafka-consumer-groups.sh --group {self.group} --topic "
            f"{self.topic}:{partition} --reset-offsets {to} --execute, and start them again"
        )


@dataclass(frozen=True, slots=True)
class StartPosition:
    """The first offset to read, and the note to commit with offsets. ``committed``: the group has one already."""

    offset: int
    note: str
    topic_id: str
    committed: bool


class TopicNote:
    """The note of a committed offset: the id of the topic, and how many partitions it had when the group began."""

    def __init__(self, topic_id: str, partitions: int) -> None:
        self.topic_id, self.partitions = topic_id, partitions

    def __str__(self) -> str:
        return f"{self.topic_id} {self.partitions}"

    @classmethod
    def read(cls, note: str) -> "TopicNote | None":
        """None for a note of another program, such as the empty one of kafka-consumer-groups.sh."""
        topic_id, _, partitions = note.partition(" ")
        return cls(topic_id, int(partitions)) if partitions.isascii() and partitions.isdigit() else None


class StartLookup:
    """Looks up start positions. A broker that has just become leader may not know the end of its log yet."""

    def __init__(self, cluster: GroupCluster, options: GroupOptions) -> None:
        self._cluster, self._options = cluster, options
        self._cut_short = 0

    async def find(self, tp: TP, known_topic_id: str | None) -> StartPosition:
        """The position. ``known_topic_id``: the topic that this process has read so far.

        Raises TransientError, and PermanentError, among them `UnreadRecordsLost`.
        """
        topic = await self.topic()
        found = (await self._cluster.committed([tp])).get(tp)
        start, end = (await self._cluster.starts([tp]))[tp], (await self._cluster.ends([tp]))[tp]
        if found is None:
            offset, note = start, TopicNote(topic.id, topic.partitions)
            recreated = known_topic_id not in (None, topic.id)
            if self._options.from_end and not recreated and await self._is_old(tp.partition):
                offset = end
            return StartPosition(offset, str(note), topic.id, committed=False)
        known = TopicNote.read(found.note)
        if known is not None and known.topic_id != topic.id:
            raise UnreadRecordsLost(
                f"{_name(tp)}: offset {found.offset} is of a topic {tp.topic} that was deleted since and created "
                f"again: which records of the new topic were read is unknown. To read it from its first record: "
                f"{self._options.reset(tp.partition, '--to-earliest')}"
            )
        if found.offset < start:
            raise lost(self._options, tp, found.offset, start)
        if found.offset > end:
            self._cut_short += 1
            if self._cut_short < _LOOKS:
                raise TransientError(f"{_name(tp)} ends at {end}, before the next record to read, {found.offset}")
            raise UnreadRecordsLost(
                f"{_name(tp)}: the next record to read is {found.offset}, but the topic ends at {end}: it lost records "
                f"that were read. To continue with what is written next: "
                f"{self._options.reset(tp.partition, f'--to-offset {end}')}"
            )
        self._cut_short = 0
        kept = known or TopicNote(topic.id, topic.partitions)
        return StartPosition(found.offset, str(kept), topic.id, committed=True)

    async def topic(self) -> TopicInfo:
        """The topic. Raises SourceTopicMissing if it does not exist, and TransientError."""
        name = self._options.topic
        found = (await self._cluster.topics([name])).get(name)
        if found is None:
            raise SourceTopicMissing(absence([name], ours=self._options.ours))
        return found

    async def _is_old(self, number: int) -> bool:
        """Whether the partition was there when the group began; else all of its records are new to the group."""
        first = TP(self._options.topic, 0)
        found = (await self._cluster.committed([first])).get(first)
        known = None if found is None else TopicNote.read(found.note)
        return known is None or number < known.partitions


def lost(options: GroupOptions, tp: TP, offset: int, start: int) -> UnreadRecordsLost:
    """The error for records that were deleted before they were read."""
    return UnreadRecordsLost(
        f"{_name(tp)}: the next record to read is {offset}, but all records before {start} were deleted. To continue "
        f"without them: {options.reset(tp.partition, f'--to-offset {start}')}"
    )


def damaged(options: GroupOptions, tp: TP, why: str, last: int) -> str:
    """What to do about a damaged log."""
    return f"{why}. To skip it: {options.reset(tp.partition, f'--to-offset {last + 1}')}"


def _name(tp: TP) -> str:
    return f"{tp.topic}-{tp.partition}"
