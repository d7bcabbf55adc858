"""The keys of rows that were read, above a floor: rows with smaller keys may still be committed."""

import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]

MOST_SEEN: Final = 100_000
"""The most keys above the floor. Then no new row is read until the floor rises."""

LEAST: Final = -(1 << 63)
"""Below every key."""

GAP: Final = 1_000_000
"""A key that is further above the one before it is a jump, until `BELIEVED` keys were read from it on."""

BELIEVED: Final = 1_000


class SeenKeys:
    """Sorted keys, each once. A value: nothing changes it."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def greatest(self) -> int | None:
        """The greatest of them."""
        return int(self._keys[-1]) if len(self._keys) else None

    def before_jump(self, floor: int) -> int | None:
        """The last key, or ``floor``, before the first jump. None if there is none.

        What is below the first key of all is no jump.
        """
        last = self._keys[-BELIEVED - 1 :]
        if len(self._keys) <= BELIEVED and floor > LEAST:
            last = np.concatenate((np.array([floor], np.int64), last))
        # Without sign: the difference of two keys may be greater than any key.
        gaps = np.diff(last.view(np.uint64)) > GAP
        return int(last[gaps.argmax()]) if gaps.any() else None

    def unseen(self, keys: Keys) -> Keys:
        """Those of sorted ``keys`` that are not among them."""
        return np.setdiff1d(keys, self._keys, assume_unique=True)

    def with_keys(self, keys: Sequence[int]) -> "SeenKeys":
        """These keys, too."""
        return SeenKeys(np.union1d(self._keys, np.array(keys, np.int64)))

    def above(self, floor: int) -> "SeenKeys":
        """Those above ``floor``."""
        return SeenKeys(self._keys[self._keys.searchsorted(floor, "right") :])

    def encode(self) -> bytes:
        """As bytes: differences, compressed. Keys without gaps take almost nothing."""
        return zlib.compress(np.diff(self._keys, prepend=np.int64(0)).astype("<i8").tobytes(), 1)

    @staticmethod
    def decode(value: bytes) -> "SeenKeys":
        """The keys of `encode`. Raises ValueError."""
        try:
            differences = np.frombuffer(zlib.decompress(value), "<i8")
        except zlib.error as error:
            raise ValueError(str(error)) from None
        return SeenKeys(np.cumsum(differences, dtype=np.int64))
