"""Reads the next complete lines of a file behind a position, in bounded memory."""

import os
from typing import Final, NamedTuple

from streams.ingest.follow.files.fingerprint import HEAD, TAIL, digest, head_of
from streams.ingest.follow.positions import FilePosition
from streams.ingest.follow.row_writer import MOST_ROWS

MAX_LINE: Final = 1 << 20
"""The bytes of a line, with its end, at most."""

_KEPT: Final = 4_096  # of a line that is too long


class ContentChanged(Exception):
    """The bytes before the position are not those that were read."""


class Chunk(NamedTuple):
    """A part of a file behind a position: ``read[kept:]``. ``lines`` are its complete lines.

    ``read[:kept]`` was read before. ``too_long`` is the beginning of a line that is too long. With ``skipping``, the
    part ends inside of such a line.
    """

    start: int
    end: int
    read: bytes
    kept: int
    lines: bytes = b""
    too_long: bytes | None = None
    skipping: bool = False

    @property
    def is_full(self) -> bool:
        """Whether it would be the same if the file had more."""
        return len(self.read) - self.kept >= MAX_LINE

    @property
    def is_followed(self) -> bool:
        """Whether complete lines may stand behind it, so that the next part has the rest of its last row."""
        return self.is_full or self.lines.count(b"\n") >= MOST_ROWS

    def fingerprints(self, fd: int, position: FilePosition, end: int) -> tuple[str, str]:
        """Those of the position ``end`` in this part: head and tail."""
        head = position.head if position.offset >= HEAD else head_of(fd, end)
        stop = self.kept + end - self.start
        return head, digest(self.read[max(0, stop - TAIL) : stop])


def read_chunk(fd: int, position: FilePosition, final: bool) -> Chunk | None:
    """The next part; None if there is no complete line. ``final``: the end of the file ends its last line.

    Raises ContentChanged.
    """
    start = position.offset
    kept = min(TAIL, start)
    read = os.pread(fd, kept + MAX_LINE, start - kept)
    data = read[kept:]
    if digest(read[:kept]) != position.tail:
        raise ContentChanged
    if not data:
        return None
    if position.skipping:
        length = data.find(b"\n") + 1
        return Chunk(start, start + (length or len(data)), read, kept, skipping=not length)
    length = _complete(data)
    if not length and len(data) >= MAX_LINE:
        return Chunk(start, start + len(data), read, kept, too_long=data[:_KEPT], skipping=True)
    if not length and final:
        length = len(data)
    return Chunk(start, start + length, read, kept, data[:length]) if length else None


def end_of_lines(fd: int, size: int) -> tuple[int, bool]:
    """Where the last complete line ends. If the line behind it is too long, the end of the file, and True."""
    start = max(0, size - MAX_LINE)
    length = os.pread(fd, size - start, start).rfind(b"\n") + 1
    if not length and start:
        return size, True
    return start + length, False


def _complete(data: bytes) -> int:
    """The length of the complete lines, of at most so many."""
    if data.count(b"\n") <= MOST_ROWS:
        return data.rfind(b"\n") + 1
    end = 0
    for _ in range(MOST_ROWS):
        end = data.find(b"\n", end) + 1
    return end
