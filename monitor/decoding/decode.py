"""Decoding: converts the input of a source to columns of calls and waiting records.

It does not depend on time and may run anywhere, in any order. `monitor.decoding.source` then reads the decoded pieces
in the order of the source.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from monitor.byte_rows import ByteRows, as_byte_rows
from monitor.core.calls.columns import Calls, Gathered, to_columns
from monitor.core.calls.fields import FieldLayout
from monitor.core.decisions.pending_record import Other
from monitor.decoding import native
from monitor.decoding.decoded_rows import DecodedRows, reject_later
from monitor.decoding.native import NameBlock
from schemas import codec
from schemas.inputs import Cdr, Record

if TYPE_CHECKING:  # a worker does not need adapters and their dependencies
    from monitor.adapters.base import InputRow

_AT_ONCE = 512  # lines decoded and converted together, so that the records stay in the CPU cache
_KEPT = 4_096  # bytes kept of a line that is too long, for display: thousands of such lines must not fill the memory
_NO_VALUE = "no_value: the record has no value; expected a record as JSON"


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
    name_block: NameBlock | None = None

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
            sizes = rows.sizes
            held = rows.with_sizes(np.maximum(sizes, 0)) if len(sizes) and sizes.min() < 0 else rows
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
        names, block, calls = parser.columns(found) if len(found) else ([], None, None)
        return _Parsed(names, calls, found.rows, others, rejected, blank, block)

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
        decoded.name_block = parsed.name_block
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
