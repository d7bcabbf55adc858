"""Reads a follower's own positions from `callwarden.follow`."""

from collections.abc import Mapping
from typing import NamedTuple

from monitor.partition.partitioner import partition_of
from streams.consumers.topic_reader import TopicReader
from streams.ingest.follow.positions import (
    CLAIM,
    FollowClaim,
    Position,
    decode_position,
    encode_position,
    parse_key,
    position_key,
)
from streams.kafka.api import TP, PermanentError, TransientError
from streams.kafka.outputs import OutputRecord
from streams.kafka.topic_names import absence, require_topics


class StoredPositions(NamedTuple):
    """The newest process under the name, and the positions by id."""

    claim: FollowClaim | None
    positions: Mapping[str, Position]


class PositionLog:
    """The positions of the follower ``name``. All of its records are in one partition."""

    def __init__(self, cluster: TopicReader, topic: str, name: str) -> None:
        self.topic = topic
        self._cluster, self._name = cluster, name
        self._partition = 0
        self._topic_id = ""

    async def read(self) -> StoredPositions:
        """Everything that was committed under the name before a writer of its transactional id was started.

        Raises TransientError; PermanentError if there is no topic, or a position that cannot be read.
        """
        found = await self._cluster.topics([self.topic])
        require_topics(found, [self.topic])
        self._topic_id = found[self.topic].id
        # A topic that was given more partitions has the records where the name was at home before. They stay there.
        tps = [TP(self.topic, number) for number in range(found[self.topic].partitions)]
        starts, ends = await self._cluster.starts(tps), await self._cluster.ends(tps)
        home, newest_ms = partition_of(self._name.encode(), len(tps), "murmur2"), -1
        records: dict[str, bytes] = {}
        for tp in tps:
            here, written_ms = await self._records(tp, starts[tp], ends[tp])
            if here and written_ms > newest_ms:
                home, records, newest_ms = tp.partition, here, written_ms
        self._partition = home
        return self._decoded(records)

    async def _records(self, tp: TP, start: int, end: int) -> tuple[dict[str, bytes], int]:
        """The name's newest records in a partition, and when the last of them was written, epoch ms."""
        records: dict[str, bytes] = {}
        written_ms = -1
        async for batch in self._cluster.read(tp, start, end):
            columns = zip(batch.keys, batch.values, batch.timestamps_ms.tolist(), strict=True)
            for key, value, at_ms in columns:
                names = parse_key(key) if key is not None else None
                if names is None or names[0] != self._name:
                    continue
                written_ms = max(written_ms, at_ms)
                if value is None:
                    records.pop(names[1], None)
                else:
                    records[names[1]] = value
        return records, written_ms

    async def must_be_there(self) -> None:
        """Raises TransientError if there is no topic now."""
        if not await self._cluster.topics([self.topic]):
            raise TransientError(absence([self.topic], ours=True))

    async def must_be_the_same(self) -> None:
        """Raises TransientError if the topic is not the one that `read` has read."""
        found = (await self._cluster.topics([self.topic])).get(self.topic)
        if found is None or found.id != self._topic_id:
            raise TransientError(f"the topic {self.topic} was deleted")

    def _decoded(self, found: dict[str, bytes]) -> StoredPositions:
        claim, positions = None, {}
        for of, value in found.items():
            try:
                record = decode_position(value)
            except ValueError as error:
                raise PermanentError(
                    f"{self.topic}: a position of {self._name} cannot be read: {error}; expected one of this release. "
                    "With another --name everything is read from its beginning"
                ) from None
            if isinstance(record, FollowClaim):
                claim = record if of == CLAIM else claim
            else:
                positions[of] = record
        return StoredPositions(claim, positions)

    def record(self, of: str, position: FollowClaim | Position | None) -> OutputRecord:
        """A position as it is written; None: it is forgotten. Only after `read`."""
        value = encode_position(position) if position is not None else None
        return OutputRecord(self.topic, self._partition, position_key(self._name, of), value)
