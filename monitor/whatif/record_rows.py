"""The rows of a file of records, for code that inspects each record while a replay reads it."""

from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, Final

from monitor.adapters.base import Adapter, InputRow
from monitor.replay.files import line_chunks
from monitor.whatif.distinct_records import DistinctRecords
from schemas import codec
from schemas.inputs import Record

_PIECE_LINES: Final = 5_000


def inspected(
    adapters: Sequence[Adapter | None], lateness_ms: int, not_after_ms: int | None, inspect: Callable[[Record], None]
) -> list[Adapter]:
    """Adapters for the same files that call ``inspect`` with each record that counts, see `DistinctRecords`."""
    distinct = DistinctRecords(lateness_ms, len(adapters))
    return [_InspectedFile(inner, source, distinct, not_after_ms, inspect) for source, inner in enumerate(adapters)]


class _InspectedFile:
    """An adapter that passes on the rows of JSON lines, or of ``inner``."""

    def __init__(
        self,
        inner: Adapter | None,
        source: int,
        distinct: DistinctRecords,
        not_after_ms: int | None,
        inspect: Callable[[Record], None],
    ) -> None:
        self._inner, self._source, self._inspect = inner, source, inspect
        self._distinct, self._not_after_ms = distinct, not_after_ms

    def rows(self, stream: BinaryIO) -> Iterator[InputRow]:
        """The rows of one file."""
        for row in _json_lines(stream) if self._inner is None else self._inner.rows(stream):
            if row.record is not None and self._distinct.take(row.record, self._not_after_ms, source=self._source):
                self._inspect(row.record)
            yield row
        self._distinct.end(self._source)


def _json_lines(stream: BinaryIO) -> Iterator[InputRow]:
    for first, lines in line_chunks(stream, _PIECE_LINES):
        for number, line in enumerate(lines, first):
            if not line or line.isspace():
                continue
            try:
                yield InputRow(number, line, codec.read(line), None)
            except codec.InvalidRecordError as rejected:
                yield InputRow(number, line, None, str(rejected))
