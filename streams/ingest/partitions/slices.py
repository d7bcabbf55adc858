"""Cuts a batch into slices; a handler is given one at a time."""

from collections.abc import Iterator
from typing import Final

from streams.kafka.api import FetchedBatch

_MOST_ROWS: Final = 2_000
_MOST_BYTES: Final = 1 << 20


def slices(batch: FetchedBatch) -> Iterator[FetchedBatch]:
    """The batch in slices of bounded size; a larger record is a slice of its own. Together they cover its offsets."""
    rows = len(batch)
    first, size, start = 0, 0, batch.start
    for row, value in enumerate(batch.values):
        size += len(value or b"")
        if row > first and (row - first >= _MOST_ROWS or size > _MOST_BYTES):
            stop = int(batch.offsets[row - 1]) + 1
            yield _part(batch, first, row, start, stop)
            first, size, start = row, len(value or b""), stop
    yield batch if first == 0 else _part(batch, first, rows, start, batch.stop)


def bytes_of(batch: FetchedBatch) -> int:
    """About how much memory the records of a batch hold."""
    return sum(len(value) for value in batch.values if value is not None) + 100 * len(batch)


def _part(batch: FetchedBatch, first: int, last: int, start: int, stop: int) -> FetchedBatch:
    some = slice(first, last)
    return FetchedBatch(
        start, stop, batch.offsets[some], batch.timestamps_ms[some], batch.keys[some], batch.values[some],
        batch.unreadable,
    )  # fmt: skip
