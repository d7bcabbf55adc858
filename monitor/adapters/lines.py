"""Physical lines of a third-party file; of one that is too long only the beginning is kept."""

from collections.abc import Iterator
from functools import partial
from typing import BinaryIO, Final

from monitor.adapters.errors import Reject
from schemas import codec
from schemas.error_codes import ErrorCode

_KEPT: Final = 4_096
_BLOCK: Final = 1 << 20


class LongLine(bytes):
    """The first bytes of a line of `schemas.codec.MAX_BYTES` or more, which is a row by itself and is rejected."""


def bounded_lines(stream: BinaryIO) -> Iterator[bytes]:
    """The lines of ``stream`` with their line ends; one that is too long as a `LongLine`.

    A line of only white space is blank, however long it is.
    """
    for line in iter(partial(stream.readline, codec.MAX_BYTES), b""):
        yield line if len(line) < codec.MAX_BYTES else _long(line, stream)


def _long(line: bytes, stream: BinaryIO) -> bytes:
    begin, blank = line[:_KEPT], line.isspace()
    while line and not line.endswith(b"\n"):
        line = stream.readline(_BLOCK)
        blank = blank and (not line or line.isspace())
    return b"\n" if blank else LongLine(begin)


def must_be_whole(raw: bytes) -> None:
    """Raises `Reject` if a row is a `LongLine`."""
    if isinstance(raw, LongLine):
        raise Reject(f"{ErrorCode.TOO_LONG}: the line has {codec.MAX_BYTES:,} bytes or more; expected a row")
