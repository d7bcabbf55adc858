"""The extension that counts how often keys are used. Without it, numpy counts the same."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.keys import U64
from monitor.core.calls.new_calls import NewCalls
from monitor.extensions import WANTED, load

if TYPE_CHECKING:
    from monitor.core.windows.distinct import _uses
else:
    _uses = load("monitor.core.windows.distinct._uses", interface=2)

enabled: bool = _uses is not None and WANTED
"""Whether the extension is used; tests switch it."""


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _uses is not None


def count(
    words: U64,
    calls: NewCalls,
    bits: tuple[int, int],
    few: NDArray[np.uint8],
    many: NDArray[np.uint16],
    row: NDArray[np.int64],
    largest: NDArray[np.int64],
) -> bool:
    """Count the keys of calls in counters: ``few``, ``[set, tenant, width]``, or ``many``, ``[set, row, width]``.

    ``words`` place the keys (`monitor.core.calls.key_placement.Placement`). ``bits`` are those of an attempt and of an
    answered call in the words of calls. ``row`` is that of each tenant, -1 if it has few counters. ``largest``,
    ``[set, tenant]``, is never less than a counter, and rises by each use that a counter cannot count. Returns whether
    there was such a use.
    """
    # Keys that no rule counts are zeros of one byte.
    callee, caller, consent = (
        key.astype(np.uint64, copy=False) for key in (calls.callee_key, calls.caller_key, calls.consent_key)
    )
    return _uses.count(
        words, calls.word, calls.tenant, callee, caller, consent, *bits, few, many, many.shape[1], row, largest
    )
