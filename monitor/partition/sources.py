"""The sources of a partition: how far each was read, their clocks, and the entries about them."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from monitor.core.record_places import RecordLogs
from monitor.decoding.input_topics import INPUTS
from monitor.decoding.source import NO_CLOCK_MS, Source
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.idleness import CALLS, ReadProgress, clock_ms
from monitor.partition.journal import (
    ClockAdvance,
    JournalEntry,
    LostInput,
    MaxAheadChange,
    OutageEnded,
    ReviewKeysChange,
    SkippedRecord,
)
from monitor.partition.record_batch import RecordBatch
from monitor.partition.refusal_wording import refusal_text
from monitor.partition.source_position import SourceHead, SourceProgress

_CALLS, _REVIEWS = INPUTS.index(CALLS), INPUTS.index("reviews")
_FAR_MS = 300_000


class MisplacedRecordError(ValueError):
    """The fed rows do not follow the previous rows."""


class Sources:
    """The first ``count`` sources of `monitor.decoding.input_topics.INPUTS`, by their numbers there.

    ``logs`` are those in which their records lie. ``keys_changed``: this worker put its review keys into force; the
    names before, and the change.
    """

    def __init__(self, count: int, live: DecidingSettings, review_keys: Mapping[str, str] | None = None) -> None:
        """``review_keys`` are those of this worker; None: the partition's stay as they are."""
        self._live, self._own_keys = live, review_keys
        limit = MaxAheadChange(0, live.max_ahead_ms)
        self._positions = [SourceProgress(Source(number), [limit]) for number in range(count)]
        self.logs = RecordLogs(list(range(count)))
        self._outage_ended = self._restored = False
        self.keys_changed: tuple[list[str], ReviewKeysChange] | None = None
        self._entries: list[tuple[int, JournalEntry]] = [(number, limit) for number in range(count)]
        self._set_keys(0)
        self._moves: dict[tuple[int, int], ClockAdvance] = {}  # since the last `take`, by source and offset

    # Reading ----------------------------------------------------------------------------------------------------

    def read(self, source: int, rows: RecordBatch) -> Iterator[tuple[SourceProgress, RecordBatch]]:
        """Read the next rows of a source, split where its clock moves. Raises MisplacedRecordError if not the next."""
        position = self._positions[source]
        if rows.start != position.source.offset:
            raise MisplacedRecordError(
                f"{INPUTS[source]}: expected rows from offset {position.source.offset} on, got {rows.start}"
            )
        coming = position.moves[position.moved :]
        cuts = sorted({move.offset for move in coming if move.offset < rows.stop})
        for part in rows.cut(cuts):
            position.go(int(part.offsets[0]))
            yield position, part
            if source == _CALLS and position.valid > max(rows.start, position.done):
                self._outage_ended = False
        position.source.offset = rows.stop
        position.go(rows.stop)

    def pass_over(self, source: int, offset: int) -> None:
        """Continue the source at ``offset``, because earlier records no longer exist or never did."""
        self._positions[source].pass_over(offset)

    def end(self, source: int) -> None:
        """End the source. Its clock no longer holds the watermark back."""
        self._positions[source].ended = True

    # Clocks -----------------------------------------------------------------------------------------------------

    def move(self, source: int, clock_ms: int) -> bool:
        """Advance the clock of a source that was read to its end to ``clock_ms``. Returns whether it was behind."""
        position = self._positions[source]
        move = position.move(clock_ms)
        if move is not None:
            # Earlier moves after the last valid record have no effect.
            self._moves = {at: one for at, one in self._moves.items() if at[0] != source or at[1] < position.valid}
            self._moves[source, move.offset] = move
        return move is not None

    def idle(self, source: int, now_ms: int, feed_current: bool) -> bool:
        """Advance the clock of a source that is silent at ``now_ms`` as far as allowed. Returns whether it was behind.

        A source that is being read again is not silent, even at the end of its log, because its clock was further.
        """
        if self.catches_up(source):
            return False
        current = feed_current or self._outage_ended
        return self.move(source, clock_ms(INPUTS[source], now_ms, self._live.outage_grace_ms, current))

    def catches_up(self, source: int) -> bool:
        """Whether the source is being read again, or its clock still follows the entries of previous owners."""
        position = self._positions[source]
        return position.source.offset < position.done or position.follows_journal

    def reading(self, source: int) -> ReadProgress:
        """How far the source was read, and the offset from which its records show no activity."""
        position = self._positions[source]
        return ReadProgress(position.source.offset, position.led)

    @property
    def clocks_ms(self) -> list[int]:
        """The clock of each source, 0 if it has none yet."""
        return [position.source.clock_ms for position in self._positions]

    @property
    def least_ms(self) -> int:
        """The lowest clock of the sources that have not ended; 0 if one has none yet, or if all have ended."""
        return min((one.source.clock_ms for one in self._positions if not one.ended), default=NO_CLOCK_MS)

    @property
    def furthest_ms(self) -> int:
        """The highest clock that any source has, or had before it was read again."""
        return max(max(one.source.clock_ms, one.done_ms) for one in self._positions)

    def far_ahead(self, source: int) -> bool:
        """Whether another source is far behind this one."""
        return self._positions[source].source.clock_ms - min(self.clocks_ms) > _FAR_MS

    # Places -----------------------------------------------------------------------------------------------------

    @property
    def offsets(self) -> list[int]:
        """The next offset of each source."""
        return [position.source.offset for position in self._positions]

    @property
    def done(self) -> list[int]:
        """For each source, the offset below which nothing is counted or written again."""
        return [position.done for position in self._positions]

    @property
    def newest_call_ms(self) -> int | None:
        """The largest event time of the calls read; None if there were none."""
        return self._positions[_CALLS].newest_ms or None

    # Commands and losses ----------------------------------------------------------------------------------------

    def skip(self, source: int, offset: int, reason: str, by: str = "", at_ms: int = 0) -> str | None:
        """Reject the record at ``offset`` when it is read. Returns None, or an error message."""
        position = self._positions[source]
        if offset < position.source.offset:
            return refusal_text("already_read", offset=offset, next_offset=position.source.offset)
        skip = SkippedRecord(offset, reason, by, at_ms)
        position.skip(skip)
        self._entries.append((source, skip))
        return None

    def read_around(self, source: int, offset: int, last: int) -> int | None:
        """Handle unreadable records from ``offset``, the current position, to ``last``.

        Returns the last offset to pass over if an operator skipped ``offset``, else None. The skip is recorded, so that
        a later reader of the log passes over the same records, whether they are readable then or not.
        """
        through = self.passed_over(source, offset)
        if through is not None:
            return through
        position = self._positions[source]
        if offset not in position.skips:
            return None
        skip = msgspec.structs.replace(position.skips[offset], through=max(last, offset))
        position.skip(skip)
        self._entries.append((source, skip))
        return skip.last

    def passed_over(self, source: int, offset: int) -> int | None:
        """The last offset that a recorded skip passes over at ``offset``; None if there is none."""
        recorded = [skip for skip in self._positions[source].skips.values() if skip.through is not None]
        return max((skip.last for skip in recorded if skip.offset <= offset <= skip.last), default=None)

    def end_outage(self, reason: str, by: str = "", at_ms: int = 0) -> None:
        """Declare that no calls are missing. Until the next call, a silent source of calls gets no outage grace."""
        self._outage_ended = True
        self._entries.append((_CALLS, OutageEnded(self._positions[_CALLS].source.offset, reason, by, at_ms)))

    def lose(self, source: int, loss: LostInput) -> None:
        """Accept the loss of records: continue where the log of the source begins now, with the known clock."""
        position = self._positions[source]
        self._entries.append((source, loss))
        if loss.recreated:
            position.start_over(loss.offset, self._live.max_ahead_ms)
            self.logs.replace(source)
            self._entries.append((source, position.limits[-1]))
            self._entries += [(source, change) for change in position.keys.changes]
        else:
            position.pass_over(loss.offset)
        if position.source.clock_ms > NO_CLOCK_MS:
            # A later reader of the log does not have the records that moved the clock.
            self._entries.append((source, ClockAdvance(loss.offset, position.source.clock_ms)))

    def recall(self, source: int, entries: list[JournalEntry], end: int | None = None) -> None:
        """Apply the entries of a source from the clock log, before anything is read.

        ``end``: the offset from which this worker's own limit applies; None: only recorded limits apply.
        """
        position = self._positions[source]
        self._entries = [one for one in self._entries if one[0] != source or not isinstance(one[1], ReviewKeysChange)]
        if not self._restored:  # the recorded keys apply, in place of the initial ones of this worker
            position.keys.clear()
        position.recall(entries)
        if any(isinstance(entry, MaxAheadChange) for entry in entries):  # they replace the initial limit
            self._entries = [(of, entry) for of, entry in self._entries if of != source]
        position.own_from = end or 0
        limit = None if end is None else position.limit(end, self._live.max_ahead_ms)
        if limit is not None:
            self._entries.append((source, limit))
        if source == _REVIEWS and end is not None:
            self._set_keys(end)

    def _set_keys(self, offset: int) -> None:
        """Put this worker's review keys into force from ``offset`` of the reviews on, if it has other ones."""
        if len(self._positions) <= _REVIEWS:
            return
        keys = self._positions[_REVIEWS].keys
        before = sorted(keys.newest)
        change = keys.change(offset, self._own_keys)
        if change is not None:
            self._entries.append((_REVIEWS, change))
            self.keys_changed = before, change

    @property
    def review_keys(self) -> Mapping[str, str]:
        """The newest review keys, by name."""
        return self._positions[_REVIEWS].keys.newest if len(self._positions) > _REVIEWS else {}

    def take(self) -> list[tuple[int, JournalEntry]]:
        """The entries to write since the last call."""
        taken: list[tuple[int, JournalEntry]] = [
            *self._entries,
            *((source, move) for (source, _), move in self._moves.items()),
        ]
        self._entries, self._moves = [], {}
        return taken

    # State ------------------------------------------------------------------------------------------------------

    def heads(self, since: Mapping[int, tuple[int, int]]) -> list[SourceHead]:
        """The heads to store. A source resumes at its current position, or at the offset and clock in ``since``."""
        return [
            position.head(*since.get(number, (position.source.offset, position.source.clock_ms)))
            for number, position in enumerate(self._positions)
        ]

    @property
    def outage_ended(self) -> bool:
        """Whether an operator declared that no calls are missing. Stored beside the heads."""
        return self._outage_ended

    def restore(self, heads: Iterable[SourceHead], outage_ended: bool) -> None:
        """Restore stored positions."""
        self._entries, self._outage_ended, self._restored = [], outage_ended, True
        for number, (position, head) in enumerate(zip(self._positions, heads, strict=True)):
            limit = position.restore(head, self._live.max_ahead_ms)
            if limit is not None:
                self._entries.append((number, limit))
        if len(self._positions) > _REVIEWS:
            self._set_keys(self._positions[_REVIEWS].done)

    def take_over(self, offsets: Iterable[int], clocks_ms: Iterable[int]) -> None:
        """Resume where a previous owner stopped reading."""
        for position, offset, at_ms in zip(self._positions, offsets, clocks_ms, strict=True):
            position.take_over(offset, at_ms)
