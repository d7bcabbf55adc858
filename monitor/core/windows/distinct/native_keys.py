"""The extension that finds keys in their table and changes the counts of tenants. Without it, numpy does the same."""

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.hash_table import NativeTable, Slots
from monitor.core.calls.keys import U64
from monitor.extensions import WANTED, load

if TYPE_CHECKING:
    from monitor.core.windows.distinct import _keys
else:
    _keys = load("monitor.core.windows.distinct._keys", interface=3)

enabled: bool = _keys is not None and WANTED
"""Whether the extension is used; tests switch it."""

_Attempts = NDArray[np.int32]


class _Keys(Protocol):
    """The columns of `monitor.core.windows.distinct.key_counts.KeyCounts`, which uses this module."""

    @property
    def key(self) -> U64: ...
    @property
    def tenant(self) -> NDArray[np.int32]: ...
    @property
    def count(self) -> NDArray[np.int32]: ...
    @property
    def numeric(self) -> NDArray[np.bool_]: ...
    def __len__(self) -> int: ...


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _keys is not None


def find(table: NativeTable, keys: U64) -> Slots:
    """The slot of each key, or a negative number if absent."""
    at = np.empty(len(keys), np.int64)
    _keys.find(*table, keys, at)
    return at


def claim(table: NativeTable, keys: _Keys, room: int) -> tuple[Slots, int]:
    """The slot of each key, and how many of the keys are new. New keys get slots only if they are at most ``room``."""
    at = np.empty(len(keys), np.int64)
    new = _keys.claim(*table, keys.key, keys.tenant, keys.numeric, room, at)
    return at, new


def distinct(key: U64, count: NDArray[np.int32]) -> tuple[Slots, NDArray[np.int32]]:
    """The first row of each key, ascending by key, and its counts added up. Keys in few ascending runs cost least."""
    first, scratch, total = np.empty(len(key), np.int64), np.empty(len(key), np.int64), np.empty(len(key), np.int32)
    keys = _keys.distinct(np.ascontiguousarray(key), np.ascontiguousarray(count), first, scratch, total)
    return first[:keys], total[:keys].copy()  # the counts are kept for as long as a window


def change(
    table: NativeTable,
    keys: _Keys,
    at: Slots,
    limits: NDArray[np.int32],
    sequences: bool,
    counts: NDArray[np.int64],
) -> tuple[_Attempts, _Attempts]:
    """Change the attempts of these ascending keys, in the slots ``at``, and the ``counts``, ``[what, tenant]``.

    Returns the attempts of each key before and after.
    """
    before, after = np.empty(len(keys), np.int32), np.empty(len(keys), np.int32)
    columns = keys.key, keys.tenant, keys.count, keys.numeric
    _keys.change(*table, *columns, at, limits, sequences, counts, before, after)
    return before, after
