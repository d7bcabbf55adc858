"""The fields of a partition's stored head that do not depend on what it has counted, and where the head is found.

They stand apart from `monitor.partition.checkpoint` so that a command that looks at them alone imports neither policies
nor shards.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from monitor.partition.chunking import Chunker
from monitor.partition.key_check import Partitioner

HEAD: Final = "head"
"""Its key. It is written last: what it names is there when it is."""


class DecidingSettings(Struct, frozen=True):
    """The worker's settings that decide: ``max_ahead`` (`monitor.partition.source_position`), the others in
    `monitor.partition.idleness`.
    """

    idle_after_ms: int = 30_000
    max_ahead_ms: int = 300_000
    outage_grace_ms: int = 14_400_000


class PartitionIdentity(Struct, frozen=True):
    """Which partition this is, of how many, and how producers place keys."""

    number: int
    partitions: int
    partitioner: Partitioner = "murmur2"


class InputTopic(Struct, frozen=True):
    """An input topic by its name and the id that Kafka gave it: one that is created again has another id."""

    name: str
    id: str


def packed_head(records: Mapping[str, bytes]) -> bytes | None:
    """The head as it is among these stored records, None where it is not. MissingPartError."""
    return Chunker().join({key: value for key, value in records.items() if key.startswith(f"{HEAD}/")}).get(HEAD)
