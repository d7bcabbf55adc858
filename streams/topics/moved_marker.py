"""The marker in a partition's state that says where the state was moved; no worker may use the state here then."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from monitor.partition.chunking import Chunker
from streams.kafka.topic_names import TopicNames

MARK: Final = "moved"
"""The key of the marker."""


class MovedMarker(Struct, frozen=True):
    """The target topics, their number of partitions, and the clocks to which all partitions were advanced."""

    input_prefix: str
    output_prefix: str
    partitions: int
    clocks_ms: tuple[int, ...]

    def leads_to(self, names: TopicNames, partitions: int) -> bool:
        """Whether the state was moved to these topics, with that many partitions."""
        there = (names.input_prefix, names.output_prefix, partitions)
        return (self.input_prefix, self.output_prefix, self.partitions) == there

    def records(self) -> list[tuple[str, bytes | None]]:
        """The marker as records of the state."""
        return Chunker().cut([(MARK, msgspec.msgpack.encode(self))])


def marker_of(records: Mapping[str, bytes]) -> MovedMarker | None:
    """The marker among these stored records, or None. Raises MissingChunkError."""
    of_mark = {key: value for key, value in records.items() if key.startswith(f"{MARK}/")}
    packed = Chunker().join(of_mark).get(MARK)
    return None if packed is None else msgspec.msgpack.decode(packed, type=MovedMarker)
