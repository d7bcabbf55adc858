"""Derived counts: what follows from the count of each key of a window, while keys enter and leave."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.hash_table import NativeTable
from monitor.core.calls.key_placement import Placement
from monitor.core.windows.distinct.count_names import IN_BLOCKS, PEAK, TOP, UNFINISHED, WIDEST, Name
from monitor.core.windows.distinct.count_ranks import CountRanks
from monitor.core.windows.distinct.key_counts import KeyCounts
from monitor.core.windows.distinct.key_groups import (
    KeyGroups,
    Steps,
    at_least,
    groups_of,
    in_blocks,
    moves,
    unfinished,
)
from monitor.core.windows.distinct.pane_distinct_counts import scale

Counts = NDArray[np.int64]


class DerivedCounts:
    """The counts of these names that need more than a sum per tenant: the largest counts, and the groups of keys.

    A set of keys that is counted by `IN_BLOCKS` or `WIDEST` is not counted by `PEAK` or `TOP`. With `IN_BLOCKS` comes
    `UNFINISHED`: no group that is no block yet has more keys; the largest may have fewer, after some left.
    """

    def __init__(self, names: Collection[Name], placement: Placement) -> None:
        self.names = [name for name in (PEAK, TOP, IN_BLOCKS, WIDEST) if name in names]
        if IN_BLOCKS in names:
            self.names.append(UNFINISHED)
        self._groups = KeyGroups(placement) if {IN_BLOCKS, WIDEST} & set(names) else None
        self._ranks = CountRanks(placement, TOP in names) if {PEAK, TOP, WIDEST} & set(names) else None
        self._in_blocks = self._unfinished = np.zeros(0, np.int64)

    @property
    def by_group(self) -> bool:
        """Whether keys are counted by group. Then each key needs its group."""
        return self._groups is not None

    def change(self, keys: KeyCounts, before: NDArray[np.int32], after: NDArray[np.int32]) -> None:
        """Change the counts of these distinct keys."""
        steps: Steps = keys.tenant, before, after
        if self._groups is not None:
            steps = self._groups.change(moves(keys, _crossed(before, after)))
        if self._ranks is not None:
            self._ranks.change(*steps)
        elif len(steps[0]):
            self._grow(int(steps[0].max()) + 1)
            np.add.at(self._in_blocks, steps[0], in_blocks(steps[2]) - in_blocks(steps[1]))
            np.maximum.at(self._unfinished, steps[0], unfinished(steps[2]))

    def read(self, name: Name, tenants: int, levels: dict[int, int]) -> Counts:
        """A count of each tenant, ``[tenants]``."""
        if name in (IN_BLOCKS, UNFINISHED):
            self._grow(tenants)
            counts = (self._in_blocks if name == IN_BLOCKS else self._unfinished)[:tenants]
            return scale(counts.copy(), levels) if levels and name == IN_BLOCKS else counts
        assert self._ranks is not None
        if name == TOP:
            return self._ranks.top(tenants)
        peak = self._ranks.peak(tenants)
        return at_least(peak.copy(), levels) if name == WIDEST and levels else peak

    def now(self, who: NDArray[np.intp]) -> tuple[Counts | None, Counts | None]:
        """The largest count of these tenants, ascending, ``[k]``; and their `IN_BLOCKS` and `UNFINISHED`, ``[2, k]``.

        None if they are not kept.
        """
        most = int(who[-1]) + 1
        if self._ranks is not None:
            return self._ranks.peak(most)[who], None
        self._grow(most)
        return None, np.array([self._in_blocks[who], self._unfinished[who]])

    @property
    def native_groups(self) -> NativeTable | None:
        """The keys of each group; None if they are not counted by group."""
        return None if self._groups is None else self._groups.table.native

    def ahead(
        self,
        who: NDArray[np.intp],
        keys: KeyCounts,
        before: NDArray[np.int32],
        after: NDArray[np.int32],
        more_groups: KeyCounts | None,
    ) -> tuple[dict[Name, Counts], KeyCounts]:
        """The counts of the tenants ``who`` ``[k]``, not scaled, after a change of these keys, which is not made.

        Also the groups of these keys and ``more_groups``, each with the keys that it then has; only those that change
        if that is None, and none if keys are not counted by group.
        """
        steps: Steps = keys.tenant, before, after
        groups = KeyCounts.empty()
        if self._groups is not None:
            step = _crossed(before, after)
            if more_groups is None:
                groups = moves(keys, step)
            else:
                groups = KeyCounts.joined([groups_of(keys, step), more_groups]).distinct()
            steps = self._groups.ahead(groups)
            groups = replace(groups, count=steps[2])
        if self._ranks is None:
            then, most = np.zeros((2, len(who)), np.int64)
            known = who < len(self._in_blocks)
            then[known], most[known] = self._in_blocks[who[known]], self._unfinished[who[known]]
            row = np.searchsorted(who, steps[0])
            np.add.at(then, row, in_blocks(steps[2]) - in_blocks(steps[1]))
            np.maximum.at(most, row, unfinished(steps[2]))
            return {IN_BLOCKS: then, UNFINISHED: most}, groups
        peak, top = self._ranks.ahead(who, *steps, with_top=TOP in self.names)
        return {PEAK: peak, TOP: top, WIDEST: peak}, groups

    def _grow(self, tenants: int) -> None:
        have = len(self._in_blocks)
        if tenants > have:
            more = 0, max(tenants, 2 * have, 64) - have
            self._in_blocks, self._unfinished = np.pad(self._in_blocks, more), np.pad(self._unfinished, more)


def _crossed(before: NDArray[np.int32], after: NDArray[np.int32]) -> NDArray[np.int32]:
    """1 for a key that enters, -1 for one that leaves."""
    return (after > 0).astype(np.int32) - (before > 0)
