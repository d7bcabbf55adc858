"""The mark in a partition's state that says where it was moved to: from then on nobody goes on with it here."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from monitor.partition.chunking import Chunker
from streams.kafka.topic_names import TopicNames

MARK: Final = "moved"
"""Its key."""


class MovedMarker(Struct, frozen=True):
    """To which topics, with how many partitions, and the clocks that all partitions were brought to."""

    input_prefix: str
    output_prefix: str
    partitions: int
    clocks_ms: tuple[int, ...]

    def leads_to(self, names: TopicNames, partitions: int) -> bool:
        """Whether those are the topics."""
        there = (names.input_prefix, names.output_prefix, partitions)
        return (self.input_prefix, self.output_prefix, self.partitions) == there

    def records(self) -> list[tuple[str, bytes | None]]:
        """As it is stored."""
        return Chunker().cut([(MARK, msgspec.msgpack.encode(self))])


def marker_of(records: Mapping[str, bytes]) -> MovedMarker | None:
    """The mark among these stored records. MissingPartError."""
    of_mark = {key: value for key, value in records.items() if key.startswith(f"{MARK}/")}
    packed = Chunker().join(of_mark).get(MARK)
    return None if packed is None else msgspec.msgpack.decode(packed, type=MovedMarker)
