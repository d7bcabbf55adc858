"""The extension that changes distinct counts at a future end by new calls. Without it, keys are counted again."""

from typing import TYPE_CHECKING, Final, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.fields import BIT
from monitor.core.calls.hash_table import NativeTable
from monitor.core.calls.keys import BLOCK_BITS
from monitor.core.calls.new_calls import NewCalls
from monitor.core.windows.distinct.key_counts import NEIGHBOUR_BITS
from monitor.core.windows.distinct.key_groups import BLOCK_LEAST
from monitor.extensions import WANTED, load
from monitor.policy.metrics import KeySet

if TYPE_CHECKING:
    from monitor.core.windows.distinct import _running
else:
    _running = load("monitor.core.windows.distinct._running", interface=3)

enabled: bool = _running is not None and WANTED
"""Whether the extension is used; tests switch it."""

ATTEMPTS, LARGEST, IN_BLOCKS, UNFINISHED, DISTINCT, NUMBERS, SEQUENTIAL, FIRST_LIMIT = range(8)
"""The columns of the counts; one per limit follows."""
_SETS: Final[tuple[KeySet, ...]] = get_args(KeySet)  # in the order of the extension
_BITS = 1 << BIT["attempts"], 1 << BIT["answered"]


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _running is not None


class CountedKeys(NamedTuple):
    """What is counted of the keys ``which``: those with more attempts than each of ``limits`` ``[n]``, pairs of
    neighbours if ``sequences``, and groups of keys if ``by_group``.
    """

    which: KeySet
    limits: NDArray[np.int32]
    sequences: bool
    by_group: bool


class RunningRows(NamedTuple):
    """The counts of some tenants, ``counts`` ``[row, column]``.

    ``row`` ``[tenant]`` is that of each tenant, -1 if it has none. ``level`` ``[row]`` is its sampling level, and
    ``later`` ``[row]`` whether the keys in the window may not be sampled at that level yet. ``changed`` ``[row]`` marks
    those that have changed.
    """

    row: NDArray[np.int32]
    level: NDArray[np.uint8]
    later: NDArray[np.bool_]
    counts: NDArray[np.int64]
    changed: NDArray[np.bool_]


class Span(NamedTuple):
    """A window from ``start_ms`` until ``end_ms``. Calls that ended before ``entered_ms`` are in it already."""

    start_ms: int
    end_ms: int
    entered_ms: int


class KeyTables(NamedTuple):
    """The attempts of keys, or the keys of groups, at the end (``then``) and ``now``. ``room`` is that of ``then``."""

    then: NativeTable
    now: NativeTable
    room: int

    @property
    def packed(self) -> tuple[NDArray[np.void], NDArray[np.uint64], int, NDArray[np.void], NDArray[np.uint64]]:
        """The columns in the order of the extension."""
        return *self.then, self.room, *self.now


def add(
    counted: CountedKeys, calls: NewCalls, rows: RunningRows, span: Span, keys: KeyTables, groups: KeyTables
) -> tuple[int, int]:
    """Change the counts of the tenants that have some by their calls in the window.

    A key that is not in ``keys.then`` has as many attempts as in ``keys.now``, less those of these calls that are in
    the window already; and so has a group, but none if its tenant is sampled later. The tables must have room for a key
    of each call of these tenants, that of groups only if keys are counted by group. Returns how many keys and groups
    were added.
    """
    # Keys that no rule counts are zeros of one byte.
    callee, caller, block, consent = (
        key.astype(np.uint64, copy=False)
        for key in (calls.callee_key, calls.caller_key, calls.block_key, calls.consent_key)
    )
    columns = calls.tenant, calls.end_ms, calls.word, callee, calls.callee_numeric, caller, block, consent
    unit_bits = BLOCK_BITS if counted.which == "blocks" else NEIGHBOUR_BITS
    what = counted.limits, counted.sequences, counted.by_group, int(unit_bits), int(BLOCK_BITS), BLOCK_LEAST
    return _running.add(_SETS.index(counted.which), columns, _BITS, rows, what, span, keys.packed, groups.packed)
