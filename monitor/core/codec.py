"""Encoding of stored state entries: columnar, with a format number, and compressed if large.

An extension encodes columns. Without it, numpy makes the same bytes.
"""

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec
import numpy as np
import zstandard
from msgspec import Struct
from numpy.typing import NDArray

from monitor.compression import compressed
from monitor.extensions import WANTED, load
from monitor.text.state_wording import state_text

if TYPE_CHECKING:
    from monitor.core import _codec
else:
    _codec = load("monitor.core._codec", interface=1)

enabled: bool = _codec is not None and WANTED
"""Whether the extension encodes columns; tests switch it."""

FORMAT: Final = 1
"""The format of the stored head and entries. This release reads and writes only this format."""
Column = tuple[str, bytes]  # a column's dtype and bytes
_BY_BYTES: Final = ("|u1", "|u1", "<u2", "<u4", "<u4", "<u8", "<u8", "<u8", "<u8")
"""The dtype for values that need this many bytes."""
_SMALL: Final = 1_000  # bytes: each compressed by itself, such entries would save half a percent of the state
_COMPRESSED: Final = zstandard.FRAME_HEADER  # no msgpack array begins so
_encode: Final = msgspec.msgpack.Encoder().encode  # half of the time of `msgspec.msgpack.encode`, which makes one
S = TypeVar("S", bound=Struct)
T = TypeVar("T", bound=np.generic)


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _codec is not None


class _VersionedHead(Struct):
    format: int


class _VersionedEntry(Struct, array_like=True):
    format: int


class StateFormatError(ValueError):
    """The stored state has an unknown format, or part of it is missing."""


def check_head(data: bytes) -> None:
    """Check the format of a stored head, ignoring its other fields. Raises StateFormatError if it is unknown."""
    check_format(msgspec.msgpack.decode(data, type=_VersionedHead).format, state_text("head"))


def check_format(known: int, what: str) -> None:
    """Check the format of a head or an entry. Raises StateFormatError if this release does not read it."""
    if known != FORMAT:
        raise StateFormatError(state_text("other_format", what=what, known=known, expected=FORMAT))


def column(values: NDArray[Any]) -> Column:
    """Encode non-negative integers at the smallest width that fits the largest of them."""
    if enabled:
        return _codec.column(np.ascontiguousarray(values))
    return _narrow(values, int(values.max()) if len(values) else 0)


def ascending(values: NDArray[Any]) -> Column:
    """Encode ascending non-negative integers as differences: the first, and each less the one before."""
    differences = values.copy()
    differences[1:] -= values[:-1]
    return column(differences)


def columns(rows: NDArray[Any]) -> list[Column]:
    """Encode each of the rows ``[k, n]`` as a `column`."""
    if enabled:
        return _codec.columns(np.ascontiguousarray(rows.T), len(rows))
    most = rows.max(axis=1).tolist() if rows.size else [0] * len(rows)
    return [_narrow(row, largest) for row, largest in zip(rows, most, strict=True)]


def _narrow(values: NDArray[Any], largest: int) -> Column:
    name = _BY_BYTES[largest.bit_length() + 7 >> 3]
    return name, values.astype(name).tobytes()


def array(column: Column, dtype: type[T]) -> NDArray[T]:
    """Decode a column to an array of ``dtype``."""
    stored_as, data = column
    return np.frombuffer(data, stored_as).astype(dtype)


def packed(entry: Struct) -> bytes:
    """Encode an entry, and compress it if it is large. Its first field must be the format.

    Producers compress small entries together with others. A large one becomes smaller by itself: a pane by two fifths,
    and a head or a page that is written again and again must not grow with what a tenant repeats.
    """
    encoded = _encode(entry)
    return encoded if len(encoded) <= _SMALL else compressed(encoded)


class Unpacker(Generic[S]):
    """Decodes entries of one kind. Not thread-safe; reuse one instance for many entries."""

    def __init__(self, kind: type[S], what: str) -> None:
        self._what = what
        self._decompress = zstandard.ZstdDecompressor().decompress
        self._version = msgspec.msgpack.Decoder(_VersionedEntry)
        self._decoder = msgspec.msgpack.Decoder(kind)

    def __call__(self, blob: bytes) -> S:
        """Decode an entry. Raises StateFormatError if its format is unknown."""
        packed = self._decompress(blob) if blob[: len(_COMPRESSED)] == _COMPRESSED else blob
        check_format(self._version.decode(packed).format, self._what)
        return self._decoder.decode(packed)
