"""The fields of a partition's stored head that do not depend on its counts, and how to find the head.

They are separate from `monitor.partition.checkpoint`, so that a command that reads only these fields imports neither
policies nor shards.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from monitor.partition.chunking import Chunker
from monitor.partition.partitioner import Partitioner

HEAD: Final = "head"
"""The key of the head. The head is written last, so everything that it names exists if the head exists."""


class DecidingSettings(Struct, frozen=True):
    """The worker settings that affect decisions. See `monitor.partition.source_position` for ``max_ahead_ms`` and
    ``review_keys``, and `monitor.partition.idleness` for the others.

    ``review_keys`` are the Ed25519 public keys of reviews in base64, by name; empty: reviews need no signature; None:
    the partition's keys stay as they are. They are stored with the source of the reviews, not here.
    """

    idle_after_ms: int = 30_000
    max_ahead_ms: int = 300_000
    outage_grace_ms: int = 14_400_000
    review_keys: dict[str, str] | None = None

    @property
    def without_keys(self) -> "DecidingSettings":
        """The settings as the head stores them."""
        return msgspec.structs.replace(self, review_keys=None)


class PartitionIdentity(Struct, frozen=True):
    """The partition number, the number of partitions, and how producers place keys."""

    number: int
    partitions: int
    partitioner: Partitioner = "murmur2"


class InputTopic(Struct, frozen=True):
    """An input topic by its name and its Kafka topic id. A recreated topic has another id."""

    name: str
    id: str


def is_head_part(name: str) -> bool:
    """Whether the record of a stored state with this name is a part of the head."""
    return name.startswith(f"{HEAD}/")


def packed_head(records: Mapping[str, bytes]) -> bytes | None:
    """The encoded head among these stored records; None if absent. Raises MissingChunkError if a part is missing."""
    return Chunker().join({name: value for name, value in records.items() if is_head_part(name)}).get(HEAD)
