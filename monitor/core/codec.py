"""Packing: how the entries of a stored state are written, compressed, in columns, under a format's number."""

import threading
from typing import Any, Final, Generic, TypeVar

import msgspec
import numpy as np
import zstandard
from msgspec import Struct
from numpy.typing import NDArray

FORMAT: Final = 1
"""The format of the head of a stored state and of the entries beside it: the one that this release reads and writes."""
Column = tuple[str, bytes]  # a column's dtype and bytes
_BY_BYTES: Final = ("|u1", "|u1", "<u2", "<u4", "<u4", "<u8", "<u8", "<u8", "<u8")
"""The dtype for numbers of so many bytes."""
S = TypeVar("S", bound=Struct)
T = TypeVar("T", bound=np.generic)


_own = threading.local()  # a compressor costs more than what it does to a small entry, and is for one thread


class _VersionedHead(Struct):
    format: int


class _VersionedEntry(Struct, array_like=True):
    format: int


class StateFormatError(ValueError):
    """The stored state is of a format that this release does not know, or something of it is missing."""


def check_head(data: bytes) -> None:
    """StateFormatError when the format of a stored head is not known, whatever else is new in it."""
    check_format(msgspec.msgpack.decode(data, type=_VersionedHead).format, "the stored head")


def check_format(known: int, what: str) -> None:
    """StateFormatError when this release does not read the format of a head or an entry."""
    if known != FORMAT:
        raise StateFormatError(f"{what} has format {known}; this release reads format {FORMAT}")


def column(values: NDArray[Any]) -> Column:
    """Numbers (none negative) in as few bytes as the largest of them needs."""
    return _narrow(values, int(values.max()) if len(values) else 0)


def columns(rows: NDArray[Any]) -> list[Column]:
    """Each of the rows ``[k, n]`` as a `column`; asking all at once for the largest is the cheaper for few numbers."""
    most = rows.max(axis=1).tolist() if rows.size else [0] * len(rows)
    return [_narrow(row, largest) for row, largest in zip(rows, most, strict=True)]


def _narrow(values: NDArray[Any], largest: int) -> Column:
    name = _BY_BYTES[largest.bit_length() + 7 >> 3]
    return name, values.astype(name).tobytes()


def array(column: Column, dtype: type[T]) -> NDArray[T]:
    """The numbers again, as ``dtype``."""
    stored_as, data = column
    return np.frombuffer(data, stored_as).astype(dtype)


def packed(entry: Struct) -> bytes:
    """An entry, whose first field is the format, compressed."""
    compressor = getattr(_own, "compressor", None)
    if compressor is None:
        compressor = _own.compressor = zstandard.ZstdCompressor(level=1)
    return compressor.compress(msgspec.msgpack.encode(entry))


class Unpacker(Generic[S]):
    """Unpacks entries of one kind; for one thread, and thousands of entries."""

    def __init__(self, kind: type[S], what: str) -> None:
        self._what = what
        self._decompress = zstandard.ZstdDecompressor().decompress
        self._version = msgspec.msgpack.Decoder(_VersionedEntry)
        self._decoder = msgspec.msgpack.Decoder(kind)

    def __call__(self, blob: bytes) -> S:
        """The entry. StateFormatError when its format is not known."""
        packed = self._decompress(blob)
        check_format(self._version.decode(packed).format, self._what)
        return self._decoder.decode(packed)
