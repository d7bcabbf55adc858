"""An old partition of a rescale: its state, and the records that it had read and not decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from monitor.core.record_places import FormerLog
from monitor.core.windows.policy_history import FieldAvailability
from monitor.decoding.input_topics import INPUTS
from monitor.partition.checkpoint import CheckpointMetadata
from monitor.policy.timeline import PolicyVersion, version_at

_REVIEWS = INPUTS.index("reviews")


class KeptRecord(NamedTuple):
    """A record that was read and is not decided. ``at_ms`` is its decision time; ``event_ms`` may be before that.

    ``signature`` is the header that signed it, if any.
    """

    at_ms: int
    event_ms: int
    key: bytes
    value: bytes
    signature: bytes | None = None


@dataclass(frozen=True, slots=True)
class SourcePartition:
    """An old partition: its head, its other entries, and for each source the records read and not decided.

    ``kept_bytes`` is the size of these records.
    """

    head: CheckpointMetadata
    entries: dict[str, bytes]
    kept: Sequence[Sequence[KeptRecord]]
    versions: Sequence[PolicyVersion]
    kept_bytes: int = 0

    @property
    def named_logs(self) -> dict[int, FormerLog]:
        """The logs in which records lie whose places are known, by number."""
        head = self.head
        current = head.logs.current or range(len(head.sources))
        inputs = zip(current, head.inputs, strict=False)  # no inputs: their names are not known yet
        return head.logs.former | {log: FormerLog(topic.name, head.place.number) for log, topic in inputs}

    @property
    def history(self) -> FieldAvailability:
        """The history of policies up to the one in force."""
        return FieldAvailability(self.versions[: version_at(self.versions, self.head.watermark_ms) + 1])

    @property
    def coming(self) -> Sequence[PolicyVersion]:
        """The future policy versions."""
        return self.versions[version_at(self.versions, self.head.watermark_ms) + 1 :]


def newest_review_keys(former: SourcePartition) -> Mapping[str, str]:
    """The review keys of a partition, by name; empty: reviews need no signature."""
    changes = former.head.sources[_REVIEWS].review_keys if len(former.head.sources) > _REVIEWS else []
    return changes[-1].keys if changes else {}
