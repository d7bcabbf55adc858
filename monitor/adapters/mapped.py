"""The adapter of a mapping file: rows of CSV, JSON or forms in, records or reasons out."""

import array
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import BinaryIO, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from monitor.adapters.base import InputRow
from monitor.adapters.errors import MappingError, Reject, RowErrorCode, TooManyRows
from monitor.adapters.lines import bounded_lines
from monitor.adapters.mapping.cells import Cells, Extractor, url_decoded
from monitor.adapters.mapping.compile_fields import CompiledFields
from monitor.adapters.mapping.spec import ROW, Form, Mapping
from monitor.adapters.mapping_wording import NO_HINT, mapping_text
from monitor.adapters.rows.csv_rows import CsvRows
from monitor.adapters.rows.form_rows import FormRows, unwrapped
from monitor.adapters.rows.json_rows import JsonRows, ObjectRows
from monitor.policy.file.errors import PolicyFault, near_miss
from monitor.text.bilingual import Bilingual
from schemas.codec import MAX_BYTES, InvalidRecordError, convert, convert_encoded
from schemas.error_codes import ErrorCode
from schemas.inputs import Record

# The key of rows without an event time: before all others, in file order.
_FIRST: Final = -(1 << 62)

# What splitting a document allocates depends on the number of its parts: this many for each row that is accepted.
_PARTS_A_ROW: Final = 100

_SHOWN_NAMES: Final = 100  # columns of a header, in the reason why one is missing
_SHOWN_CHARS: Final = 60

_SMALL_BYTES: Final = 100_000  # a document that cannot have too many parts


class MappedAdapter:
    """Reads one kind of file by a mapping.

    Sorting keeps the file's raw rows in memory, and three integers each: about 100 bytes a row beside the row's own
    bytes (2.26 million rows of 30 bytes: 300 MB). Records are created in output order and not kept. A mapping with
    ``sort: false`` keeps nothing.
    """

    def __init__(self, mapping: Mapping, key: bytes) -> None:
        self.mapping = mapping
        self.key = key
        self._names: tuple[str, ...] | None = None
        self._program: RowProgram | None = None
        self._alone: MappedRows | None = None

    def read(self, document: bytes) -> list[InputRow]:
        """The rows of one document, such as a request's body or a Kafka value, in its order.

        A pure function of the document's bytes: what cannot be read is a row with its reason. Its cost is linear in
        the document.
        """
        return list(self.document_rows(document))

    def document_rows(self, document: bytes, most: int | None = None) -> Iterator[InputRow]:
        """The rows of `read`, one after the other.

        Raises `TooManyRows` at row ``most`` + 1, and before anything is split if the document could have many more.
        """
        reader = self.document_reader(document, most)
        if isinstance(reader, InputRow):
            yield reader
            return
        for number, (line, raw) in enumerate(reader.records(), 1):
            if most is not None and number > most:
                raise TooManyRows(f"expected at most {most:,} rows, got more")
            yield reader.row(line, raw, number)

    def document_reader(self, document: bytes, most: int | None = None) -> "MappedRows | InputRow":
        """The mapping bound to a document; if that is not possible, the one row that says why.

        Raises `TooManyRows` like `document_rows`, but does not count the rows.
        """
        if len(document) >= MAX_BYTES:
            reason = (
                f"{ErrorCode.TOO_LONG}: expected a document of less than {MAX_BYTES:,} bytes, got {len(document):,}"
            )
            return InputRow(1, document, None, reason)
        if self.mapping.field:
            document = unwrapped(document, self.mapping.field)
            if document.startswith(self.mapping.field.encode() + b"="):
                reason = f"{RowErrorCode.MALFORMED_ROW}: expected a document in the form field, got a form again"
                return InputRow(1, document, None, reason)
        must_not_have_more(document, self.mapping.form, most)
        try:
            return self.reader(io.BytesIO(document))
        except MappingError as error:
            reason = f"{RowErrorCode.MALFORMED_ROW}: {'; '.join(fault.message for fault in error.faults)}"
            return InputRow(1, document, None, reason)

    def only_record(self, document: bytes) -> tuple[Record, bytes] | str | None:
        """The record of a JSON document that is one valid row, and its bytes; the reason why a row is none.

        None for a document that may have more than one row. It is what `document_rows` gives, at a third of its cost.
        """
        if self.mapping.form not in ("json", "jsonl") or len(document) > _SMALL_BYTES:
            return None
        if self._alone is None:
            self._alone = self.reader(())
        return self._alone.only_record(document)

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
        reader = self.reader(lines)
        if not self.mapping.sort:
            return (reader.row(line, raw, n) for n, (line, raw) in enumerate(reader.records(), 1))
        return self._sorted(reader)

    def reader(self, lines: Iterable[bytes]) -> "MappedRows":
        """The mapping bound to a file. Raises `MappingError` if the file lacks a column."""
        source = _source(self.mapping, lines)
        names = source.names if isinstance(source, CsvRows) else _columns(self.mapping)
        if self._program is None or self._names != names:
            # Compiled once for a header: bodies of one sender have the same.
            self._program, self._names = RowProgram(self.mapping, names, self.key), names
        return MappedRows(source, self._program)

    def row_reader(self) -> "MappedRows":
        """The mapping bound to rows that stand alone: a row of CSV is a JSON object with the texts of its columns."""
        mapping = self.mapping
        alone = replace(mapping, form="jsonl") if mapping.form == "csv" else mapping
        columns = _columns(mapping)
        source = ObjectRows(columns) if mapping.form == "csv" else _source(mapping, ())
        return MappedRows(source, RowProgram(alone, columns, self.key))

    @staticmethod
    def _sorted(reader: "MappedRows") -> Iterator[InputRow]:
        kept = KeptRows(reader.place)
        for line, raw in reader.records():
            kept.add(line, raw)
        for n in kept.order():
            yield reader.row(kept.lines[n], kept.raws[n], int(n) + 1)


class KeptRows:
    """The rows of a file, unconverted, with the sort key that ``place`` gives each from its bytes and number."""

    def __init__(self, place: Callable[[bytes, int], tuple[int, int]]) -> None:
        self.raws: list[bytes] = []
        self.lines = array.array("q")
        self._place = place
        self._times, self._ties = array.array("q"), array.array("q")

    def add(self, line: int, raw: bytes) -> None:
        """Keep the next row of the file."""
        self.raws.append(raw)
        self.lines.append(line)
        event_ms, tie = self._place(raw, len(self.raws))
        self._times.append(event_ms)
        self._ties.append(tie)

    def order(self) -> NDArray[np.int64]:
        """The places of the rows by their keys; stable: rows of one key stay in file order."""
        if not self.raws:
            return np.zeros(0, np.int64)
        return np.lexsort((np.frombuffer(self._ties, np.int64), np.frombuffer(self._times, np.int64)))


def must_not_have_more(document: bytes, form: Form, most: int | None) -> None:
    """Raises `TooManyRows` if the document has so many lines, values or objects that splitting it would cost much."""
    if most is None:
        return
    marks = (b"\n",) if form in ("csv", "form") else (b"\n", b",", b"{")
    if any(document.count(mark) > _PARTS_A_ROW * most for mark in marks):
        raise TooManyRows(f"expected at most {most:,} rows, got a document of far more lines or values")


def _columns(mapping: Mapping) -> tuple[str, ...]:
    return tuple(column for column in mapping.columns if column != ROW)


def _source(mapping: Mapping, lines: Iterable[bytes]) -> CsvRows | JsonRows | FormRows:
    """The rows of a file. Raises `MappingError` if its header cannot be read."""
    if mapping.form == "form":
        return FormRows(lines, _columns(mapping))
    if mapping.form != "csv":
        return JsonRows(lines, _columns(mapping), mapping.form == "json", mapping.rows, mapping.field)
    source = CsvRows(lines, mapping.dialect, mapping.encoding, _columns(mapping))
    if source.unread:
        message = mapping_text("unread_header", why=source.unread)
        raise MappingError([PolicyFault.worded(mapping.name, 1, 1, message)])
    return source


class RowProgram:
    """A mapping compiled for files with the columns ``names``: where each column is, and what becomes of a row.

    Raises `MappingError` if the mapping reads a column that is not there.
    """

    def __init__(self, mapping: Mapping, names: tuple[str, ...], key: bytes) -> None:
        columns = _columns(mapping)
        self.names = names
        self.missing: list[str] = []
        if mapping.form == "csv":
            _complain(mapping, columns, names)
            index = {name: n for n, name in reversed([*enumerate(names)])}
            self.missing = [column for column in columns if column not in index]
        else:
            index = {name: n for n, name in enumerate(names)}
        # Behind the file's columns are the optional ones that it lacks, the row's number, and those of `extract`.
        width = len(names)
        index |= {column: width + n for n, column in enumerate(self.missing)}
        index[ROW] = width + len(self.missing)
        extractor = Extractor(mapping.extracts, index)
        index |= {name: index[ROW] + 1 + n for n, name in enumerate(extractor.names)}
        self.index = index
        self.extractor = extractor if extractor.names else None
        self.extended = bool(self.missing) or ROW in mapping.marks or self.extractor is not None
        self.decoded = [index[column] for column in columns if column not in self.missing] if mapping.decode else []
        self.fields = CompiledFields(mapping, index, key)
        arrival = mapping.arrival
        self.tie: Callable[[Cells], int] = _tie(index[arrival.column], arrival.descending) if arrival else _no_tie


def _complain(mapping: Mapping, columns: tuple[str, ...], names: tuple[str, ...]) -> None:
    if not names:
        return  # an empty file has no rows, so nothing can be missing from them
    absent = [column for column in columns if column not in names and column not in mapping.optional]
    if absent:
        raise MappingError(mapping.column_fault(column, _no_column(mapping, column, names)) for column in absent)


def _no_column(mapping: Mapping, column: str, names: tuple[str, ...]) -> Bilingual:
    tenant = mapping_text("all_of_one_tenant") if column in mapping.tenant_columns else NO_HINT
    # A body that is no CSV may be one name of megabytes, or a million names: comparing these would take minutes.
    some = [name[:_SHOWN_CHARS] for name in names[:_SHOWN_NAMES]]
    return mapping_text("no_such_column", column=column, hint=near_miss(column, some), tenant=tenant)


class MappedRows:
    """A mapping bound to one file: its rows, and what becomes of them."""

    def __init__(self, source: CsvRows | JsonRows | FormRows | ObjectRows, program: RowProgram) -> None:
        self._source = source
        self._program = program
        self._changes = bool(program.decoded) or program.extended
        self.names = program.names
        self.index = program.index
        self.fields = program.fields

    def records(self) -> Iterator[tuple[int, bytes]]:
        """The file's rows: line and bytes."""
        return self._source.records()

    def alone(self, raw: bytes) -> bytes:
        """A row as `MappedAdapter.row_reader` reads it: a row of CSV becomes a JSON object with the text of each of its
        columns. Raises `Reject`.
        """
        if not isinstance(self._source, CsvRows):
            return raw
        # The first of a name counts.
        columns = zip(reversed(self.names), reversed(self._source.cells(raw)), strict=True)
        return orjson.dumps(dict(columns))

    def cells(self, raw: bytes, number: int) -> Cells:
        """The cells of a row, extended by the columns that the file does not have, as in ``index``. Raises `Reject`."""
        return self._extended(self._source.cells(raw), number)

    def only_record(self, document: bytes) -> tuple[Record, bytes] | str | None:
        """Like `MappedAdapter.only_record`."""
        if not isinstance(self._source, JsonRows):
            return None
        try:
            cells = self._source.only_cells(document)
            if cells is None:
                return None
            return convert_encoded(self.fields.data(self._extended(cells, 1) if self._changes else cells))
        except (Reject, InvalidRecordError) as error:
            return str(error)

    def _extended(self, cells: Cells, number: int) -> Cells:
        program = self._program
        for at in program.decoded:
            cells[at] = url_decoded(cells[at])
        if program.extended:
            cells.extend("" for _ in program.missing)
            cells.append(str(number))
            if program.extractor is not None:
                cells.extend(program.extractor.texts(cells))
        return cells

    def place(self, raw: bytes, number: int) -> tuple[int, int]:
        """The sort key of a row: event time and tie-breaker."""
        return self.place_by(self.fields.event_ms, raw, number)

    def place_by(self, time_ms: Callable[[Cells], int | None], raw: bytes, number: int) -> tuple[int, int]:
        """The sort key of a row by the time that ``time_ms`` reads."""
        try:
            cells = self.cells(raw, number)
        except Reject:
            return _FIRST, 0
        event_ms = time_ms(cells)
        if event_ms is None or not -_LIMIT < event_ms < _LIMIT:
            return _FIRST, 0
        return event_ms, self._program.tie(cells)

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
