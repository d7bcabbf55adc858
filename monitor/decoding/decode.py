"""Decoding: converts the input of a source to columns of calls and waiting records, with the source's clock at each.

Decoding (`Decoder`) does not depend on time and may run anywhere, in any order. `Source` then reads the decoded pieces
in the order of the source. `merge` finds late calls and merges several sources into the reading order of section 3 of
the contract.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.columns import Calls, Gathered, to_columns
from monitor.core.calls.fields import FieldLayout
from monitor.core.decisions.pending_record import Other, PendingRecord
from monitor.core.record_ref import RecordRef
from monitor.decoding import native
from monitor.decoding.byte_rows import ByteRows, as_byte_rows
from monitor.decoding.late_line import LateLine
from schemas import codec
from schemas.inputs import Cdr, Record

if TYPE_CHECKING:  # a worker does not need adapters and their dependencies
    from monitor.adapters.base import InputRow

_AT_ONCE = 512  # lines decoded and converted together, so that the records stay in the CPU cache
_KEPT = 4_096  # bytes kept of a line that is too long, for display: thousands of such lines must not fill the memory
_NO_VALUE = "no_value: the record has no value; expected a record as JSON"
NO_CLOCK_MS = 0  # the clock of a source without a record, before all valid times (which start in 1990)


@dataclass(slots=True)
class DecodedRows:
    """One decoded piece of a source, in row order.

    ``event_ms`` ``[n]`` is -1 for rows that are not a record. ``call_rows`` is the row of each call. ``raw`` holds the
    original bytes of the rows, ``line`` their line numbers (their offsets if they come from a topic). ``number`` is a
    number that the caller may assign to the piece. ``signatures`` are the headers that sign rows, by line.
    """

    event_ms: NDArray[np.int64]
    names: list[str]
    calls: Calls | None
    call_rows: NDArray[np.intp]
    others: list[tuple[int, Other]]
    rejected: list[tuple[int, str]]
    raw: Sequence[bytes]
    line: NDArray[np.int64]
    number: int = 0
    signatures: Mapping[int, bytes] = field(default_factory=dict)

    def keyed_by_tenant(self, keys: Sequence[bytes | None]) -> bool:
        """Whether the key of each call is its tenant. ``keys`` are those of all rows."""
        assert self.calls is not None
        rows, tenant = self.call_rows, self.calls.tenant
        encoded = [name.encode() for name in self.names]
        if native.enabled and isinstance(keys, ByteRows):
            return native.rows_equal(keys, rows, encoded, tenant)
        of_calls = list(keys) if len(rows) == len(keys) else [keys[row] for row in rows.tolist()]
        return of_calls == list(map(encoded.__getitem__, tenant.tolist()))

    def reject(self, rows: Mapping[int, str]) -> None:
        """Reject these rows for these reasons. Rows that were rejected before keep their reason."""
        fresh = {row: reason for row, reason in rows.items() if self.event_ms[row] >= 0}
        if not fresh:
            return
        self.rejected = sorted([*self.rejected, *fresh.items()])
        self.event_ms[list(fresh)] = -1
        self.others = [(row, record) for row, record in self.others if row not in fresh]
        if self.calls is not None:
            kept = self.event_ms[self.call_rows] >= 0
            if not kept.all():
                self.calls, self.call_rows = self.calls.take(kept), self.call_rows[kept]


class _Gathering:
    """Records split into calls and others, with their rows."""

    def __init__(self, consents: bool) -> None:
        self.calls = Gathered(consents)
        self.call_rows = np.empty(0, np.intp)
        self.others: list[tuple[int, Other]] = []
        self._rows = 0

    def add(self, records: Sequence[Record | None]) -> None:
        """Add the records of the next rows."""
        cdrs = [record for record in records if type(record) is Cdr]
        first, self._rows = self._rows, self._rows + len(records)
        rows = np.arange(first, self._rows)
        if len(cdrs) < len(records):
            is_call = np.array([type(record) is Cdr for record in records], np.bool_)
            for place in np.flatnonzero(~is_call).tolist():
                record = records[place]
                if record is not None and not isinstance(record, Cdr):
                    self.others.append((first + place, record))
            rows = rows[is_call]
        self.call_rows = np.concatenate([self.call_rows, rows])
        self.calls.add(cdrs)


@dataclass(slots=True)
class _Parsed:
    """What rows contain: valid calls as columns, other records, faults, and nothing. All by row."""

    names: list[str]
    calls: Calls | None
    call_rows: NDArray[np.intp]
    others: list[tuple[int, Other]]
    rejected: list[tuple[int, str]]
    blank: list[int]

    def drop(self, kept: NDArray[np.bool_]) -> None:
        """Renumber the rows without those that are not kept."""
        place = np.cumsum(kept) - 1
        self.call_rows = place[self.call_rows]
        self.others = [(int(place[row]), record) for row, record in self.others]
        self.rejected = [(int(place[row]), reason) for row, reason in self.rejected]


@dataclass(frozen=True, slots=True)
class Decoder:
    """Decodes input, given the layout of the columns, the salt of the keys, and the latest event time (None: no limit).

    ``later`` holds the layouts of later policies, each with the end time from which it applies. Lines are parsed by the
    extension where it is built (`monitor.decoding.native`), else by msgspec: the result is the same.
    """

    layout: FieldLayout
    salt: np.uint64
    not_after_ms: int | None = None
    later: tuple[tuple[int, FieldLayout], ...] = ()

    def lines(self, lines: Sequence[bytes], first_line: int) -> DecodedRows:
        """Decode JSON lines. Lines that contain only white space are left out."""
        rows = as_byte_rows(lines) if native.enabled else lines
        parsed = self._by_extension(rows) if isinstance(rows, ByteRows) else self._by_codec(rows)
        numbers = np.arange(first_line, first_line + len(rows))
        kept = np.ones(len(rows), np.bool_)
        kept[parsed.blank] = False
        raw = _kept_lines(rows, kept if parsed.blank else None)
        if parsed.blank:
            parsed.drop(kept)
            numbers = numbers[kept]
        return self._decoded(parsed, raw, numbers)

    def messages(
        self, values: Sequence[bytes | None], offsets: NDArray[np.int64], skipped: Mapping[int, str]
    ) -> DecodedRows:
        """Decode the values of a topic's records. A missing or blank value is rejected, not left out.

        ``skipped`` maps offsets to the reason to reject their records without decoding them.
        """
        reasons = {row: skipped[o] for row, o in enumerate(offsets.tolist()) if o in skipped} if skipped else {}
        raw: Sequence[bytes]
        if native.enabled:
            rows = as_byte_rows(values)
            held = rows.with_sizes(np.maximum(rows.sizes, 0))
            raw = cast(Sequence[bytes], held)
            if reasons:
                sizes = held.sizes.copy()
                sizes[list(reasons)] = 0
                held = held.with_sizes(sizes)
            parsed = self._by_extension(held)
        else:
            raw = cast(Sequence[bytes], values) if all(values) else [value or b"" for value in values]
            lines = [b"" if row in reasons else line for row, line in enumerate(raw)] if reasons else raw
            parsed = self._by_codec(lines)
        parsed.rejected += [(row, reasons.get(row, _NO_VALUE)) for row in parsed.blank]
        return self._decoded(parsed, raw, offsets)

    def rows(self, rows: "Sequence[InputRow]") -> DecodedRows:
        """Decode the rows of an adapter."""
        gathering = _Gathering(self._consents)
        gathering.add([row.record for row in rows])
        rejected = [(place, row.reason) for place, row in enumerate(rows) if row.reason is not None]
        parsed = self._columns(gathering, rejected, [], lambda row: rows[row].record)
        numbers = np.array([row.line for row in rows], np.int64)
        return self._decoded(parsed, [row.raw for row in rows], numbers)

    @property
    def _consents(self) -> bool:
        """Whether the policy or a later one counts consents."""
        return any("consents" in layout.key_sets for layout in (self.layout, *(later for _, later in self.later)))

    def _by_extension(self, rows: ByteRows) -> _Parsed:
        """Parse lines with the extension, and by msgspec those that it does not take."""
        parser = _native_parser(self.layout, self.salt, self.later)
        others: list[tuple[int, Other]] = []
        rejected: list[tuple[int, str]] = []
        blank: list[int] = []

        def odd(first: int, lines: Sequence[bytes]) -> list[tuple[int, Cdr]]:
            calls: list[tuple[int, Cdr]] = []
            for row, record in enumerate(_records(lines, first, rejected, blank), first):
                if isinstance(record, Cdr):
                    if reason := codec.check(record):
                        rejected.append((row, reason))
                    else:
                        calls.append((row, record))
                elif record is not None:
                    others.append((row, record))
            return calls

        found = parser.parse(rows, odd)
        names, calls = parser.columns(found) if len(found) else ([], None)
        return _Parsed(names, calls, found.rows, others, rejected, blank)

    def _by_codec(self, lines: Sequence[bytes]) -> _Parsed:
        """Parse lines with msgspec."""
        gathering = _Gathering(self._consents)
        rejected: list[tuple[int, str]] = []
        blank: list[int] = []
        for start in range(0, len(lines), _AT_ONCE):
            gathering.add(_records(list(lines[start : start + _AT_ONCE]), start, rejected, blank))
        return self._columns(gathering, rejected, blank, lambda row: codec.decode(lines[row]))

    def _columns(
        self,
        gathering: _Gathering,
        rejected: list[tuple[int, str]],
        blank: list[int],
        record_of: Callable[[int], Record | None],
    ) -> _Parsed:
        """Convert the calls to columns, and reject those whose fields contradict each other."""
        rows = gathering.call_rows
        names: list[str] = []
        calls = None
        if len(rows):
            names, calls, valid = to_columns(gathering.calls, self.layout, self.salt, self.later)
            if not valid.all():
                for row in rows[~valid].tolist():
                    record = record_of(row)  # decoded again, for the text of the reason
                    rejected.append((row, (record is not None and codec.check(record)) or ""))
                calls, rows = calls.take(valid), rows[valid]
        return _Parsed(names, calls if len(rows) else None, rows, gathering.others, rejected, blank)

    def _decoded(self, parsed: _Parsed, raw: Sequence[bytes], line: NDArray[np.int64]) -> DecodedRows:
        event_ms = np.full(len(raw), -1, np.int64)
        if parsed.calls is not None:
            event_ms[parsed.call_rows] = parsed.calls.end_ms
        for row, record in parsed.others:
            event_ms[row] = record.updated_ms
        decoded = DecodedRows(
            event_ms, parsed.names, parsed.calls, parsed.call_rows, parsed.others, sorted(parsed.rejected), raw, line
        )
        if self.not_after_ms is not None:
            reject_later(decoded, np.int64(self.not_after_ms))
        return decoded


def _records(
    lines: Sequence[bytes], first: int, rejected: list[tuple[int, str]], blank: list[int]
) -> list[Record | None]:
    """The records of lines, read by msgspec. None is one that is appended to ``rejected`` or ``blank``.

    ``first`` is the row of the first line.
    """
    decode = codec.decoder_for(lines)
    to_come = iter(lines)
    records: list[Record | None] = []
    while len(records) < len(lines):
        try:
            records.extend(map(decode, to_come))
        except codec.DECODE_ERRORS as error:
            line = lines[len(records)]
            if line.isspace() or not line:
                blank.append(first + len(records))
            else:
                rejected.append((first + len(records), codec.explain(line, error)))
            records.append(None)
    return records


_native_parser = lru_cache(16)(native.NativeParser)  # a worker has one for all its partitions


def _kept_lines(lines: Sequence[bytes] | ByteRows, kept: NDArray[np.bool_] | None) -> Sequence[bytes]:
    """The lines that are kept, None: all. A line that is too long is cut."""
    if isinstance(lines, ByteRows):
        rows, sizes = lines, lines.sizes
        if sizes.max(initial=0) >= codec.MAX_BYTES:
            rows = rows.with_sizes(np.where(sizes >= codec.MAX_BYTES, _KEPT, sizes)).trimmed()
        return cast(Sequence[bytes], rows if kept is None else rows.take(kept))
    if max(map(len, lines), default=0) >= codec.MAX_BYTES:
        lines = [line[:_KEPT] if len(line) >= codec.MAX_BYTES else line for line in lines]
    if kept is None:
        return lines
    return [line for line, keep in zip(lines, kept, strict=True) if keep]


def reject_later(decoded: DecodedRows, not_after_ms: NDArray[np.int64] | np.int64) -> None:
    """Reject the rows whose event time is after ``not_after_ms`` (one for all rows, or one per row)."""
    ahead = np.flatnonzero(decoded.event_ms > not_after_ms)
    if len(ahead):
        limit = np.broadcast_to(not_after_ms, decoded.event_ms.shape)
        reason = "future_event: expected an event time of at most {}, got {}"
        decoded.reject({row: reason.format(limit[row], decoded.event_ms[row]) for row in ahead.tolist()})


@dataclass(slots=True)
class PlacedRows:
    """A decoded piece with its position in the source: the clock before and after each row, and its offset, ``[n]``."""

    source: int
    decoded: DecodedRows
    before_ms: NDArray[np.int64]
    after_ms: NDArray[np.int64]
    offset: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offset)


class Source:
    """A file, or one partition of one topic. Its clock is the largest event time of its valid records so far."""

    def __init__(self, number: int, clock_ms: int = NO_CLOCK_MS, offset: int = 0) -> None:
        self.number = number
        self.clock_ms = clock_ms
        self.offset = offset

    def place(
        self, decoded: DecodedRows, offset: NDArray[np.int64] | None = None, at_most_ms: NDArray[np.int64] | None = None
    ) -> PlacedRows:
        """Place the next piece of this source, and advance the clock.

        ``offset`` ``[n]`` is needed if offsets are not consecutive. A row moves the clock at most to its ``at_most_ms``
        ``[n]``.
        """
        rows = len(decoded.event_ms)
        if offset is None:
            offset = np.arange(self.offset, self.offset + rows)
        if not rows:
            return PlacedRows(self.number, decoded, decoded.event_ms, decoded.event_ms, offset)
        event_ms = decoded.event_ms if at_most_ms is None else np.minimum(decoded.event_ms, at_most_ms)
        after = np.maximum(np.maximum.accumulate(event_ms), self.clock_ms)
        before = np.concatenate([[self.clock_ms], after[:-1]])
        self.clock_ms = int(after[-1])
        self.offset = int(offset[-1]) + 1
        return PlacedRows(self.number, decoded, before, after, offset)


@dataclass(slots=True)
class RejectedRow:
    """A row that is not a valid record: where it was read, the reason, and its original bytes and key.

    With ``first_offset`` it is a whole record batch; see `monitor.partition.record_batch.UnreadableRecord`.
    ``signature`` is the header that signs the row, if there is one.
    """

    ref: RecordRef
    reason: str
    raw: bytes | None
    key: bytes | None = None
    first_offset: int | None = None
    signature: bytes | None = None


@dataclass(slots=True)
class LateCall:
    """A late call: where it was read, its sort fields, and its original bytes."""

    ref: RecordRef
    end_ms: int
    tenant_id: str
    call_id: str
    raw: bytes


@dataclass(slots=True)
class MergedRows:
    """Rows of one or more sources in reading order, split into calls, waiting records, late calls and rejected rows."""

    rows: int
    names: list[str]
    calls: Calls | None
    waiting: list[PendingRecord]
    late: list[LateCall]
    rejected: list[RejectedRow]


def merge(pieces: Sequence[tuple[PlacedRows, int, int]], lateness: LateLine) -> MergedRows:
    """Merge the rows ``start`` to ``stop`` of each piece into one batch in reading order.

    The next row is always read from the source with the lowest clock, the first one at a tie. So rows are ordered by
    the clock of their source before them, then by source, then by position in it.
    """
    batch = MergedRows(0, [], None, [], [], [])
    parts: list[Calls] = []
    for placed, start, stop in pieces:
        decoded = placed.decoded
        batch.rows += stop - start
        for row, reason in decoded.rejected:
            if start <= row < stop:
                batch.rejected.append(RejectedRow(ref_of(placed, row), reason, decoded.raw[row]))
        batch.waiting += _waiting(placed, start, stop, lateness)
        if decoded.calls is None:
            continue
        first, after = np.searchsorted(decoded.call_rows, [start, stop])
        calls, rows = decoded.calls, decoded.call_rows
        if (first, after) != (0, len(rows)):
            calls, rows = calls.take(np.arange(first, after)), rows[first:after]
        calls.source = np.full(len(rows), placed.source, np.int16)
        calls.offset = placed.offset[rows]
        calls.clock_ms = placed.before_ms[rows]
        calls.line_ms = lateness.lines(placed.after_ms[rows])
        late = calls.end_ms < calls.line_ms
        if late.any():
            for i in np.flatnonzero(late):
                name = decoded.names[calls.tenant[i]]
                ref = ref_of(placed, int(rows[i]))
                batch.late.append(LateCall(ref, int(calls.end_ms[i]), name, calls.call_id[i], decoded.raw[rows[i]]))
            calls, rows = calls.take(~late), rows[~late]
        calls.tenant = calls.tenant + np.int32(len(batch.names))
        batch.names += decoded.names
        parts.append(calls)
    if parts:
        batch.calls = Calls.concat(parts)
        if len(parts) > 1:
            batch.calls = batch.calls.take(np.lexsort((batch.calls.source, batch.calls.clock_ms)))
    return batch


def _waiting(placed: PlacedRows, start: int, stop: int, lateness: LateLine) -> Iterator[PendingRecord]:
    """The records among these rows that are not calls."""
    decoded = placed.decoded
    others = decoded.others
    first = bisect_left(others, start, key=itemgetter(0))
    others = others[first : bisect_left(others, stop, first, key=itemgetter(0))]
    rows = np.array([row for row, _ in others], np.intp)
    columns = placed.before_ms[rows], lateness.lines(placed.after_ms[rows]), placed.offset[rows], decoded.line[rows]
    for (row, record), before_ms, line_ms, offset, line in zip(others, *(c.tolist() for c in columns), strict=True):
        signature = decoded.signatures.get(line) if decoded.signatures else None
        ref = RecordRef(before_ms, placed.source, offset, line)
        yield PendingRecord.of(record, max(record.updated_ms, line_ms), ref, decoded.raw[row], signature)


def ref_of(placed: PlacedRows, row: int) -> RecordRef:
    """The reference of a row."""
    return RecordRef(int(placed.before_ms[row]), placed.source, int(placed.offset[row]), int(placed.decoded.line[row]))
