"""Placement of keys in a hash table, by a secret of the process.

Keys are public (`monitor.core.calls.keys`): a tenant that chooses numbers or ids of calls can compute them. With a
public placement it could also choose some whose keys share a slot, so that each lookup visits all of them.
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

    Three rounds of multiplication by secret odd numbers; between rounds, the high bits are folded into the low ones.
    Any two keys share a home slot with probability at most 2 / 2^bits (multiply-shift: Dietzfelbinger et al. 1997).
    XOR with a secret before a public mix has no such bound, because differences of keys survive it. One multiplication
    leaves evenly spaced keys evenly spaced, and so do two if the keys differ only in their high bits. Such keys can
    cluster, and linear probing visits the whole cluster.

    ``words`` are these numbers. No result may depend on ``secret``, which has `SECRET_BYTES` bytes. The default comes
    from `os.urandom`, one per process.
    """

    def __init__(self, secret: bytes | None = None) -> None:
        words = np.frombuffer(secret or _PROCESS_SECRET, "<u8", SECRET_BYTES // 8)
        self.words = words.astype(np.uint64) | np.uint64(1)
        self._first, self._second, self._third = self.words

    def slots(self, keys: U64, bits: int) -> NDArray[np.intp]:
        """The home slot of each key in a table of ``2^bits`` slots; ``bits`` is at least 1."""
        mixed = keys * self._first
        mixed ^= mixed >> _S32
        mixed *= self._second
        mixed ^= mixed >> _S32
        mixed *= self._third
        mixed >>= np.uint64(64 - bits)
        slots: NDArray[np.intp] = mixed.view(np.intp)  # below 2^63, so the value is the same
        return slots
