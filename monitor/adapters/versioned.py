"""The adapter of a mapping with versions that are held: several rows correct one call."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import BinaryIO, NamedTuple

from monitor.adapters.assembly.version_assembler import VersionAssembler
from monitor.adapters.assembly.version_event import VersionEvent, VersionProgram
from monitor.adapters.base import InputRow
from monitor.adapters.errors import Reject, TooManyRows
from monitor.adapters.mapped import KeptRows, MappedAdapter, MappedRows
from monitor.adapters.mapping.cells import Cells
from monitor.adapters.mapping.spec import Mapping, Versions


class VersionRow(NamedTuple):
    """One row of a document: its line, its bytes, and a version or the reason for rejection.

    ``value`` is what `VersionedAdapter.logged` reads again; empty without a version.
    """

    line: int
    raw: bytes
    event: VersionEvent | None
    reason: str | None
    value: bytes = b""


class VersionedAdapter:
    """Reads one kind of file by a mapping with versions.

    Which rows count is found by `VersionAssembler`, which reads the rows of a file by the time of their versions. What
    it gives is sorted as by `MappedAdapter`: every row is there, those that are superseded without their record. The
    rows are kept, and those that are records are converted twice.
    """

    def __init__(self, mapping: Mapping, versions: Versions, key: bytes) -> None:
        self.mapping = mapping
        self.versions = versions
        self._key = key
        self._rows = MappedAdapter(mapping, key)
        self._compiled: tuple[tuple[str, ...], VersionProgram] | None = None
        self._logged: tuple[MappedRows, VersionProgram] | None = None

    def events(self, document: bytes) -> list[VersionRow]:
        """The versions of one document, such as a request's body or a Kafka value, in its order.

        A pure function of the document's bytes, like `MappedAdapter.read`.
        """
        return list(self.document_events(document))

    def document_events(self, document: bytes, most: int | None = None) -> Iterator[VersionRow]:
        """The rows of `events`, one after the other. Raises `TooManyRows` like `MappedAdapter.document_rows`."""
        reader = self._rows.document_reader(document, most)
        if isinstance(reader, InputRow):
            yield VersionRow(reader.line, reader.raw, None, reader.reason)
            return
        program = self._program_for(reader)
        for number, (line, raw) in enumerate(reader.records(), 1):
            if most is not None and number > most:
                raise TooManyRows(f"expected at most {most:,} rows, got more")
            try:
                yield VersionRow(line, raw, program.event(reader.cells(raw, number)), None, reader.alone(raw))
            except Reject as error:
                yield VersionRow(line, raw, None, str(error))

    def logged(self, value: bytes) -> VersionEvent:
        """The version of a row's ``value``. Raises `Reject`."""
        if self._logged is None:
            reader = self._rows.row_reader()
            self._logged = reader, self._program(reader)
        reader, program = self._logged
        return program.event(reader.cells(value, 1))

    def lines(self, stream: BinaryIO) -> Iterator[bytes]:
        """Like `MappedAdapter.lines`."""
        return self._rows.lines(stream)

    def rows(self, stream: BinaryIO) -> Iterator[InputRow]:
        """The rows by event time, like those of `MappedAdapter.rows`."""
        return self.rows_of(self.reader(self.lines(stream)))

    def reader(self, lines: Iterable[bytes]) -> MappedRows:
        """The rows of a file. Raises `MappingError` if the file lacks a column of the mapping."""
        return self._rows.reader(lines)

    def rows_of(
        self, reader: MappedRows, limit: int | None = None, look: Callable[[bytes, int], None] | None = None
    ) -> Iterator[InputRow]:
        """The first ``limit`` rows of a file (default: all) by event time.

        ``look`` is called with the bytes and the number of each, in the order of the file.
        """
        program = self._program_for(reader)
        by_end, by_version = KeptRows(reader.place), KeptRows(_placed_by(reader, program))
        for number, (line, raw) in enumerate(islice(reader.records(), limit), 1):
            by_end.add(line, raw)
            by_version.add(line, raw)
            if look is not None:
                look(raw, number)
        reasons = self._without_record(reader, program, by_version)
        for n in by_end.order():
            line, raw = by_end.lines[n], by_end.raws[n]
            yield InputRow(line, raw, None, reasons[n]) if n in reasons else reader.row(line, raw, int(n) + 1)

    def _without_record(self, reader: MappedRows, program: VersionProgram, kept: KeptRows) -> dict[int, str]:
        """The reasons of the rows that are superseded or rejected."""
        assembler = VersionAssembler(self.versions.settle_ms)
        reasons: dict[int, str] = {}
        for n in kept.order().tolist():
            try:
                event = program.event(reader.cells(kept.raws[n], n + 1))
            except Reject as error:
                reasons[n] = str(error)
                continue
            for result in assembler.feed(event, n):
                if result.reason is not None:
                    reasons[result.refs[0]] = result.reason
        return reasons

    def _program_for(self, reader: MappedRows) -> VersionProgram:
        if self._compiled is None or self._compiled[0] != reader.names:
            self._compiled = reader.names, self._program(reader)
        return self._compiled[1]

    def _program(self, reader: MappedRows) -> VersionProgram:
        return VersionProgram(self.versions, reader.fields, reader.index, self._key)


def of_versions(adapter: object) -> VersionedAdapter | None:
    """An adapter whose mapping names a version, as it reads rows that were logged while it held calls; else None.

    With ``settle`` 0s it writes at once what is still held.
    """
    if isinstance(adapter, MappedAdapter) and adapter.mapping.versions is not None:
        return VersionedAdapter(adapter.mapping, adapter.mapping.versions, adapter.key)
    return adapter if isinstance(adapter, VersionedAdapter) else None


def _placed_by(reader: MappedRows, program: VersionProgram) -> Callable[[bytes, int], tuple[int, int]]:
    """The sort key of a row by the time of its version, or the end of its call if the version is no time."""

    def time_ms(cells: Cells) -> int | None:
        try:
            return program.rank(cells)[1] or reader.fields.event_ms(cells)
        except Reject:
            return None

    return lambda raw, number: reader.place_by(time_ms, raw, number)
