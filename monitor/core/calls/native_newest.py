"""The extension that selects the newest calls of each group and field. Without it, numpy selects the same."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.string_column import StringColumn
from monitor.extensions import WANTED, load

if TYPE_CHECKING:
    from monitor.core.calls import _newest
else:
    _newest = load("monitor.core.calls._newest", interface=2)

enabled: bool = _newest is not None and WANTED
"""Whether the extension is used; tests switch it."""

_FIELD: Final = np.dtype([("bit", "u8"), ("on", "u8"), ("off", "u8"), ("since_ms", "i8")])


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _newest is not None


def mark(
    group: NDArray[np.int64],
    end_ms: NDArray[np.int64],
    word: NDArray[np.uint64],
    call_id: StringColumn,
    wanted: Sequence[tuple[int, int, int, int]],
) -> NDArray[np.uint64]:
    """`monitor.core.calls.newest_calls.mark_newest`; ``wanted`` are the values of `WantedField`."""
    mask = np.empty(len(group), np.uint64)
    start, size = np.ascontiguousarray(call_id.start), np.ascontiguousarray(call_id.size)
    _newest.mark(group, end_ms, word, call_id.block, start, size, np.array(wanted, _FIELD), mask)
    return mask
