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


class GroupTopicMissing(TransientError):
    """The topic that the group reads, or that of its state, does not exist, or ACLs hide it. It may come back."""


@dataclass(frozen=True, slots=True)
class GroupOptions:
    """A group and what it reads.

    ``group`` belongs to this topic alone. The transactional ids are ``transactional_prefix``, ``-`` and the number of
    the partition. ``from_end``: where a new group begins, instead of at the first record. ``program`` is the command
    as an operator calls it. ``ours``: `callwarden topics create` creates the topic. ``state``: the topic whose records
    the handlers restore; None if they have no state.
    """

    topic: str
    group: str
    transactional_prefix: str
    program: str
    from_end: bool = False
    ours: bool = False
    state: str | None = None

    def reset(self, partition: int, to: str) -> str:
        """How an operator sets the offset of a partition; ``to`` as kafka-consumer-groups.sh expects it."""
        return (
            f"stop all `{self.program}` of the group, run kafka-consumer-groups.sh --group {self.group} --topic "
            f"{self.topic}:{partition} --reset-offsets {to} --execute, and start them again"
        )


@dataclass(frozen=True, slots=True)
class StartPosition:
    """The first offset to read, and the note to commit with offsets. ``committed``: the group has one already.

    ``state_id``: the id of the topic of the state, empty without one.
    """

    offset: int
    note: str
    topic_id: str
    state_id: str
    committed: bool


class TopicNote:
    """The note of a committed offset: the id of the topic, how many partitions it had when the group began, and the id
    of the topic of the state, empty without one.
    """

    def __init__(self, topic_id: str, partitions: int, state_id: str) -> None:
        self.topic_id, self.partitions, self.state_id = topic_id, partitions, state_id

    def __str__(self) -> str:
        return f"{self.topic_id} {self.partitions} {self.state_id}".rstrip()

    @classmethod
    def read(cls, note: str) -> "TopicNote | None":
        """None for a note of another program, such as the empty one of kafka-consumer-groups.sh."""
        topic_id, partitions, state_id = (*note.split(" "), "", "")[:3]
        return cls(topic_id, int(partitions), state_id) if partitions.isascii() and partitions.isdigit() else None


class StartLookup:
    """Looks up start positions. A broker that has just become leader may not know the end of its log yet."""

    def __init__(self, cluster: GroupCluster, options: GroupOptions) -> None:
        self._cluster, self._options = cluster, options
        self._cut_short = 0

    async def find(self, tp: TP, known_topic_id: str | None) -> StartPosition:
        """The position. ``known_topic_id``: the topic that this process has read so far.

        Raises TransientError, and PermanentError, among them `UnreadRecordsLost`.
        """
        topic, state_id = await self.topic(), await self.state_id()
        found = (await self._cluster.committed([tp])).get(tp)
        start, end = (await self._cluster.starts([tp]))[tp], (await self._cluster.ends([tp]))[tp]
        if found is None:
            offset, note = start, TopicNote(topic.id, topic.partitions, state_id)
            recreated = known_topic_id not in (None, topic.id)
            if self._options.from_end and not recreated and await self._is_old(tp.partition):
                offset = end
            return StartPosition(offset, str(note), topic.id, state_id, committed=False)
        known = TopicNote.read(found.note)
        if known is not None and known.topic_id != topic.id:
            raise UnreadRecordsLost(
                f"{_name(tp)}: offset {found.offset} is of a topic {tp.topic} that was deleted since and created "
                f"again: which records of the new topic were read is unknown. To read it from its first record: "
                f"{self._options.reset(tp.partition, '--to-earliest')}"
            )
        if known is not None and known.state_id not in ("", state_id):
            raise UnreadRecordsLost(
                f"{_name(tp)}: {self._options.state}, which has what was open at offset {found.offset}, was deleted "
                f"since and created again. To read that again, from a time before the oldest of it: "
                f"{self._options.reset(tp.partition, '--to-datetime YYYY-MM-DDTHH:MM:SS.sss')}; to continue without "
                f"it, the same with --to-current"
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
        note = TopicNote(topic.id, topic.partitions if known is None else known.partitions, state_id)
        return StartPosition(found.offset, str(note), topic.id, state_id, committed=True)

    async def topic(self) -> TopicInfo:
        """The topic. Raises GroupTopicMissing if it does not exist, and TransientError."""
        return await self._found(self._options.topic)

    async def state_id(self) -> str:
        """The id of the topic of the state, empty without one. Raises as `topic`."""
        return "" if self._options.state is None else (await self._found(self._options.state)).id

    async def _found(self, name: str) -> TopicInfo:
        found = (await self._cluster.topics([name])).get(name)
        if found is None:
            raise GroupTopicMissing(absence([name], ours=self._options.ours))
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
