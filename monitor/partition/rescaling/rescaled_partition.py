"""A new partition of a rescale, and its head: it resumes before the records to be read again."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from monitor.decoding.input_topics import INPUTS
from monitor.decoding.late_line import LateLine
from monitor.partition.checkpoint import CheckpointMetadata
from monitor.partition.journal import ClockAdvance, MaxAheadChange, ReviewKeysChange
from monitor.partition.rescaling.source_partition import KeptRecord
from monitor.partition.source_position import SourceHead
from monitor.policy.timeline import PolicyVersion

_REVIEWS = INPUTS.index("reviews")
_NO_LIMIT_MS = 100 * 366 * 86_400_000  # records that were accepted once must be accepted again


@dataclass(frozen=True, slots=True)
class RescaledPartition:
    """A new partition: its entries without the head, and for each source the records to write before anything else."""

    number: int
    entries: dict[str, bytes]
    kept: Sequence[Sequence[KeptRecord]]
    head: CheckpointMetadata
    versions: Sequence[PolicyVersion]
    review_keys: Mapping[str, str] = field(default_factory=dict)

    def head_at(
        self, offsets: Sequence[Sequence[int]], empty: Sequence[int], clocks_ms: Sequence[int]
    ) -> CheckpointMetadata:
        """The head, given the offsets of the kept records in each source, and the source clocks ``clocks_ms``.

        A source without kept records resumes at ``empty``. The kept reviews were accepted before: the review keys apply
        to those after them.
        """
        lateness = LateLine.of(self.versions)
        sources = [
            _source(kept, [*at, at[-1] + 1 if at else end], clock_ms, lateness, self.head.live.max_ahead_ms)
            for kept, at, end, clock_ms in zip(self.kept, offsets, empty, clocks_ms, strict=True)
        ]
        if self.review_keys:
            keys = ReviewKeysChange(sources[_REVIEWS].done, dict(self.review_keys))
            sources[_REVIEWS] = msgspec.structs.replace(sources[_REVIEWS], review_keys=[keys])
        return msgspec.structs.replace(self.head, sources=sources)


def _clock_of(line_ms: int, lateness: LateLine) -> int:
    """The lowest clock that gives this late line, which must be a line that a clock had."""
    least, most = line_ms, line_ms + _NO_LIMIT_MS
    return least + bisect_left(range(most - least), line_ms, key=lambda more: lateness.line(least + more))


def _source(
    kept: Sequence[KeptRecord], offsets: Sequence[int], clock_ms: int, lateness: LateLine, max_ahead_ms: int
) -> SourceHead:
    """The head of a source that resumes before the kept records. The last of ``offsets`` is the one after them.

    Its clock is set so that no kept record is late or is decided later than before, and none moves it beyond
    ``clock_ms``: a record ahead of its timestamp did not, and its timestamp in the new topic is later.
    """
    resume, end = offsets[0], offsets[-1]
    raised = [(one, offset) for one, offset in zip(kept, offsets, strict=False) if one.at_ms > one.event_ms]
    moves = [
        *(ClockAdvance(offset, _clock_of(one.at_ms, lateness)) for one, offset in raised),
        ClockAdvance(end, clock_ms),
    ]
    return SourceHead(
        resume=resume,
        clock_ms=min(kept[0].at_ms, clock_ms) if kept else clock_ms,
        done=end,
        done_ms=clock_ms,
        duplicates=b"",
        moves=moves if kept else [],
        limits=[MaxAheadChange(resume, _NO_LIMIT_MS, clock_ms), MaxAheadChange(end, max_ahead_ms)]
        if kept
        else [MaxAheadChange(end, max_ahead_ms)],
        skips=[],
        fresh=[],
    )
