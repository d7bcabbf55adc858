"""The adapter of a mapping file: rows of CSV or JSON in, records or reasons out, in event-time order."""

import array
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final

import numpy as np

from monitor.adapters.base import InputRow
from monitor.adapters.errors import MappingError, Reject
from monitor.adapters.lines import bounded_lines
from monitor.adapters.mapping.compile_fields import Cells, CompiledFields
from monitor.adapters.mapping.spec import ROW, Mapping
from monitor.adapters.rows.csv_rows import CsvRows
from monitor.adapters.rows.json_rows import JsonRows
from monitor.policy.file.errors import PolicyFault, did_you_mean
from schemas.codec import InvalidRecordError, convert

# The key of rows without an event time: before all others, in file order.
_FIRST: Final = -(1 << 62)


class MappedAdapter:
    """Reads one kind of file by a mapping.

    Sorting keeps the file's raw rows in memory, and three integers each: about 100 bytes a row beside the row's own
    bytes (2.26 million rows of 30 bytes: 300 MB). Records are created in output order and not kept. A mapping with
    ``sort: false`` keeps nothing.
    """

    def __init__(self, mapping: Mapping, key: bytes) -> None:
        self.mapping = mapping
        self._key = key

    def rows(self, stream: BinaryIO) -> Iterator[InputRow]:
        """The rows by event time, then by the mapping's ``arrival``, then in file order.

        Rows without an event time come first. Raises `MappingError` if the file lacks a column of the mapping.
        """
        return self.rows_of(self.lines(stream))

    def lines(self, stream: BinaryIO) -> Iterator[bytes]:
        """The file's lines for `rows_of` and `file_rows`; one that is too long is cut, unless it may be a document.

        A document is held in memory as a whole.
        """
        return iter(stream) if self.mapping.form == "json" else bounded_lines(stream)

    def rows_of(self, lines: Iterable[bytes]) -> Iterator[InputRow]:
        """`rows` from physical lines with their line ends."""
        reader = MappedRows(self.mapping, lines, self._key)
        if not self.mapping.sort:
            return (reader.row(line, raw, n) for n, (line, raw) in enumerate(reader.records(), 1))
        return self._sorted(reader)

    def file_rows(self, lines: Iterable[bytes]) -> Iterator[InputRow]:
        """The rows in file order; nothing is kept."""
        reader = MappedRows(self.mapping, lines, self._key)
        return (reader.row(line, raw, n) for n, (line, raw) in enumerate(reader.records(), 1))

    def _sorted(self, reader: "MappedRows") -> Iterator[InputRow]:
        raws: list[bytes] = []
        lines, times, ties = array.array("q"), array.array("q"), array.array("q")
        for line, raw in reader.records():
            raws.append(raw)
            lines.append(line)
            event_ms, tie = reader.place(raw, len(raws))
            times.append(event_ms)
            ties.append(tie)
        # Stable: rows that tie in both keys stay in file order.
        order = np.lexsort((np.frombuffer(ties, np.int64), np.frombuffer(times, np.int64))) if raws else ()
        for n in order:
            yield reader.row(lines[n], raws[n], int(n) + 1)


class MappedRows:
    """A mapping bound to one file: its columns located, its fields compiled."""

    def __init__(self, mapping: Mapping, lines: Iterable[bytes], key: bytes) -> None:
        self._source: CsvRows | JsonRows
        columns = tuple(column for column in mapping.columns if column != ROW)
        if mapping.form == "csv":
            self._source = CsvRows(lines, mapping.dialect, mapping.encoding)
            self.names = self._source.names
            if self._source.unread:
                message = f"the file's header cannot be read: {self._source.unread}"
                raise MappingError([PolicyFault(mapping.name, 1, 1, message)])
            self._complain(mapping, columns)
            index = {name: n for n, name in reversed([*enumerate(self.names)])}
            self._missing = [column for column in columns if column not in index]
        else:
            self._source = JsonRows(lines, columns, mapping.form == "json", mapping.rows)
            self.names = columns
            index = {name: n for n, name in enumerate(columns)}
            self._missing = []
        # Optional columns that the file lacks are empty cells behind the others; the row's number follows.
        width = len(self.names)
        index |= {column: width + n for n, column in enumerate(self._missing)}
        index[ROW] = width + len(self._missing)
        self.index = index
        self._extended = bool(self._missing) or ROW in mapping.marks
        self.fields = CompiledFields(mapping, index, key)
        arrival = mapping.arrival
        self._tie: Callable[[Cells], int] = _tie(index[arrival.column], arrival.descending) if arrival else _no_tie

    def _complain(self, mapping: Mapping, columns: tuple[str, ...]) -> None:
        if not self.names:
            return  # an empty file has no rows, so nothing can be missing from them
        absent = [column for column in columns if column not in self.names and column not in mapping.optional]
        if absent:
            raise MappingError(
                mapping.column_fault(column, f"the file has no column `{column}`{did_you_mean(column, self.names)}")
                for column in absent
            )

    def records(self) -> Iterator[tuple[int, bytes]]:
        """The file's rows: line and bytes."""
        return self._source.records()

    def cells(self, raw: bytes, number: int) -> Cells:
        """The cells of a row, extended by missing columns and the row's number as in ``index``. Raises `Reject`."""
        cells = self._source.cells(raw)
        if self._extended:
            cells.extend("" for _ in self._missing)
            cells.append(str(number))
        return cells

    def place(self, raw: bytes, number: int) -> tuple[int, int]:
        """The sort key of a row: event time and tie-breaker."""
        try:
            cells = self.cells(raw, number)
        except Reject:
            return _FIRST, 0
        event_ms = self.fields.event_ms(cells)
        if event_ms is None or not -_LIMIT < event_ms < _LIMIT:
            return _FIRST, 0
        return event_ms, self._tie(cells)

    def row(self, line: int, raw: bytes, number: int) -> InputRow:
        """The row as a record or a reason."""
        try:
            return InputRow(line, raw, convert(self.fields.data(self.cells(raw, number))), None)
        except (Reject, InvalidRecordError) as error:
            return InputRow(line, raw, None, str(error))


_LIMIT: Final = 1 << 61


def _no_tie(cells: Cells) -> int:
    return 0


def _tie(at: int, descending: bool) -> Callable[[Cells], int]:
    sign = -1 if descending else 1

    def tie(cells: Cells) -> int:
        text = cells[at].strip()
        try:
            return sign * int(text) if len(text) < 19 else -_LIMIT
        except ValueError:
            return -_LIMIT

    return tie
