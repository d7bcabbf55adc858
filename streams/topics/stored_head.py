"""What a stored head tells of how far its partition has judged."""

from msgspec import Struct

from monitor.partition.checkpoint_fields import DecidingSettings, InputTopic, PartitionIdentity


class SourcePlace(Struct):
    """Where a source is to be read on, and below which offset nothing is decided again."""

    resume: int
    done: int


class StoredHead(Struct):
    """What a stored head tells: how far its partition has judged, and under which circumstances."""

    format: int
    place: PartitionIdentity
    policy_sha256: str
    secret: str
    live: DecidingSettings
    watermark_ms: int
    published_ms: int
    control: int
    handed_over: bool
    sources: list[SourcePlace]
    entries: int
    inputs: list[InputTopic]
