"""The input of a replay in several processes: each reads files for itself; what can be read once, this one reads."""

import io
import os
import pickle
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import reduction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from monitor.decoding.decode import Decoder
from monitor.decoding.decoded_rows import DecodedRows
from monitor.replay.files import DamagedFileError, is_compressed, open_input
from monitor.replay.local import decoded_pieces

if TYPE_CHECKING:
    from monitor.adapters.base import Adapter

_END = b""


class FileRange(io.RawIOBase):
    """The bytes that an open file had at the start. Each process reads them by a position of its own."""

    def __init__(self, descriptor: int, path: str, size: int) -> None:
        self._descriptor = descriptor
        self._path = path
        self._size = size
        self._at = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (reduction.DupFd(self._descriptor), self._path, self._size)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Read at most ``size`` bytes. Raises DamagedFileError if the file has become shorter."""
        left = self._size - self._at
        found = os.pread(self._descriptor, left if size < 0 else min(size, left), self._at)
        if left and size and not found:
            raise DamagedFileError(f"{self._path}: damaged: the file was shortened while it was read")
        self._at += len(found)
        return found

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def _received(descriptor: Any, path: str, size: int) -> FileRange:
    return FileRange(descriptor.detach(), path, size)


def file_range(path: str) -> FileRange | None:
    """The file at ``path``, if several processes can read it: a regular file of plain lines. Raises OSError."""
    if path == "-" or not stat.S_ISREG(Path(path).stat().st_mode):
        return None
    with Path(path).open("rb") as raw:
        size = os.fstat(raw.fileno()).st_size  # 0: such as a file of /proc, which tells no size
        if not size or is_compressed(path, raw):
            return None
        return FileRange(os.dup(raw.fileno()), path, size)


class Pump(threading.Thread):
    """Reads a source in this process, and sends its decoded pieces to all others."""

    def __init__(
        self, path: str, adapter: "Adapter | None", decoder: Decoder, piece_lines: int, outlets: list[Connection]
    ) -> None:
        super().__init__(daemon=True)  # it may wait for input that never comes
        self._path = path
        self._adapter = adapter
        self._decoder = decoder
        self._piece_lines = piece_lines
        self._outlets = outlets
        self.error: BaseException | None = None

    def run(self) -> None:
        """Read to the end. An error is stored before the processes can notice it."""
        try:
            with open_input(self._path) as stream:
                for decoded in decoded_pieces(stream, self._decoder, self._adapter, self._piece_lines):
                    self._send(pickle.dumps(decoded, protocol=5))
            self._send(_END)
        except BaseException as error:  # noqa: BLE001 - the pool raises it
            self.error = error
        for outlet in self._outlets:
            outlet.close()

    def _send(self, piece: bytes) -> None:
        for outlet in self._outlets:
            with suppress(BrokenPipeError):  # the process has ended, which the pool notices
                outlet.send_bytes(piece)


JobSource = FileRange | Connection
"""A source in a process: the file, or the connection by which its decoded pieces come."""


def pieces_of(source: JobSource, decoder: Decoder, piece_lines: int) -> Iterator[DecodedRows]:
    """The content of a source, in pieces. Raises EOFError if a pump ends before its source does."""
    if isinstance(source, FileRange):
        yield from decoded_pieces(cast(BinaryIO, source), decoder, None, piece_lines)
        return
    while (piece := source.recv_bytes()) != _END:
        yield pickle.loads(piece)
