"""The position of one source: how far it was read, its clock, and the entries about it."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from monitor.decoding.decoded_rows import DecodedRows
from monitor.decoding.source import NO_CLOCK_MS, Source
from monitor.partition.journal import (
    ClockAdvance,
    JournalEntry,
    LostInput,
    MaxAheadChange,
    ReviewKeysChange,
    SkippedRecord,
)
from monitor.partition.offsets.offset_set import OffsetSet
from monitor.partition.offsets.review_keys_by_offset import ReviewKeysByOffset


class SourceHead(Struct):
    """The stored position of a source: it resumes at ``resume``, with the clock ``clock_ms``.

    Records below ``done`` are not counted or written again; ``done_ms`` is the clock there. ``duplicates`` are the
    offsets in ``[resume, done)`` of duplicate calls, as `OffsetSet.encode` writes them. ``moves``, ``limits`` and
    ``skips`` are the entries that apply from ``resume`` on; ``fresh`` are the offsets of skips not reported yet.
    ``review_keys`` are the keys at ``resume``, if there are any, and their changes after it.
    """

    resume: int
    clock_ms: int
    done: int
    done_ms: int
    duplicates: bytes
    moves: list[ClockAdvance]
    limits: list[MaxAheadChange]
    skips: list[SkippedRecord]
    fresh: list[int]
    review_keys: list[ReviewKeysChange] = []


@dataclass(slots=True)
class SourceProgress:
    """The progress of one source, and its history from the resume offset on.

    The first ``moved`` of ``moves`` have taken effect. ``limits`` starts with the limit in force at the resume offset.
    ``fresh`` are the offsets of skips not reported yet. ``keys`` are the changes of the review keys, by offset; before
    the first, reviews need no signature. ``newest_ms`` is the largest event time read. ``done_ms`` is
    the clock at ``done``. As far as the source was read, no record from ``valid`` on was valid, and no record from
    ``led`` on showed activity (`reads`). ``leading_ms`` is the largest event time, each capped at the record's
    timestamp. Recalled entries were written before ``own_from``.
    """

    source: Source
    limits: list[MaxAheadChange]
    done: int = 0
    done_ms: int = NO_CLOCK_MS
    duplicates: OffsetSet = field(default_factory=OffsetSet)
    moves: list[ClockAdvance] = field(default_factory=list)
    moved: int = 0
    skips: dict[int, SkippedRecord] = field(default_factory=dict)
    fresh: set[int] = field(default_factory=set)
    newest_ms: int = NO_CLOCK_MS
    leading_ms: int = NO_CLOCK_MS
    valid: int = 0
    led: int = 0
    own_from: int = 0
    ended: bool = False
    keys: ReviewKeysByOffset = field(default_factory=ReviewKeysByOffset)

    def go(self, offset: int) -> None:
        """Apply the clock moves up to ``offset``, the current position."""
        while self.moved < len(self.moves) and self.moves[self.moved].offset <= offset:
            self.source.clock_ms = max(self.source.clock_ms, self.moves[self.moved].clock_ms)
            self.moved += 1

    def reads(
        self,
        decoded: DecodedRows,
        offsets: NDArray[np.int64],
        timestamps_ms: NDArray[np.int64],
        lateness_ms: int | None,
    ) -> None:
        """Track which of these records (at least one) are valid, and which show that the source is not silent.

        A call shows activity if its event time is at most ``lateness_ms`` behind the largest of the source. So a feed
        that is hours behind and out of order is not silent; otherwise the clock would pass it and its calls would be
        late. Other records (``lateness_ms`` None) are never late, and show activity only if their event time is larger
        than all before.
        """
        newest_ms = int(decoded.event_ms.max())
        if newest_ms < 0:
            return
        self.valid = int(offsets[_last(decoded.event_ms >= 0)]) + 1
        self.newest_ms = max(self.newest_ms, newest_ms)
        moves_to_ms = np.minimum(decoded.event_ms, timestamps_ms)
        last = int(moves_to_ms.argmax())
        if moves_to_ms[last] > self.leading_ms:
            self.leading_ms, self.led = int(moves_to_ms[last]), int(offsets[last]) + 1
        if lateness_ms is not None and moves_to_ms[last] >= self.leading_ms - lateness_ms:
            self.led = int(offsets[_last(moves_to_ms >= self.leading_ms - lateness_ms)]) + 1

    def max_ahead_ms(self, offsets: NDArray[np.int64]) -> NDArray[np.int64] | int:
        """The most that each of the records at ``offsets`` may be ahead of its timestamp; a number if of all."""
        if len(self.limits) == 1:
            return self.limits[0].max_ahead_ms
        place = np.searchsorted([limit.offset for limit in self.limits], offsets, "right") - 1
        return np.array([limit.max_ahead_ms for limit in self.limits], np.int64)[np.maximum(place, 0)]

    def timestamps_ms(self, offsets: NDArray[np.int64], timestamps_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """How far each of the records at ``offsets`` may move the clock: to its timestamp, or to a recorded limit."""
        for limit, after in zip(self.limits, [*self.limits[1:], None], strict=True):
            if limit.clock_ms is not None:
                among = offsets >= limit.offset
                if after is not None:
                    among &= offsets < after.offset
                timestamps_ms = np.where(among, np.minimum(timestamps_ms, limit.clock_ms), timestamps_ms)
        return timestamps_ms

    def forget(self, resume: int) -> None:
        """Drop the history before ``resume``, where the source will not be read again."""
        self.duplicates.forget(resume)
        gone = bisect_right(self.moves[: self.moved], resume, key=_offset)
        self.moves, self.moved = self.moves[gone:], self.moved - gone
        self.limits = self.limits[max(bisect_right(self.limits, resume, key=_offset) - 1, 0) :]
        self.keys.forget(resume)
        self.fresh = {o for o in self.fresh if o in self.skips and self.skips[o].last >= self.source.offset}
        self.skips = {offset: skip for offset, skip in self.skips.items() if skip.last >= resume}

    def move(self, clock_ms: int) -> ClockAdvance | None:
        """Advance the clock to ``clock_ms`` at this offset. Returns the move, None if the clock is there already."""
        if clock_ms <= self.source.clock_ms:
            return None
        move = ClockAdvance(self.source.offset, clock_ms)
        # Only the last move before a valid record has an effect: rejected records do not use the clock.
        while self.moves and self.moves[-1].offset >= self.valid:
            self.moves.pop()
        self.moved = min(self.moved, len(self.moves))
        self.moves.append(move)
        self.go(move.offset)
        return move

    def skip(self, skip: SkippedRecord) -> None:
        """Add a skip. Its records are rejected when they are read."""
        self.skips[skip.offset] = skip
        self.fresh.add(skip.offset)

    @property
    def follows_journal(self) -> bool:
        """Whether the clock still follows the entries of previous owners, and not this owner's observations."""
        return self.source.offset < self.own_from or self.moved < len(self.moves)

    def skipped(self, offsets: NDArray[np.int64]) -> dict[int, SkippedRecord]:
        """The skips that apply to these offsets (ascending), by offset."""
        found: dict[int, SkippedRecord] = {}
        for skip in self.skips.values():
            first, after = np.searchsorted(offsets, skip.offset), np.searchsorted(offsets, skip.last, "right")
            found |= dict.fromkeys(offsets[first:after].tolist(), skip)
        return found

    def recall(self, entries: Iterable[JournalEntry]) -> None:
        """Apply the source's entries from the clock log, before the source is read."""
        moves: dict[int, ClockAdvance] = {}
        limits: list[MaxAheadChange] = []
        for entry in entries:
            if isinstance(entry, ClockAdvance):
                moves[entry.offset] = max(entry, moves.get(entry.offset, entry), key=lambda move: move.clock_ms)
            elif isinstance(entry, MaxAheadChange):
                limits.append(entry)
            elif isinstance(entry, SkippedRecord):
                self.skips[entry.offset] = entry
            elif isinstance(entry, ReviewKeysChange):
                self.keys.add(entry)
            elif isinstance(entry, LostInput) and entry.recreated:
                moves, limits, self.skips = {}, [], {}
                self.keys.clear()
        self.moves = sorted(moves.values(), key=_offset)
        self.limits = sorted(limits, key=_offset) or self.limits
        self.go(self.source.offset)

    def limit(self, offset: int, max_ahead_ms: int) -> MaxAheadChange | None:
        """Set the limit from ``offset`` on. Returns the change, None if the limit is the same already."""
        if self.limits[-1].max_ahead_ms == max_ahead_ms:
            return None
        self.limits.append(MaxAheadChange(offset, max_ahead_ms))
        return self.limits[-1]

    def pass_over(self, offset: int) -> None:
        """Continue at ``offset``, because earlier records no longer exist or never did."""
        self.source.offset = self.valid = self.led = offset
        if offset >= self.done:
            self.done = offset
            self._catch_up()
        self.go(offset)

    def take_over(self, offset: int, clock_ms: int) -> None:
        """Resume at ``offset``, with that clock, where a previous owner stopped."""
        # The handover does not say which records were valid, so moves before this position may still be needed.
        # A state restored from an export has clocks that were logged after its handover.
        self.source.offset, self.source.clock_ms = offset, max(self.source.clock_ms, clock_ms)
        self.valid = self.led = offset
        self.go(offset)

    def start_over(self, offset: int, max_ahead_ms: int) -> None:
        """Start again at ``offset`` of a recreated log. All known offsets are of the old log."""
        self.source.offset = self.done = self.valid = self.led = offset
        self._catch_up()
        self.duplicates, self.moves, self.moved, self.skips, self.fresh = OffsetSet(), [], 0, {}, set()
        self.limits = [MaxAheadChange(offset, max_ahead_ms)]
        self.keys.start_over(offset)

    def _catch_up(self) -> None:
        # Windows were decided by the clock at `done`. With an earlier clock, calls that are too late for those windows
        # would not be late, and would be in no window.
        self.source.clock_ms = self.done_ms = max(self.source.clock_ms, self.done_ms)

    def head(self, resume: int, clock_ms: int) -> SourceHead:
        """The position to store. The source will not be read again before ``resume``, where its clock is that."""
        if self.source.offset >= self.done:
            self.done, self.done_ms = self.source.offset, self.source.clock_ms
        self.forget(resume)
        return SourceHead(
            resume,
            clock_ms,
            self.done,
            self.done_ms,
            self.duplicates.encode(),
            self.moves,
            self.limits,
            list(self.skips.values()),
            sorted(self.fresh),
            self.keys.changes,
        )

    def restore(self, head: SourceHead, max_ahead_ms: int) -> MaxAheadChange | None:
        """Restore a stored position. Returns the change of limit to entry, None if the limit is the same."""
        self.source.offset, self.source.clock_ms = head.resume, head.clock_ms
        self.valid = self.led = head.resume
        self.done, self.done_ms, self.duplicates = head.done, head.done_ms, OffsetSet.decode(head.duplicates)
        self.moves, self.limits = list(head.moves), list(head.limits)
        self.skips, self.fresh = {skip.offset: skip for skip in head.skips}, set(head.fresh)
        self.keys = ReviewKeysByOffset(head.review_keys)
        # A state restored from an export may have limits that were recorded at offsets beyond those that it has read.
        return self.limit(max(head.done, self.limits[-1].offset), max_ahead_ms)


def _last(true: NDArray[np.bool_]) -> int:
    """The last row that is true; at least one is."""
    return len(true) - 1 - int(true[::-1].argmax())


def _offset(entry: ClockAdvance | MaxAheadChange) -> int:
    return entry.offset
