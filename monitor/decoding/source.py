"""A source: reads decoded pieces in order, and gives each row its offset and the source's clock at it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.core.record_ref import RecordRef
from monitor.decoding.decoded_rows import DecodedRows

NO_CLOCK_MS = 0  # the clock of a source without a record, before all valid times (which start in 1990)


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
        before = np.empty_like(after)
        before[0], before[1:] = self.clock_ms, after[:-1]
        self.clock_ms = int(after[-1])
        self.offset = int(offset[-1]) + 1
        return PlacedRows(self.number, decoded, before, after, offset)


def ref_of(placed: PlacedRows, row: int) -> RecordRef:
    """The reference of a row."""
    return RecordRef(int(placed.before_ms[row]), placed.source, int(placed.offset[row]), int(placed.decoded.line[row]))
