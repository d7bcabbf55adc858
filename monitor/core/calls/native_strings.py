"""The extension that copies the strings of a column. Without it, numpy makes the same bytes."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from monitor.extensions import WANTED, load

if TYPE_CHECKING:
    from monitor.core.calls import _strings
else:
    _strings = load("monitor.core.calls._strings", interface=2)

enabled: bool = _strings is not None and WANTED
"""Whether the extension is used; tests switch it."""

Places = NDArray[np.integer]


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _strings is not None


def pack(block: bytes, start: Places, size: Places) -> bytes:
    """The bytes of the strings that lie there in ``block``, one after the other."""
    return _strings.pack(block, np.ascontiguousarray(start), np.ascontiguousarray(size))
