"""Packing: how the entries of a stored state are written, compressed, in columns, under a format's number."""

from typing import Any, Final, Generic, TypeVar

import msgspec
import numpy as np
import zstandard
from msgspec import Struct
from numpy.typing import NDArray

FORMAT: Final = 2
Column = tuple[str, bytes]  # a column's dtype and bytes
S = TypeVar("S", bound=Struct)
T = TypeVar("T", bound=np.generic)


class _VersionedHead(Struct):
    format: int


class _VersionedEntry(Struct, array_like=True):
    format: int


class StateFormatError(ValueError):
    """The stored state is of a format that this release does not know, or something of it is missing."""


def check_format(data: bytes) -> None:
    """StateFormatError when a stored head is of a format that is not known, whatever else is new in it."""
    _check(msgspec.msgpack.decode(data, type=_VersionedHead).format, "the stored head")


def column(values: NDArray[Any]) -> Column:
    """Numbers (none negative) in as few bytes as the largest of them needs."""
    dtype = np.min_scalar_type(values.max(initial=0)).newbyteorder("<")
    return dtype.str, values.astype(dtype).tobytes()


def array(column: Column, dtype: type[T]) -> NDArray[T]:
    """The numbers again, as ``dtype``."""
    stored_as, data = column
    return np.frombuffer(data, stored_as).astype(dtype)


def packed(entry: Struct) -> bytes:
    """An entry, whose first field is the format, compressed."""
    return zstandard.ZstdCompressor(level=1).compress(msgspec.msgpack.encode(entry))


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
        _check(self._version.decode(packed).format, self._what)
        return self._decoder.decode(packed)


def _check(known: int, what: str) -> None:
    if known != FORMAT:
        raise StateFormatError(f"{what} has format {known}; this release knows {FORMAT}")
