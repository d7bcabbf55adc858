"""The extension that finds keys in their table and changes the counts of tenants. Without it, numpy does the same."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.keys import U64
from monitor.core.windows.distinct.key_counts import KeyCounts
from monitor.extensions import WANTED, load

if TYPE_CHECKING:
    from monitor.core.windows.distinct import _keys
else:
    _keys = load("monitor.core.windows.distinct._keys", interface=1)

enabled: bool = _keys is not None and WANTED
"""Whether the extension is used; tests switch it."""

Slots = NDArray[np.intp]
_Attempts = NDArray[np.int32]


class NativeTable(NamedTuple):
    """A table of keys as the extension reads it: its slots, and `monitor.core.calls.key_placement.Placement.words`."""

    slots: NDArray[Any]
    words: U64


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _keys is not None


def find(table: NativeTable, keys: U64) -> Slots:
    """The slot of each key, or -1 if absent."""
    at = np.empty(len(keys), np.int64)
    _keys.find(*table, keys, at)
    return at


def claim(table: NativeTable, keys: KeyCounts, room: int) -> tuple[Slots, int]:
    """The slot of each key, and how many of the keys are new. New keys get slots only if they are at most ``room``."""
    at = np.empty(len(keys), np.int64)
    new = _keys.claim(*table, keys.key, keys.tenant, keys.numeric, room, at)
    return at, new


def change(
    table: NativeTable,
    keys: KeyCounts,
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
