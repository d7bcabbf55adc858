"""Merges the rows of several sources into the reading order of section 3 of the contract, and finds late calls."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from monitor.byte_rows import picked
from monitor.core.calls.columns import Calls
from monitor.core.decisions.pending_record import PendingRecord
from monitor.core.record_ref import RecordRef
from monitor.decoding.late_line import LateLine
from monitor.decoding.source import PlacedRows, ref_of


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
        if decoded.others:
            batch.waiting += _waiting(placed, start, stop, lateness)
        if decoded.calls is None:
            continue
        calls, rows = decoded.calls, decoded.call_rows
        if (start, stop) != (0, len(placed)):
            first, after = rows.searchsorted([start, stop]).tolist()
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
        if batch.names:
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
    each = zip(
        others, *(column.tolist() for column in columns), picked(decoded.raw[start:stop], rows - start), strict=True
    )
    for (_, record), before_ms, line_ms, offset, line, raw in each:
        signature = decoded.signatures.get(line) if decoded.signatures else None
        ref = RecordRef(before_ms, placed.source, offset, line)
        yield PendingRecord.of(record, max(record.updated_ms, line_ms), ref, raw, signature)
