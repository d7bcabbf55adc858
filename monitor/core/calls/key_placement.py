"""Placement: where the keys of a hash table go, by a secret of the process.

Keys are public (`monitor.core.calls.keys`): a tenant who picks numbers can compute them. With a public placement it
could also pick numbers whose keys share a slot, and make each look-up walk over all of them.
"""

import os

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.keys import U64

SECRET_BYTES = 24
_PROCESS_SECRET = os.urandom(SECRET_BYTES)
_S32 = np.uint64(32)


class Placement:
    """Home slots of keys: ``slots`` maps keys ``[n]`` to ``0 .. 2^bits - 1``.

    Three rounds of multiplication by secret odd numbers, the high bits folded into the low ones between them. Whatever
    two keys are, they share a home with a chance of at most 2 in 2^bits (multiply-shift: Dietzfelbinger et al. 1997).
    XOR with a secret before a public mix has no such bound, since differences of keys survive it. One multiplication
    leaves evenly spaced keys evenly spaced, and two do where the keys differ in their high bits alone: such keys can
    crowd, and linear probing walks over the crowd.

    No result may depend on ``secret``, which is `SECRET_BYTES` long: by default one from `os.urandom` per process.
    """

    def __init__(self, secret: bytes | None = None) -> None:
        words = np.frombuffer(secret or _PROCESS_SECRET, "<u8", SECRET_BYTES // 8)
        self._first, self._second, self._third = words.astype(np.uint64) | np.uint64(1)

    def slots(self, keys: U64, bits: int) -> NDArray[np.intp]:
        """The home slot of each key in a table of ``2^bits`` slots; ``bits`` is at least 1."""
        mixed = keys * self._first
        mixed ^= mixed >> _S32
        mixed *= self._second
        mixed ^= mixed >> _S32
        mixed *= self._third
        mixed >>= np.uint64(64 - bits)
        slots: NDArray[np.intp] = mixed.view(np.intp)  # below 2^63, so of the same value
        return slots
