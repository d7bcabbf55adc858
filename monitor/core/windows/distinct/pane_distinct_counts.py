"""Distinct counts of a window of one pane, and code shared with longer windows
(`monitor.core.windows.distinct.distinct_counts`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.hash_table import NativeTable
from monitor.core.calls.key_placement import Placement
from monitor.core.windows.distinct import native_ahead
from monitor.core.windows.distinct.count_names import (
    DISTINCT,
    IN_BLOCKS,
    NUMBERS,
    PEAK,
    SEQUENTIAL,
    TOP,
    UNFINISHED,
    WIDEST,
    Name,
)
from monitor.core.windows.distinct.count_ranks import count_pairs, ranked
from monitor.core.windows.distinct.key_counts import KeyCounts, keys_of, levels_of
from monitor.core.windows.distinct.key_groups import at_least, groups_of, in_blocks, unfinished
from monitor.core.windows.distinct.key_table import KeyTable
from monitor.core.windows.distinct.native_ahead import CountsOfKeys, SampledTenants

_ONE = np.uint64(1)
EMPTY = KeyTable(Placement())
"""No keys: what a window of one pane has whose pane is still open. Do not change it."""


class KeysAhead(NamedTuple):
    """The keys of ``k`` tenants that enter or leave until a window ends, with the attempts that each has then.

    ``groups`` are the groups of these keys, with the keys that each has then; empty if keys are not counted by group.
    ``counts`` ``[k]`` are those of the sample, by name; ``levels`` the sampling level of a tenant by its place, if
    above 0. The tenants at the places ``later`` are sampled at a lower level in the window as it is now, or not at all:
    of these ``groups`` are all that have keys then.
    """

    keys: KeyCounts
    groups: KeyCounts
    counts: dict[Name, NDArray[np.int64]]
    levels: dict[int, int]
    later: Collection[int]


def estimates(counts: dict[Name, NDArray[np.int64]], levels: Mapping[int, int]) -> dict[Name, NDArray[np.int64]]:
    """Counts of samples, by name, as counts of all keys. ``levels`` is the level of each place, if above 0."""
    if not levels:
        return counts
    found = dict(counts)
    for name in counts:
        if name == WIDEST:
            found[name] = at_least(counts[name].copy(), levels)
        elif name not in (PEAK, TOP, UNFINISHED):
            found[name] = scale(counts[name].copy(), levels)
    if SEQUENTIAL in found:
        make_up(found[SEQUENTIAL], found[NUMBERS], levels)
    return found


class PaneDistinctCounts:
    """The counts of a window of one pane, computed from the keys of the pane on request."""

    def __init__(self, window_ms: int, names: Sequence[Name] = ()) -> None:
        self.window_ms = window_ms
        # The largest count bounds how many keys exceed a limit, and costs little here.
        peak = (PEAK,) if any(isinstance(name, int) for name in names) else ()
        blocks = (UNFINISHED,) if IN_BLOCKS in names else ()
        self.names = tuple(dict.fromkeys((DISTINCT, NUMBERS, *names, *peak, *blocks)))
        self._start_ms = 0
        self._keys = KeyCounts.empty()

    @property
    def levels(self) -> dict[int, int]:
        """The sampling level of each tenant in the pane, if above 0."""
        return self._keys.levels

    @levels.setter
    def levels(self, levels: dict[int, int]) -> None:
        """Ignored: the pane holds its own levels."""

    def enter(self, start_ms: int, keys: KeyCounts, tenants: int, before_ms: int = 0) -> None:
        """Replace the pane of the window."""
        self._start_ms, self._keys = start_ms, keys

    def leave(self, before_ms: int) -> None:
        """Remove the pane if it begins before ``before_ms``, the window start."""
        if self._start_ms < before_ms:
            self._keys = KeyCounts.empty()

    def ahead(
        self, who: NDArray[np.intp], coming: Sequence[KeyCounts], before_ms: int
    ) -> dict[Name, NDArray[np.int64]]:
        """As `DistinctCounts.ahead`. The only pane has left by then."""
        if native_ahead.enabled and TOP not in self.names:
            return self._ahead_natively(who, coming)
        found = self.keys_ahead(who, coming, before_ms)
        return estimates(found.counts, found.levels)

    def keys_ahead(self, who: NDArray[np.intp], coming: Sequence[KeyCounts], before_ms: int) -> KeysAhead:
        """As `DistinctCounts.keys_ahead`."""
        tenants = int(who[-1]) + 1
        mine = np.zeros(tenants, np.bool_)
        mine[who] = True
        keys = keys_of(coming, mine)
        levels = by_place(keys.levels, who)
        keys = replace(keys, levels={})
        then = PaneDistinctCounts(self.window_ms)
        then.enter(before_ms, keys, 0)
        groups = then._groups() if self.by_group else KeyCounts.empty()
        return KeysAhead(keys, groups, {name: then.read(name, tenants)[who] for name in self.names}, levels, ())

    @property
    def by_group(self) -> bool:
        """Whether keys are counted by group."""
        return not {IN_BLOCKS, WIDEST}.isdisjoint(self.names)

    @property
    def tables(self) -> tuple[NativeTable, NativeTable]:
        """As `DistinctCounts.tables`, of a window that ends later."""
        return EMPTY.native, EMPTY.native

    def _ahead_natively(self, who: NDArray[np.intp], coming: Sequence[KeyCounts]) -> dict[Name, NDArray[np.int64]]:
        limits = [name for name in self.names if isinstance(name, int)]
        levels = by_place(levels_of(coming), who)
        largest, in_blocks = ({PEAK, WIDEST} & {*self.names}, {IN_BLOCKS} & {*self.names})
        none = np.zeros((3 + len(limits), len(who)), np.int64)
        now = CountsOfKeys(none, none[0] if largest else None, none[:2] if in_blocks else None)
        groups = EMPTY.native if self.by_group else None
        narrow, tenants = np.array(limits, np.int32), SampledTenants(who, levels)
        then = native_ahead.change(
            now, tenants, (coming, (), ()), EMPTY.native, groups, narrow, SEQUENTIAL in self.names
        )
        assert then is not None, "nothing becomes less"
        return estimates(then.by_name({limit: row for row, limit in enumerate(limits, 3)}), levels)

    def read(self, name: Name, tenants: int) -> NDArray[np.int64]:
        """A count by its name."""
        if isinstance(name, int):
            return self.over(name, tenants)
        counts: NDArray[np.int64] = getattr(self, name)(tenants)
        return counts

    def distinct(self, tenants: int) -> NDArray[np.int64]:
        """The distinct keys of each tenant, ``[tenants]``."""
        return self._count(np.ones(len(self._keys), np.bool_), tenants)

    def numbers(self, tenants: int) -> NDArray[np.int64]:
        """The distinct keys that are numbers."""
        return self._count(self._keys.numeric, tenants)

    def sequential(self, tenants: int) -> NDArray[np.int64]:
        """The distinct numbers whose predecessor (the number minus 1) is also present."""
        keys = self._keys
        follows = np.zeros(len(keys), np.bool_)
        follows[1:] = (keys.key[1:] == keys.key[:-1] + _ONE) & keys.numeric[1:] & keys.numeric[:-1]
        return make_up(self._count(follows, tenants), self.numbers(tenants), keys.levels)

    def over(self, limit: int, tenants: int) -> NDArray[np.int64]:
        """The distinct keys attempted more than ``limit`` times."""
        return self._count(self._keys.count > limit, tenants)

    def peak(self, tenants: int) -> NDArray[np.int64]:
        """The most attempts of any one key."""
        most = np.zeros(tenants, np.int64)
        np.maximum.at(most, self._keys.tenant.astype(np.intp), self._keys.count.astype(np.int64))
        return most

    def top(self, tenants: int) -> NDArray[np.int64]:
        """The attempts of the ten busiest keys."""
        keys = self._keys
        return ranked(count_pairs(keys.tenant, np.zeros_like(keys.count), keys.count), tenants)[1]

    def in_blocks(self, tenants: int) -> NDArray[np.int64]:
        """The distinct numbers that are in a block."""
        groups = self._groups()
        counts = np.zeros(tenants, np.int64)
        np.add.at(counts, groups.tenant, in_blocks(groups.count))
        return scale(counts, self._keys.levels)

    def unfinished(self, tenants: int) -> NDArray[np.int64]:
        """The most distinct numbers of a group that is no block."""
        groups = self._groups()
        most = np.zeros(tenants, np.int64)
        np.maximum.at(most, groups.tenant, unfinished(groups.count))
        return most

    def widest(self, tenants: int) -> NDArray[np.int64]:
        """The most keys of any one group."""
        groups = self._groups()
        most = np.zeros(tenants, np.int64)
        np.maximum.at(most, groups.tenant, groups.count)
        return at_least(most, self._keys.levels)

    def _groups(self) -> KeyCounts:
        return groups_of(self._keys, np.ones(len(self._keys), np.int32))

    def _count(self, which: NDArray[np.bool_], tenants: int) -> NDArray[np.int64]:
        return scale(np.bincount(self._keys.tenant[which], minlength=tenants), self._keys.levels)


def by_place(levels: Mapping[int, int], who: NDArray[np.intp]) -> dict[int, int]:
    """The sampling levels of these tenants by their place in ``who``, from those by tenant."""
    if not levels:
        return {}
    return {place: levels[tenant] for place, tenant in enumerate(who.tolist()) if tenant in levels}


def highest(who: NDArray[np.intp], *levels: Mapping[int, int]) -> dict[int, int]:
    """The highest sampling level of each of these tenants that has any."""
    if not any(levels):
        return {}
    found = {tenant: max(of.get(tenant, 0) for of in levels) for tenant in who.tolist()}
    return {tenant: level for tenant, level in found.items() if level}


def scale(counts: NDArray[np.int64], levels: Mapping[int, int]) -> NDArray[np.int64]:
    """Scale the counts of a sample to estimates of the whole, in place."""
    for tenant, level in levels.items():
        counts[tenant] <<= level
    return counts


def make_up(sequential: NDArray[np.int64], numbers: NDArray[np.int64], levels: Mapping[int, int]) -> NDArray[np.int64]:
    """Correct sampled counts of sequential numbers, in place: 1 in 64 has its predecessor outside the sample."""
    for tenant in levels:
        sequential[tenant] = min(sequential[tenant] * 64 // 63, numbers[tenant])
    return sequential
