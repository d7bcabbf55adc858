"""The head of a stored state: how far its partition has judged."""

from msgspec import Struct, field

from monitor.core.record_places import RecordLogs
from monitor.partition.checkpoint_fields import DecidingSettings, InputTopic, PartitionIdentity


class SourcePlace(Struct):
    """The offset at which reading of a source continues, and the one below which nothing is decided again."""

    resume: int
    done: int


class StoredHead(Struct):
    """How far a partition has judged, and with which policy, settings and inputs."""

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
    logs: RecordLogs = field(default_factory=RecordLogs)
