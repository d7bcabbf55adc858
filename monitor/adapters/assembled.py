"""The adapter of a mapping with events: several rows of a file make one call."""

import array
import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import BinaryIO, Final, NamedTuple

import numpy as np

from monitor.adapters.assembly.assembler import Assembler
from monitor.adapters.assembly.call_event import CallEvent, EventProgram
from monitor.adapters.assembly.call_program import AssembledCall, CallProgram
from monitor.adapters.base import InputRow
from monitor.adapters.errors import Reject, TooManyRows
from monitor.adapters.mapped import MappedAdapter, MappedRows
from monitor.adapters.mapping.cells import Cells
from monitor.adapters.mapping.spec import Events, Mapping
from schemas.inputs import Cdr

# The end of a call may be a field that is a little earlier than the event that has it.
_MARGIN_MS: Final = 60_000


class EventRow(NamedTuple):
    """One event of a document: its line, its bytes, and an event or the reason for rejection.

    ``value`` is what `AssembledAdapter.logged` reads again; empty without an event.
    """

    line: int
    raw: bytes
    event: CallEvent | None
    reason: str | None
    value: bytes = b""


class FileCall(NamedTuple):
    """One call of a file, or one event that is rejected: its row, and the columns of the call."""

    row: InputRow
    cells: Cells


class AssembledAdapter:
    """Reads one kind of file by a mapping with events.

    The rows are sorted by their time and kept, as by `MappedAdapter`. A call has the line of its first row, and as its
    bytes those of the rows that count.
    """

    def __init__(self, mapping: Mapping, events: Events, key: bytes) -> None:
        self.mapping = mapping
        self.program = CallProgram(mapping, events, key)
        self._events = events
        self._key = key
        # A row is read for its time alone; the fields are those of a call.
        self._rows = MappedAdapter(_of_events(mapping, events), key)
        self._compiled: tuple[tuple[str, ...], EventProgram] | None = None
        self._logged: tuple[MappedRows, EventProgram] | None = None

    def events(self, document: bytes) -> list[EventRow]:
        """The events of one document, such as a request's body or a Kafka value, in its order.

        A pure function of the document's bytes, like `MappedAdapter.read`.
        """
        return list(self.document_events(document))

    def document_events(self, document: bytes, most: int | None = None) -> Iterator[EventRow]:
        """The events of `events`, one after the other. Raises `TooManyRows` like `MappedAdapter.document_rows`."""
        reader = self._rows.document_reader(document, most)
        if isinstance(reader, InputRow):
            yield EventRow(reader.line, reader.raw, None, reader.reason)
            return
        program = self._program_for(reader)
        for number, (line, raw) in enumerate(reader.records(), 1):
            if most is not None and number > most:
                raise TooManyRows(f"expected at most {most:,} rows, got more")
            row = _event_row(reader, program, line, raw, number)
            yield row if row.event is None else row._replace(value=reader.alone(raw))

    def logged(self, value: bytes) -> CallEvent:
        """The event of a row's ``value``. Raises `Reject`."""
        if self._logged is None:
            reader = self._rows.row_reader()
            self._logged = reader, EventProgram(self._events, reader.index, self._key)
        reader, program = self._logged
        return program.event(reader.cells(value, 1))

    def lines(self, stream: BinaryIO) -> Iterator[bytes]:
        """Like `MappedAdapter.lines`."""
        return self._rows.lines(stream)

    def rows(self, stream: BinaryIO) -> Iterator[InputRow]:
        """The calls by event time, and among them the rejected events."""
        return (call.row for call in self.calls(self.reader(self.lines(stream))))

    def reader(self, lines: Iterable[bytes]) -> MappedRows:
        """The rows of a file. Raises `MappingError` if the file lacks a column of the mapping."""
        return self._rows.reader(lines)

    def calls(
        self, reader: MappedRows, limit: int | None = None, look: Callable[[bytes], None] | None = None
    ) -> Iterator[FileCall]:
        """The calls of the first ``limit`` rows (default: all) by event time, and among them the rejected events.

        ``look`` is called with the bytes of each row.
        """
        program = self._program_for(reader)
        raws: list[bytes] = []
        numbers, times = array.array("q"), array.array("q")
        for line, raw in islice(reader.records(), limit):
            raws.append(raw)
            numbers.append(line)
            times.append(reader.place(raw, len(raws))[0])
            if look is not None:
                look(raw)
        # Stable: rows of one time stay in file order.
        order = np.argsort(np.frombuffer(times, np.int64), kind="stable").tolist() if raws else []
        assembler = Assembler(self.program)
        waiting = _ByEnd()
        behind_ms = max(self._events.ring_timeout_ms, self._events.settle_ms) + _MARGIN_MS
        for n in order:
            row = _event_row(reader, program, numbers[n], raws[n], n + 1)
            if row.event is None:
                yield FileCall(InputRow(row.line, row.raw, None, row.reason), [])
                continue
            for result in assembler.feed(row.event, n):
                waiting.add(_file_call(result, numbers, raws))
            yield from waiting.until(assembler.clock_ms - behind_ms)
        for result in assembler.finish():
            waiting.add(_file_call(result, numbers, raws))
        yield from waiting.until(None)

    def _program_for(self, reader: MappedRows) -> EventProgram:
        if self._compiled is None or self._compiled[0] != reader.names:
            self._compiled = reader.names, EventProgram(self._events, reader.index, self._key)
        return self._compiled[1]


class _ByEnd:
    """Calls in the order of their ends: assembled, they are in the order of their deadlines."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, FileCall]] = []
        self._added = 0

    def add(self, call: FileCall) -> None:
        self._added += 1
        record = call.row.record
        heapq.heappush(self._heap, (record.end_ms if isinstance(record, Cdr) else 0, self._added, call))

    def until(self, end_ms: int | None) -> Iterator[FileCall]:
        while self._heap and (end_ms is None or self._heap[0][0] <= end_ms):
            yield heapq.heappop(self._heap)[2]


def _of_events(mapping: Mapping, events: Events) -> Mapping:
    """The mapping of one row: it has a time, and nothing else."""
    fields, none = {"event_ms": events.time}, frozenset[str]()
    return replace(mapping, fields=fields, event="event_ms", required=none, rejections=(), extracts=(), precision_ms=0)


def _event_row(reader: MappedRows, program: EventProgram, line: int, raw: bytes, number: int) -> EventRow:
    try:
        return EventRow(line, raw, program.event(reader.cells(raw, number)), None)
    except Reject as error:
        return EventRow(line, raw, None, str(error))


def _file_call(result: AssembledCall, lines: "array.array[int]", raws: list[bytes]) -> FileCall:
    raw = b"\n".join(raws[ref] for ref in result.refs)
    return FileCall(InputRow(lines[result.refs[0]], raw, result.record, result.reason), result.cells)
