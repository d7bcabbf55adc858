"""Input files: opens plain, .gz and .zst files or standard input, and splits them into pieces of lines."""

import contextlib
import errno
import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import zstandard

from monitor.decoding.lines import split_lines, with_first
from schemas import codec

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCK = 4 << 20  # some 13,000 records: what a piece costs besides its records is then small
# Three bytes of zstd can expand to 128 KB, so read small blocks: a hostile file must not fill the memory.
_ZST_BLOCK = 1 << 11
_DESCRIPTOR = "/dev/fd/"
_MAGIC = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}
MAX_LINE = codec.MAX_BYTES  # only this much of a longer line is kept, and the decoder rejects it for its length


@contextlib.contextmanager
def open_input(path: str) -> Iterator[BinaryIO]:
    """Open the decompressed bytes of a file; ``-`` is standard input.

    Its extension says how it is compressed; of an open descriptor, ``/dev/fd/N``, its first bytes do.

    Raises OSError if the file cannot be opened. Reading raises DamagedFileError if the file is damaged.
    """
    if path == "-":
        if sys.stdin is None:
            raise OSError(errno.EBADF, "standard input is closed", path)
        yield _standard_input()
        return
    with Path(path).open("rb") as opened:
        raw = _interruptible(opened)
        kind = _kind(path, raw)
        if kind.endswith(".gz"):
            with gzip.open(raw, "rb") as unzipped:
                yield io.BufferedReader(_Decompressed(path, unzipped.read), _BLOCK)
        elif kind.endswith(".zst"):
            yield io.BufferedReader(_Decompressed(path, _Frames(raw).read), _BLOCK)
        else:
            yield raw


def _interruptible(stream: io.BufferedReader) -> io.BufferedReader:
    """The same bytes. Reading much of a pipe or terminal can be interrupted at each part that comes."""
    return stream if stat.S_ISREG(os.fstat(stream.fileno()).st_mode) else io.BufferedReader(_Parts(stream))


def _standard_input() -> BinaryIO:
    """Standard input by a buffer of its own: a thread that still reads it must not hold that of `sys.stdin` at exit."""
    try:
        return _interruptible(open(sys.stdin.fileno(), "rb", closefd=False))  # nothing is to be closed
    except io.UnsupportedOperation:
        return sys.stdin.buffer


def is_compressed(path: str, raw: io.BufferedReader) -> bool:
    """Whether `open_input` decompresses the file; ``raw`` is the opened file."""
    return _kind(path, raw).endswith((".gz", ".zst"))


def _kind(path: str, raw: io.BufferedReader) -> str:
    if not path.startswith(_DESCRIPTOR):
        return path
    begins = raw.peek(4)
    return next((kind for magic, kind in _MAGIC.items() if begins.startswith(magic)), "")


class _Parts(io.RawIOBase):
    """A stream that is read in Python, part by part, as they come.

    `io.BufferedReader.read` waits in C for all the bytes: it would not see a Ctrl-C that came between two parts.
    """

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        return self._stream.readinto1(buffer)


class DamagedFileError(OSError):
    """A compressed file is truncated or damaged, or does not match its file name extension."""


class _Decompressed(io.RawIOBase):
    """The stream of ``read``, with the errors of all libraries raised as DamagedFileError."""

    def __init__(self, path: str, read: Callable[[int], bytes]) -> None:
        self._path = path
        self._read = read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        room = memoryview(buffer)
        try:
            content = self._read(len(room))
        except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
            raise DamagedFileError(f"{self._path}: damaged: {error}") from error
        room[: len(content)] = content
        return len(content)


class _Frames:
    """The content of consecutive zstd frames. Raises EOFError if the file ends inside a frame.

    The reader of the zstandard library does not detect a truncated file.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._left = b""  # read, but not decompressed
        self._content = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Read at most ``size`` bytes; empty at the end."""
        while not self._content:
            block = self._left or self._raw.read(_ZST_BLOCK)
            if not block:
                if self._frame is not None:
                    raise EOFError("the file ends within a frame")
                return b""
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._content = memoryview(self._frame.decompress(block))
            self._left = b""
            if self._frame.eof:
                self._left, self._frame = self._frame.unused_data, None
        some, self._content = self._content[:size], self._content[size:]
        return bytes(some)


def line_chunks(stream: BinaryIO, lines: int) -> Iterator[tuple[int, Sequence[bytes]]]:
    """Yield pieces of at most ``lines`` lines (without line feeds), each with the number of its first line, from 1.

    A line longer than `MAX_LINE` is cut to `MAX_LINE` bytes, so that it is rejected like any other bad line. If those
    bytes are white space but the line is not blank, the last byte is replaced by the first that is not white space.
    """
    number = 1
    for batch in _batches(stream):
        for start in range(0, len(batch), lines):
            piece = batch[start : start + lines]
            yield number, piece
            number += len(piece)


def _batches(stream: BinaryIO) -> Iterator[Sequence[bytes]]:
    """Yield the complete lines of each block."""
    open_line = _OpenLine(b"")
    while block := stream.read(_BLOCK):
        lines = split_lines(block)
        open_line.add(lines[0])
        if len(lines) > 1:
            yield with_first(open_line.cut(), lines[1:-1])
            open_line = _OpenLine(lines[-1])
    if open_line.size:
        yield [open_line.cut()]


class _OpenLine:
    """An incomplete line: its first `MAX_LINE` bytes, and the first byte beyond them that is not white space."""

    def __init__(self, begin: bytes) -> None:
        self._parts = [begin]
        self.size = len(begin)
        self._beyond = b""

    def add(self, more: bytes) -> None:
        room = max(MAX_LINE - self.size, 0)
        if room:
            self._parts.append(more[:room])
        self.size += len(more)
        if not self._beyond and len(more) > room:
            self._beyond = more[room:].lstrip()[:1]

    def cut(self) -> bytes:
        line = b"".join(self._parts)
        return line[:-1] + self._beyond if self._beyond and line.isspace() else line
