"""The stored head of a partition: its position, and what must match for a task to resume from it."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from monitor.core.codec import FORMAT
from monitor.core.record_places import RecordLogs
from monitor.core.snapshot import ShardCheckpoint, entries_of
from monitor.partition.checkpoint_fields import HEAD, DecidingSettings, InputTopic, PartitionIdentity, packed_head
from monitor.partition.chunking import MissingChunkError
from monitor.partition.policy_versions import PolicyVersionRef
from monitor.partition.source_position import SourceHead
from monitor.text.state_wording import state_text

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
"""The key of the handover: what the previous owner had read and not decided."""


class CheckpointMetadata(Struct):
    """The stored state of a partition besides the shard entries. ``control``: commands before this offset are done.

    ``handed_over``: a handover was stored with this head. Ignore any other handover: it is outdated, and a reader may
    have missed its deletion. ``entries`` is the number of stored shard entries. ``inputs`` are the topics of the
    sources, in order; empty if not known yet. ``policy_sha256`` is the policy in force before the watermark,
    ``versions`` those that are needed. ``owners`` is the next offset to read of the topic of owners.
    ``logs`` numbers the logs of the records. ``closing_ms`` is that of the task's watermark.
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
    owners: int = 0
    logs: RecordLogs = msgspec.field(default_factory=RecordLogs)
    closing_ms: int = 0

    def must_match(self, mine: PartitionIdentity, secret: str) -> None:
        """Check that a partition with this identity and secret can resume from it. Raises MismatchError if not."""
        place = self.place
        if place.partitions != mine.partitions:
            raise MismatchError(state_text("other_partitions", stored=place.partitions, found=mine.partitions))
        if place.number != mine.number:
            raise MismatchError(state_text("other_partition", expected=mine.number, found=place.number))
        if place.partitioner != mine.partitioner:
            raise MismatchError(state_text("other_partitioner", stored=place.partitioner, given=mine.partitioner))
        if self.secret != secret:
            raise MismatchError(state_text("other_secret"))


def must_be_whole(counted: int, keys: Iterable[str]) -> set[str]:
    """The keys among ``keys`` of shard entries. Raises MissingChunkError if there are fewer than ``counted``."""
    entries = entries_of(keys)
    if len(entries) < counted:
        raise MissingChunkError(state_text("missing_entries", counted=counted, found=len(entries)))
    return entries


class PartitionHandover(Struct):
    """The positions of the sources when they were released, and what the shard had read and not decided."""

    offsets: list[int]
    clocks_ms: list[int]
    shard: bytes


class MismatchError(ValueError):
    """The stored state does not match this partition, its secret or its policies, so the task cannot resume from it."""


class _Placed(Struct):
    place: PartitionIdentity


def place_of(records: Mapping[str, bytes]) -> PartitionIdentity | None:
    """The identity of the partition that these records store; None if the head is not among them."""
    packed = packed_head(records)
    return None if packed is None else msgspec.msgpack.decode(packed, type=_Placed).place


def secret_fingerprint(secret: bytes) -> str:
    """The fingerprint by which a stored state identifies its secret."""
    return hashlib.sha256(b"callwarden " + secret).hexdigest()[:16]
