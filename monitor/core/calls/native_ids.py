"""The extension that finds and remembers ids of calls. Without it, numpy does the same."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.hash_table import NativeTable
from monitor.core.calls.keys import U64
from monitor.extensions import WANTED, load

if TYPE_CHECKING:
    from monitor.core.calls import _ids
else:
    _ids = load("monitor.core.calls._ids", interface=1)

enabled: bool = _ids is not None and WANTED
"""Whether the extension is used; tests switch it."""


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _ids is not None


def admit(
    table: NativeTable,
    used: int,
    keys: U64,
    event_ms: NDArray[np.int64],
    line_ms: NDArray[np.int64],
    duplicate: NDArray[np.bool_],
) -> int:
    """Mark the duplicates and remember the other ids. Returns how many are new. ``used`` slots are not free."""
    event_ms, line_ms = np.ascontiguousarray(event_ms), np.ascontiguousarray(line_ms)
    return _ids.admit(*table, used, np.ascontiguousarray(keys), event_ms, line_ms, duplicate)


def move(table: NativeTable, ids: NDArray[Any], since_ms: int) -> int:
    """Fill an empty table with those of these ids that have a time of at least ``since_ms``. Returns how many."""
    return _ids.move(*table, ids, since_ms)
