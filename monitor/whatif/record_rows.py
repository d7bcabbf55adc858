"""The rows of a file of records, for code that inspects each record while a replay reads it."""

from collections.abc import Iterator
from typing import BinaryIO, Final

from monitor.adapters.base import Adapter, InputRow
from monitor.replay.files import line_chunks
from schemas import codec

_PIECE_LINES: Final = 5_000


def rows_of(stream: BinaryIO, adapter: Adapter | None) -> Iterator[InputRow]:
    """The rows that the adapter reads; without one, those of JSON lines."""
    return _json_lines(stream) if adapter is None else iter(adapter.rows(stream))


def _json_lines(stream: BinaryIO) -> Iterator[InputRow]:
    for first, lines in line_chunks(stream, _PIECE_LINES):
        for number, line in enumerate(lines, first):
            if not line or line.isspace():
                continue
            try:
                yield InputRow(number, line, codec.read(line), None)
            except codec.InvalidRecordError as rejected:
                yield InputRow(number, line, None, str(rejected))
