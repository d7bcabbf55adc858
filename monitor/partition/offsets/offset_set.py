"""A set of log offsets. It is compact, because a producer that repeats a record can make it arbitrarily large."""

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from monitor.core.codec import FORMAT, Column, Unpacker, array, column, packed

_Array = NDArray[np.int64]


class _Stored(Struct, array_like=True):
    format: int
    first: int
    gaps: Column


class OffsetSet:
    """A set of offsets that are usually added in ascending order, and are removed in it. Memory: 8 bytes each."""

    def __init__(self) -> None:
        self._joined: _Array = np.empty(0, np.int64)  # ascending
        self._more: list[_Array] = []  # above those, ascending

    def __len__(self) -> int:
        return len(self._joined) + sum(map(len, self._more))

    def add(self, offsets: _Array) -> None:
        """Add these offsets, ascending. They may already be in the set."""
        last = self._more[-1] if self._more else self._joined
        if len(offsets) and len(last) and offsets[0] <= last[-1]:
            self._joined, self._more = np.union1d(self._all(), offsets), []
        elif len(offsets):
            self._more.append(offsets)

    def among(self, offsets: _Array) -> NDArray[np.bool_]:
        """Which of these offsets are in the set."""
        known = self._all()
        if not len(known) or not len(offsets) or offsets[0] > known[-1]:
            return np.zeros(len(offsets), np.bool_)
        place = np.minimum(known.searchsorted(offsets), len(known) - 1)
        found: NDArray[np.bool_] = known[place] == offsets
        return found

    def forget(self, before: int) -> None:
        """Remove the offsets below ``before``."""
        known = self._all()
        gone = int(known.searchsorted(before))
        if gone:
            self._joined = known[gone:].copy()

    def encode(self) -> bytes:
        """Encode the set for storage: usually one byte per offset before compression."""
        known = self._all()
        if not len(known):
            return b""
        return packed(_Stored(FORMAT, int(known[0]), column(np.diff(known))))

    @classmethod
    def decode(cls, data: bytes) -> "OffsetSet":
        """Decode a stored set. Raises StateFormatError if its format is unknown."""
        offsets = cls()
        if data:
            stored = Unpacker(_Stored, "stored offsets")(data)
            gaps = array(stored.gaps, np.int64)
            offsets._joined = stored.first + np.concatenate([np.zeros(1, np.int64), np.cumsum(gaps)])
        return offsets

    def _all(self) -> _Array:
        if self._more:
            self._joined, self._more = np.concatenate([self._joined, *self._more]), []
        return self._joined
