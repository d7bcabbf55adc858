"""Distinct counts of a window: distinct keys, keys with too many attempts, sequential numbers, the busiest key.

Counts are exact up to `EXACT_KEYS` (32,768) distinct keys per tenant and window, and a sample above twice as many
(`monitor.core.windows.distinct.key_counts`); in between they are either. Right after the level of a tenant rises, at
least 16,384 keys remain on average, so the standard error of a count of distinct keys is 0.8 % (1 / sqrt(16384)). As
old keys leave, the sample may shrink to 4,096 keys (1.6 %) before the tenant is recounted. Fully sequential dialling is
sampled 64 numbers at a time, so the errors of its counts are 8 times larger; a ratio of two such counts has a smaller
error.

The attempts of a sampled key are all counted, so the busiest key of a sample is a lower bound.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.hash_table import NativeTable
from monitor.core.calls.key_placement import Placement
from monitor.core.calls.keys import U64
from monitor.core.tenants.dirty import DirtyTenants
from monitor.core.windows.distinct import native_ahead, native_keys
from monitor.core.windows.distinct.count_names import (
    DISTINCT,
    IN_BLOCKS,
    NUMBERS,
    SEQUENTIAL,
    TOP,
    UNFINISHED,
    Name,
)
from monitor.core.windows.distinct.derived_counts import DerivedCounts
from monitor.core.windows.distinct.key_counts import (
    EXACT_KEYS,
    NEIGHBOUR_BITS,
    KeyCounts,
    keys_of,
    level_for,
    levels_of,
    sampled,
)
from monitor.core.windows.distinct.key_groups import groups_of
from monitor.core.windows.distinct.key_table import KeyTable
from monitor.core.windows.distinct.native_ahead import CountsOfKeys, SampledTenants
from monitor.core.windows.distinct.pane_distinct_counts import (
    EMPTY,
    KeysAhead,
    by_place,
    estimates,
    highest,
    make_up,
    scale,
)

_ONE = np.uint64(1)
_DISTINCT, _NUMBERS, _SEQUENTIAL = range(3)  # rows of the counts; one row per limit follows


class _PanesInside:
    """The keys of the panes of a window, in the order of their starts."""

    def __init__(self) -> None:
        self._panes: deque[tuple[int, KeyCounts]] = deque()

    def __iter__(self) -> Iterator[KeyCounts]:
        return (keys for _, keys in self._panes)

    def add(self, start_ms: int, keys: KeyCounts) -> None:
        self._panes.append((start_ms, keys))

    def leave(self, before_ms: int) -> Iterator[KeyCounts]:
        """Drop the panes that begin before ``before_ms``. Yields their negated keys, to add to the counts."""
        while self._panes and self._panes[0][0] < before_ms:
            yield self._panes.popleft()[1].negated()

    def until(self, before_ms: int) -> list[KeyCounts]:
        """The panes that begin before ``before_ms``."""
        return [keys for _, keys in takewhile(lambda pane: pane[0] < before_ms, self._panes)]

    def of(self, tenant: int) -> list[KeyCounts]:
        """The keys of a tenant in each pane."""
        return [keys.select(keys.tenant == tenant) for keys in self]


class DistinctCounts:
    """The attempts of each key in one window, with the counts that rules need.

    The keys of a pane enter and leave in a few vector operations whose cost depends on the pane, not on the window.
    Memory: the table of at most 2 `EXACT_KEYS` keys per tenant; plus 17 bytes per key for the panes inside.
    """

    def __init__(self, window_ms: int, names: Sequence[Name] = (), placement: Placement | None = None) -> None:
        self.window_ms = window_ms
        placement = placement or Placement()
        self.names = tuple(dict.fromkeys((DISTINCT, NUMBERS, *names, *([UNFINISHED] if IN_BLOCKS in names else ()))))
        limits = sorted(name for name in names if isinstance(name, int))
        self._table = KeyTable(placement)
        derived = DerivedCounts(names, placement)
        self._derived = derived if derived.names else None
        self._sequences = SEQUENTIAL in names
        self._inside = _PanesInside()
        # As narrow as the counts, which never exceed int32.
        self._limits = np.minimum([0, *limits], np.iinfo(np.int32).max).astype(np.int32)[:, None]
        self._over = {limit: row for row, limit in enumerate(limits, _SEQUENTIAL + 1)}
        self._counts = np.zeros((_SEQUENTIAL + 1 + len(limits), 0), np.int64)  # [what, tenant]
        self.levels: dict[int, int] = {}  # tenant: sampling level, if above 0
        # Notified of tenants that are recounted, even if none of their calls enter or leave.
        self.watched: list[DirtyTenants] = []

    def enter(self, start_ms: int, keys: KeyCounts, tenants: int, before_ms: int = 0) -> None:
        """Add the keys of a closed pane, and remove the panes that begin before ``before_ms``, the window start.

        ``tenants`` is the number of tenants in the shard.
        """
        self._grow(tenants)
        if self.levels or keys.levels:
            self.leave(before_ms)
            for tenant, level in keys.levels.items():
                self._raise(tenant, level)
            self._change(keys.thinned(self.levels))
        else:  # one change for everything that enters and leaves, because the cost is per change
            leaving = list(self._inside.leave(before_ms))
            self._change(KeyCounts.joined([keys, *leaving]).distinct() if leaving else keys)
        if not len(keys):
            return
        self._inside.add(start_ms, keys)
        if int(self._counts[_DISTINCT].max()) <= 2 * EXACT_KEYS:
            return
        for tenant in np.flatnonzero(self._counts[_DISTINCT] > 2 * EXACT_KEYS).tolist():
            held = self._held(tenant)
            self._raise(tenant, level_for(held.key, self.levels.get(tenant, 0), unit_bits=held.unit_bits))

    def leave(self, before_ms: int) -> None:
        """Remove the panes that begin before ``before_ms``, the window start."""
        for keys in self._inside.leave(before_ms):
            self._change(keys.thinned(self.levels))
            for tenant in [t for t in self.levels if self._thin(t)]:
                self._lower(tenant)

    def distinct(self, tenants: int) -> NDArray[np.int64]:
        """The distinct keys of each tenant, ``[tenants]``."""
        return self._scaled(_DISTINCT, tenants)

    def numbers(self, tenants: int) -> NDArray[np.int64]:
        """The distinct keys that are numbers."""
        return self._scaled(_NUMBERS, tenants)

    def sequential(self, tenants: int) -> NDArray[np.int64]:
        """The distinct numbers whose predecessor (the number minus 1) is also present."""
        return make_up(self._scaled(_SEQUENTIAL, tenants), self.numbers(tenants), self.levels)

    def over(self, limit: int, tenants: int) -> NDArray[np.int64]:
        """The distinct keys attempted more than ``limit`` times."""
        return self._scaled(self._over[limit], tenants)

    def read(self, name: Name, tenants: int) -> NDArray[np.int64]:
        """A count by its name. It must be one of those that the constructor was given, or always kept."""
        if isinstance(name, int):
            return self.over(name, tenants)
        if self._derived is not None and name in self._derived.names:
            self._grow(tenants)
            return self._derived.read(name, tenants, self.levels)
        counts: NDArray[np.int64] = getattr(self, name)(tenants)
        return counts

    # Early -----------------------------------------------------------------------------------------------------

    def ahead(
        self, who: NDArray[np.intp], coming: Sequence[KeyCounts], before_ms: int
    ) -> dict[Name, NDArray[np.int64]]:
        """The counts of these tenants ``[k]``, ascending, after the keys ``coming`` enter and old panes leave.

        Keys of other tenants may be among them. The panes that begin before ``before_ms`` leave. Nothing is changed.
        The cost depends on the keys that enter and leave.
        """
        leaving = self._inside.until(before_ms)
        if native_ahead.enabled and TOP not in self.names:
            natively = self._ahead_natively(who, coming, leaving)
            if natively is not None:
                return natively
        found = self.keys_ahead(who, coming, before_ms, every_group=False)
        return estimates(found.counts, found.levels)

    def keys_ahead(
        self, who: NDArray[np.intp], coming: Sequence[KeyCounts], before_ms: int, every_group: bool = True
    ) -> KeysAhead:
        """The keys of these tenants that enter or leave until then, as in `ahead`. Their groups are all, or only those
        that change.
        """
        change, levels = self._change_of(who, coming, self._inside.until(before_ms))
        later = {tenant: level for tenant, level in levels.items() if level > self.levels.get(tenant, 0)}
        before = self._table.counts_of(change.key)
        after = before + change.count
        self._grow(int(who[-1]) + 1)
        then = self._counts.take(who, axis=1)
        steps = _steps(self._table, change, (before, after), self._limits, self._sequences)
        _add(then, np.searchsorted(who, change.tenant), steps)
        counts: dict[Name, NDArray[np.int64]] = dict(zip((DISTINCT, NUMBERS, SEQUENTIAL), then, strict=False))
        counts |= {limit: then[row] for limit, row in self._over.items()}
        groups = KeyCounts.empty()
        if self._derived is not None:
            kept = (self._held(tenant).thinned({tenant: level}) for tenant, level in later.items() if self.by_group)
            more = _unchanged_groups(kept) if every_group else None
            derived, groups = self._derived.ahead(who, change, before, after, more)
            counts |= derived
            groups = groups.select((groups.count > 0) | ~np.isin(groups.tenant, list(later))) if later else groups
        keys = replace(change, count=after).thinned(levels)
        return KeysAhead(keys, groups, counts, by_place(levels, who), by_place(later, who).keys())

    @property
    def by_group(self) -> bool:
        """Whether keys are counted by group."""
        return self._derived is not None and self._derived.by_group

    @property
    def tables(self) -> tuple[NativeTable, NativeTable]:
        """The attempts of each key now, and the keys of each group, if keys are counted by group."""
        return self._table.native, (self._derived and self._derived.native_groups) or EMPTY.native

    def _ahead_natively(
        self, who: NDArray[np.intp], coming: Sequence[KeyCounts], leaving: Sequence[KeyCounts]
    ) -> dict[Name, NDArray[np.int64]] | None:
        """As `ahead`. None if that needs more than the keys that enter and leave."""
        levels, gone = self._sampled_then(who, (*coming, *leaving))
        tenants = SampledTenants(who, by_place(levels, who))
        self._grow(int(who[-1]) + 1)
        largest, in_blocks = (None, None) if self._derived is None else self._derived.now(who)
        now = CountsOfKeys(self._counts[:, who], largest, in_blocks)
        groups = None if self._derived is None else self._derived.native_groups
        then = native_ahead.change(
            now, tenants, (coming, leaving, gone), self._table.native, groups, self._limits[1:], self._sequences
        )
        return None if then is None else estimates(then.by_name(self._over), tenants.levels)

    def _change_of(
        self, who: NDArray[np.intp], coming: Sequence[KeyCounts], leaving: Sequence[KeyCounts]
    ) -> tuple[KeyCounts, dict[int, int]]:
        """The distinct keys that enter and leave, ascending, each with the change in its count; and the sampling levels
        afterwards, by tenant.
        """
        mine = np.zeros(max(self._counts.shape[1], int(who[-1]) + 1), np.bool_)
        mine[who] = True
        parts = [keys_of(coming, mine), *(keys.of_tenants(mine).negated() for keys in leaving)]
        levels, gone = self._sampled_then(who, parts)
        change = KeyCounts.joined(parts).thinned(levels).distinct()
        if gone:
            every = change, *(keys.negated() for keys in gone)
            change = KeyCounts.joined([replace(keys, levels={}) for keys in every]).distinct()
        return change, levels

    def _sampled_then(self, who: NDArray[np.intp], keys: Sequence[KeyCounts]) -> tuple[dict[int, int], list[KeyCounts]]:
        """The sampling levels of these tenants after these keys enter and leave, if above 0; and the keys in the window
        that leave because the samples then leave them out, as when sampled panes enter.
        """
        levels = highest(who, self.levels, levels_of(keys))
        unit_bits = max((one.unit_bits for one in keys), default=NEIGHBOUR_BITS)
        higher = [tenant for tenant, level in levels.items() if level > self.levels.get(tenant, 0)]
        return levels, [self._not_kept(tenant, levels[tenant], unit_bits) for tenant in higher]

    def _scaled(self, what: int, tenants: int) -> NDArray[np.int64]:
        self._grow(tenants)
        counts = self._counts[what, :tenants]
        return scale(counts.copy(), self.levels) if self.levels else counts

    def _grow(self, tenants: int) -> None:
        have = self._counts.shape[1]
        if tenants > have:
            self._counts = np.pad(self._counts, ((0, 0), (0, max(tenants, 2 * have, 64) - have)))

    # Sampling levels -------------------------------------------------------------------------------------------

    def _raise(self, tenant: int, level: int) -> None:
        if level > self.levels.get(tenant, 0):
            self._change(self._not_kept(tenant, level).negated())
            self.levels[tenant] = level

    def _not_kept(self, tenant: int, level: int, unit_bits: np.uint64 = NEIGHBOUR_BITS) -> KeyCounts:
        """The keys of a tenant in the window, ascending, that a sample at a level leaves out."""
        held = self._held(tenant)
        at_level = np.full(len(held), level, np.uint64)
        return held.select(~sampled(held.key, at_level, max(held.unit_bits, unit_bits)))

    def _held(self, tenant: int) -> KeyCounts:
        """The keys of a tenant in the window, ascending."""
        if self._derived is None or not self._derived.by_group:
            held = self._table.keys_of(tenant)
            return replace(held, unit_bits=max([held.unit_bits, *(keys.unit_bits for keys in self._inside)]))
        held = KeyCounts.joined(self._inside.of(tenant))  # the table does not have their groups
        level = self.levels.get(tenant, 0)
        return (held.thinned({tenant: level}) if level else held).distinct()

    def _thin(self, tenant: int) -> bool:
        """Whether the window of a tenant may be small enough to be exact, or its sample is too small."""
        held = int(self._counts[_DISTINCT, tenant])
        return held << self.levels[tenant] < 2 * EXACT_KEYS or held < EXACT_KEYS // 8

    def _lower(self, tenant: int) -> None:
        """Recount a tenant from the panes, at the lowest level that they allow, with some room to grow."""
        floor = max((keys.levels.get(tenant, 0) for keys in self._inside), default=0)
        if floor >= self.levels[tenant]:
            return
        panes = self._inside.of(tenant)
        # Sorted, not `np.unique`, which uses a public hash for integers: tenants could craft collisions.
        every = KeyCounts.joined(panes).distinct()
        level = level_for(every.key, floor, EXACT_KEYS * 3 // 2, every.unit_bits)
        if level >= self.levels[tenant]:
            return
        for touched in self.watched:
            touched.add_one(tenant)
        self._change(self._held(tenant).negated())
        del self.levels[tenant]
        if level:
            self.levels[tenant] = level
        for keys in panes:
            self._change(keys.thinned({tenant: level}) if level else keys)

    # Counting --------------------------------------------------------------------------------------------------

    def _change(self, keys: KeyCounts) -> None:
        """Change the counts of these distinct keys, ascending, and the counts derived from them."""
        if not len(keys):
            return
        table = self._table
        at = table.claim(keys)
        if native_keys.enabled:
            before, after = native_keys.change(table.native, keys, at, self._limits[1:], self._sequences, self._counts)
        else:
            before = table.count[at]
            after = before + keys.count
            _add(self._counts, keys.tenant, _steps(table, keys, (before, after), self._limits, self._sequences))
            table.count[at] = after
        if self._derived is not None:
            self._derived.change(keys, before, after)


def _unchanged_groups(kept: Iterable[KeyCounts]) -> KeyCounts:
    """The groups of these keys, each with 0."""
    return KeyCounts.joined([groups_of(keys, np.zeros(len(keys), np.int32)) for keys in kept])


def _steps(
    table: KeyTable,
    keys: KeyCounts,
    attempts: tuple[NDArray[np.int32], NDArray[np.int32]],
    limits: NDArray[np.int32],
    sequences: bool,
) -> NDArray[np.int64]:
    """The change to each count of the tenant by each of these keys, ascending: ``[what, key]``.

    ``attempts`` are those of each key before and after the change.
    """
    before, after = attempts
    crossed = (after > limits).astype(np.int64) - (before > limits)
    numbers = crossed[0] * keys.numeric
    pairs = _pairs(table, keys.key, numbers if sequences else np.zeros_like(numbers))
    return np.concatenate([crossed[:1], [numbers, pairs], crossed[1:]])


def _add(counts: NDArray[np.int64], tenant: NDArray[np.integer], steps: NDArray[np.int64]) -> None:
    """Add each step ``[what, n]`` to its tenant's count ``[what, tenant]``, in place."""
    what = np.arange(len(counts))[:, None] * counts.shape[1]
    np.add.at(counts.reshape(-1), (what + tenant).ravel(), steps.ravel())


def _pairs(table: KeyTable, keys: U64, step: NDArray[np.int64]) -> NDArray[np.int64]:
    """The change in the number of neighbour pairs by each of these ascending numbers. Each pair counts once.

    ``step`` is 1 for a number that enters, -1 for one that leaves, and 0 for any other.
    """
    pairs = np.zeros(len(keys), np.int64)
    moved = np.flatnonzero(step)
    if not len(moved):
        return pairs
    key, step = keys[moved], step[moved]
    comes = step > 0
    has_previous, has_next = table.present(np.concatenate([key - _ONE, key + _ONE])).reshape(2, -1)
    follows = np.append(False, key[1:] == key[:-1] + _ONE)  # such a pair is counted at its second key
    will_have_previous = np.where(follows, np.append(False, comes[:-1]), has_previous)
    has_next &= ~np.append(follows[1:], False)
    pairs[moved] = (comes & will_have_previous).astype(np.int64) - (~comes & has_previous) + step * has_next
    return pairs
