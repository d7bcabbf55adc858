"""The stored head of a partition: where it was, and what must be the same for another to go on from there."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from monitor.core.codec import FORMAT
from monitor.core.snapshot import ShardCheckpoint, entries_of
from monitor.partition.checkpoint_fields import HEAD, DecidingSettings, InputTopic, PartitionIdentity, packed_head
from monitor.partition.chunking import MissingChunkError
from monitor.partition.policy_versions import PolicyVersionRef
from monitor.partition.source_position import SourceHead

__all__ = [
    "HANDOVER",
    "HEAD",
    "CheckpointMetadata",
    "DecidingSettings",
    "InputTopic",
    "MismatchError",
    "PartitionHandover",
    "PartitionIdentity",
    "must_be_whole",
    "packed_head",
    "place_of",
    "secret_fingerprint",
]

HANDOVER: Final = "handover"
"""The key of what a former owner had read and not decided."""


class CheckpointMetadata(Struct):
    """All that is stored of a partition, besides the shard's entries. ``control``: commands before it are done.

    ``handed_over``: a handover was stored with it; any other, whose deletion a reader may have missed, is of the past.
    ``entries``: how many of the shard are stored with it. ``inputs`` are the topics of its sources, in their order;
    empty: not known yet. ``policy_sha256`` is that in force before the watermark, ``versions`` those that are needed.
    """

    place: PartitionIdentity
    policy_sha256: str
    secret: str
    live: DecidingSettings
    watermark_ms: int
    published_ms: int
    outage_ended: bool
    control: int
    handed_over: bool
    sources: list[SourceHead]
    shard: ShardCheckpoint
    versions: list[PolicyVersionRef]
    enforce_from_ms: int
    entries: int
    inputs: list[InputTopic]
    format: int = FORMAT

    def must_match(self, mine: PartitionIdentity, secret: str) -> None:
        """Whether a partition of this place and secret can go on from it. MismatchError."""
        place = self.place
        if place.partitions != mine.partitions:
            raise MismatchError(
                f"the state was made with {place.partitions} partitions, the topics have {mine.partitions}: "
                "expected the same number, for another one puts tenants elsewhere"
            )
        if place.number != mine.number:
            raise MismatchError(f"the state is that of partition {place.number}, expected {mine.number}")
        if place.partitioner != mine.partitioner:
            raise MismatchError(
                f"the state was made with the partitioner {place.partitioner}, expected the same, got "
                f"{mine.partitioner}"
            )
        if self.secret != secret:
            raise MismatchError("the state was made with another secret; expected the same key file")


def must_be_whole(counted: int, keys: Iterable[str]) -> set[str]:
    """Those of these keys of stored blobs that are of the shard's entries. MissingPartError: fewer than ``counted``."""
    entries = entries_of(keys)
    if len(entries) < counted:
        raise MissingChunkError(f"of the {counted} entries that its head counts there are {len(entries)}")
    return entries


class PartitionHandover(Struct):
    """Where the sources were when they were given up, and what the shard had read and not decided."""

    offsets: list[int]
    clocks_ms: list[int]
    shard: bytes


class MismatchError(ValueError):
    """The stored state was made under other circumstances, under which it cannot go on."""


class _Placed(Struct):
    place: PartitionIdentity


def place_of(records: Mapping[str, bytes]) -> PartitionIdentity | None:
    """The place of the partition that these stored records are of, None where the head is not among them."""
    packed = packed_head(records)
    return None if packed is None else msgspec.msgpack.decode(packed, type=_Placed).place


def secret_fingerprint(secret: bytes) -> str:
    """By what a state knows the secret that it was made with."""
    return hashlib.sha256(b"callwarden " + secret).hexdigest()[:16]
