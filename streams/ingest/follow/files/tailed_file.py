"""A file that is followed: its position, and the descriptor by which it is read wherever it is moved to."""

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from streams.ingest.follow.files.fingerprint import head_of, same_bytes, tail_of
from streams.ingest.follow.files.names import FoundFile
from streams.ingest.follow.positions import FilePosition

FINAL_S: Final = 30.0
"""The last line of a rotated file may lack its line end. It is read as it is if the file does not grow for so long."""

IDLE_S: Final = 90.0
"""A file that is read and has not grown for so long is closed: the disk space of a deleted one becomes free."""


@dataclass(slots=True)
class TailedFile:
    """``position`` is what is written. ``found``: whether a path leads to the file; else it was deleted or moved.

    ``most`` is the greatest size that was seen. ``seen``: whether this process has seen it with what was read.
    ``scanned_ns`` is its time of modification when the folder was last looked at: what is newer may be a copy that was
    made since then.
    """

    id: str
    position: FilePosition
    fd: int | None = None
    size: int = 0
    mtime_ns: int = 0
    grown_s: float = 0.0
    found: bool = False
    active: bool = False
    seen: bool = False
    most: int = 0
    scanned_ns: int = 0
    _checked: tuple[int, int] | None = None

    @property
    def left(self) -> int:
        """The bytes that are not read."""
        return max(0, self.size - self.position.offset)

    def look(self, now_s: float) -> None:
        """Look at the size again, by the descriptor. Does nothing without one."""
        if self.fd is None:
            return
        status = os.fstat(self.fd)
        if (status.st_size, status.st_mtime_ns) != (self.size, self.mtime_ns):
            self.size, self.mtime_ns, self.grown_s = status.st_size, status.st_mtime_ns, now_s
            self.most = max(self.most, self.size)

    def open(self, path: str, now_s: float) -> bool:
        """Open the file at ``path``; False if it is another one, or none, by now. Raises OSError."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return False
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) != (self.position.device, self.position.inode):
            os.close(fd)
            return False
        self.fd, self._checked = fd, None
        self.grown_s = now_s
        self.look(now_s)
        return True

    def holds(self) -> bool:
        """Whether the content before the position is still what was read. Looks again only if the file has changed."""
        if self.fd is None or self._checked == (self.size, self.mtime_ns):
            return True
        position = self.position
        if self.size < position.offset or tail_of(self.fd, position.offset) != position.tail:
            return False
        self._checked = (self.size, self.mtime_ns)
        return True

    def has_copy(self, found: FoundFile) -> bool:
        """Whether another file is a copy of this one, or of its beginning: one that is not complete yet."""
        if self.fd is None:
            return found.size <= self.size and is_copy(found, self.position) is not False
        other = os.open(found.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            size = os.fstat(other).st_size
            # What has more is no copy, though it begins likewise: all files have the same header.
            return 0 < size <= os.fstat(self.fd).st_size and same_bytes(self.fd, other, size)
        finally:
            os.close(other)

    def distrust(self) -> None:
        """Look at the content again at the next `holds`."""
        self._checked = None

    def close(self) -> None:
        """Close the descriptor."""
        if self.fd is not None:
            with suppress(OSError):
                os.close(self.fd)
            self.fd = None


def is_copy(found: FoundFile, position: FilePosition) -> bool | None:
    """Whether a file has what was read up to a position: True, False, or None if it has only the beginning of it."""
    if not position.offset:
        return False
    try:
        fd = os.open(found.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        size = os.fstat(fd).st_size
        if size >= position.offset:
            return tail_of(fd, position.offset) == position.tail and head_of(fd, position.offset) == position.head
        return None if size and head_of(fd, position.offset) == position.head else False
    finally:
        os.close(fd)
