"""Key groups: how many keys of a window are in each group, such as a block of numbers or the callees of one consent."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.key_placement import Placement
from monitor.core.calls.keys import BLOCK_BITS
from monitor.core.windows.distinct.key_counts import KeyCounts
from monitor.core.windows.distinct.key_table import KeyTable

BLOCK_LEAST: Final = 10
"""The numbers that make a block: a number and at least nine others."""
_SURE: Final = 5
"""The standard errors by which `at_least` stays below an estimate."""
SURE_FROM: Final = _SURE**2
"""`at_least` does not scale as few keys or fewer."""

Steps = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]
"""Changes of groups: the tenant of each, and its number of keys before and after, each ``[n]``."""


class KeyGroups:
    """The number of keys of each group. Memory: 21 to 64 bytes per group; there are no more groups than keys."""

    def __init__(self, placement: Placement) -> None:
        self.table = KeyTable(placement)

    def change(self, moved: KeyCounts) -> Steps:
        """Change the groups by these `moves`. Returns the steps."""
        at = self.table.claim(moved)
        before = self.table.count[at]
        after = before + moved.count
        self.table.count[at] = after
        return moved.tenant, before, after

    def ahead(self, groups: KeyCounts) -> Steps:
        """The steps of these groups by changes of their keys, which are not made."""
        before = self.table.counts_of(groups.key)
        return groups.tenant, before, before + groups.count


def groups_of(keys: KeyCounts, step: NDArray[np.integer]) -> KeyCounts:
    """The distinct groups of these keys, ascending, each with the sum of the steps of its keys."""
    group = keys.group if len(keys.group) else keys.key >> BLOCK_BITS
    return KeyCounts(group, keys.tenant, step.astype(np.int32), keys.numeric).distinct()


def moves(keys: KeyCounts, step: NDArray[np.integer]) -> KeyCounts:
    """The distinct groups of these keys whose number of keys changes, each with the change.

    ``step`` is 1 for a key that enters, -1 for one that leaves, and 0 for any other.
    """
    moved = np.flatnonzero(step)
    found = groups_of(keys.select(moved), step[moved])
    return found.select(found.count != 0)


def in_blocks(size: NDArray[np.int32]) -> NDArray[np.int64]:
    """How many keys of groups of these sizes are in a block."""
    return np.where(size >= BLOCK_LEAST, size, 0).astype(np.int64)


def unfinished(size: NDArray[np.int32]) -> NDArray[np.int64]:
    """The sizes of groups that are no block yet, 0 for blocks."""
    return np.where(size >= BLOCK_LEAST, 0, size).astype(np.int64)


def at_least(kept: NDArray[np.int64], levels: Mapping[int, int]) -> NDArray[np.int64]:
    """Lower bounds of the sizes of groups, in place, from the keys of the group that the samples kept.

    n kept keys of a 2^-k share estimate n 2^k keys, with a standard error of sqrt(n) 2^k. The bound stays five of them
    below, so it exceeds no group of a tenant, even if there are many. It is never below n.
    """
    for tenant, level in levels.items():
        n = int(kept[tenant])
        kept[tenant] = max(n, int(n - _SURE * n**0.5) << level) if n else 0
    return kept
