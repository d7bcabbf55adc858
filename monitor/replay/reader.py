"""Reads sources side by side, in reading order: which rows can be read next, and the watermark after them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.decoding.decoded_rows import DecodedRows
from monitor.decoding.late_line import LateLine
from monitor.decoding.merge import MergedRows, merge
from monitor.decoding.source import NO_CLOCK_MS, PlacedRows, Source

ReadyRows = tuple[PlacedRows, int, int]
"""The rows of a piece from a first one to before a last one."""


@dataclass(slots=True)
class ReadStep:
    """Rows that are read together.

    ``batch`` is the merged ``ready``. ``before_ms`` is the watermark before these rows, ``watermark_ms`` the one after
    them, None if no source has a clock yet or all have ended.
    """

    ready: Sequence[ReadyRows]
    batch: MergedRows
    before_ms: int
    watermark_ms: int | None


class _Feed:
    """A source being read: its current piece and the position in it."""

    def __init__(self, number: int, decoded: Iterator[DecodedRows]) -> None:
        self.source = Source(number)
        self._decoded = decoded
        self.piece: PlacedRows | None = None
        self.at = 0
        self.next_piece()

    def next_piece(self) -> None:
        """Move to the next piece that has rows. ``piece`` is None if there is none."""
        self.piece, self.at = None, 0
        for decoded in self._decoded:
            if len(decoded.event_ms):
                self.piece = self.source.place(decoded)
                return

    @property
    def clock_ms(self) -> int:
        """The clock before the next row."""
        assert self.piece is not None
        return int(self.piece.before_ms[self.at])


class SourcesReader:
    """The steps of reading sources to their ends. It depends only on their rows, so all readers of them agree."""

    def __init__(self, sources: Sequence[Iterator[DecodedRows]], lateness: LateLine) -> None:
        self._sources = sources
        self._lateness = lateness
        self.last_ms: int | None = None
        """The largest event time, known at the end; None if there is none."""

    def steps(self) -> Iterator[ReadStep]:
        """Read all sources to their ends."""
        feeds = [_Feed(number, decoded) for number, decoded in enumerate(self._sources)]
        watermark_ms = NO_CLOCK_MS
        while reading := [feed for feed in feeds if feed.piece is not None]:
            ready = _ready(reading)
            step = ReadStep(ready, merge(ready, self._lateness), watermark_ms, None)
            for feed in reading:
                if feed.piece is not None and feed.at == len(feed.piece):
                    feed.next_piece()
            left = [feed.clock_ms for feed in feeds if feed.piece is not None]
            if left and min(left) > NO_CLOCK_MS:
                step.watermark_ms = watermark_ms = self._lateness.line(min(left))
            yield step
        last_ms = max((feed.source.clock_ms for feed in feeds), default=NO_CLOCK_MS)
        self.last_ms = last_ms if last_ms > NO_CLOCK_MS else None


def _ready(reading: Sequence[_Feed]) -> list[ReadyRows]:
    """The rows that can be read without later pieces: the rest of one piece, and the rows of others before its end.

    It is the piece whose end has the lowest clock (the first at a tie): all rows before its end are available.
    """
    last = min(reading, key=lambda feed: (feed.source.clock_ms, feed.source.number))
    ready = []
    for feed in reading:
        assert feed.piece is not None
        stop = len(feed.piece)
        if feed is not last:
            earlier = feed.source.number < last.source.number
            stop = int(np.searchsorted(feed.piece.before_ms, last.source.clock_ms, "right" if earlier else "left"))
        if stop > feed.at:
            ready.append((feed.piece, feed.at, stop))
            feed.at = stop
    return ready
