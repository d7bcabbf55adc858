"""Tallies: distinct callees, callees called too often, sequential callees and the busiest caller of a window.

Exact up to `EXACT_KEYS` (32,768) distinct keys a tenant and window; above twice as many a sample
(`monitor.shard.parties`), between the two exact or a sample. Right after a tenant's level rose, 16,384 keys are left at
the least in the mean, hence a standard error of 0.8 % of a count of distinct keys (1 / sqrt(16384)); as old keys leave,
the sample may thin to 4,096 (1.6 %) before the tenant is counted anew. Wholly sequential dialling is sampled 64 numbers
at a time, so its errors are 8 times larger for counts; a ratio of two such counts suffers less. `caller_peak` becomes a
lower bound.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from monitor.shard.keys import U64, mix
from monitor.shard.panetally import Counted, busiest, make_up, scale
from monitor.shard.parties import EXACT_KEYS, KeyCounts, level_for

_ONE = np.uint64(1)
_SMALLEST_TABLE = 1 << 10


class Tally:
    """How often each party was attempted within one window, with the counts that rules ask for.

    An open-addressing hash table in columns (linear probing, at most half full): a pane's keys enter and leave in
    a few vector operations whose cost depends on the pane, not on the window. Memory: 17 bytes a slot, so 34 to
    136 bytes a distinct key, at most 2 `EXACT_KEYS` keys a tenant; and 17 bytes a key for the panes inside.
    """

    def __init__(self, window_ms: int, limits: tuple[int, ...] = (), sequences: bool = False) -> None:
        self.window_ms = window_ms
        self._sequences = sequences
        self._inside: deque[tuple[int, KeyCounts]] = deque()
        self._distinct = np.zeros(0, np.int64)
        self._numbers = np.zeros(0, np.int64)
        self._sequential = np.zeros(0, np.int64)
        self._over = {limit: np.zeros(0, np.int64) for limit in limits}
        self.levels: dict[int, int] = {}  # tenant: sampling level, where above 0
        self._clear(_SMALLEST_TABLE)

    def enter(self, start_ms: int, keys: KeyCounts, tenants: int) -> None:
        """Add a sealed pane's keys; ``tenants`` is how many the shard knows by now."""
        self._grow(tenants)
        if not len(keys):
            return
        for tenant, level in keys.levels.items():
            self._raise(tenant, level)
        self._inside.append((start_ms, keys))
        self._add(keys.thinned(self.levels))
        owners = np.flatnonzero(np.bincount(keys.owner))
        for tenant in owners[self._distinct[owners] > 2 * EXACT_KEYS].tolist():
            self._raise(tenant, level_for(self._keys_of(tenant).key, self.levels.get(tenant, 0)))

    def leave(self, before_ms: int) -> None:
        """Take away the panes that began before ``before_ms``, the window's start."""
        while self._inside and self._inside[0][0] < before_ms:
            self._subtract(self._inside.popleft()[1].thinned(self.levels))
            for tenant in [t for t in self.levels if self._thin(t)]:
                self._lower(tenant)

    def distinct(self, tenants: int) -> NDArray[np.int64]:
        """Distinct keys of each tenant ``[tenants]``."""
        return self._scaled(self._distinct, tenants)

    def numbers(self, tenants: int) -> NDArray[np.int64]:
        """Distinct keys that are numbers."""
        return self._scaled(self._numbers, tenants)

    def sequential(self, tenants: int) -> NDArray[np.int64]:
        """Distinct numbers whose number less 1 is there too."""
        return make_up(self._scaled(self._sequential, tenants), self.numbers(tenants), self.levels)

    def over(self, limit: int, tenants: int) -> NDArray[np.int64]:
        """Distinct keys attempted more than ``limit`` times."""
        return self._scaled(self._over[limit], tenants)

    def peak(self, tenants: int) -> NDArray[np.int64]:
        """The most attempts of one key."""
        return busiest(self._held(np.flatnonzero(self._count)), max(tenants, len(self._distinct)))[:tenants]

    # Ahead -----------------------------------------------------------------------------------------------------

    def ahead(self, who: NDArray[np.intp], came: KeyCounts, before_ms: int) -> Counted:
        """The counts of these tenants ``[k]``, ascending, once ``came``, their keys, has come and panes have left.

        What leaves are the panes that began before ``before_ms``. Nothing is changed; the cost is that of the keys
        which come and leave.
        """
        change = self._change_of(who, came, before_ms)
        at = self._find(change.key)
        before = np.where(at >= 0, self._count[at], 0)
        after = before + change.count
        step = (after > 0).astype(np.int64) - (before > 0)
        owners = int(who[-1]) + 1
        levels = {tenant: level for tenant, level in self.levels.items() if tenant < owners}

        def moved(counts: NDArray[np.int64], steps: NDArray[np.int64]) -> NDArray[np.int64]:
            then = np.zeros(owners, np.int64)
            then[: len(counts)] = counts[:owners]
            _add(then, change.owner, steps)
            return scale(then, levels)

        step_of_numbers = step * change.numeric
        numbers = moved(self._numbers, step_of_numbers)
        sequential = make_up(moved(self._sequential, self._pairs(change.key, step_of_numbers)), numbers, levels)
        over = {
            limit: moved(counts, (after > limit).astype(np.int64) - (before > limit))[who]
            for limit, counts in self._over.items()
        }
        return Counted(moved(self._distinct, step)[who], numbers[who], sequential[who], over)

    def _pairs(self, keys: U64, step: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many pairs of neighbours more or less there will be with each of these ascending numbers, each told once.

        ``step`` is 1 for a number that comes, -1 for one that goes.
        """
        pairs = np.zeros(len(keys), np.int64)
        moved = np.flatnonzero(step)
        if not self._sequences or not len(moved):
            return pairs
        key, step = keys[moved], step[moved]
        comes = step > 0
        has_previous, has_next = self._present(key - _ONE), self._present(key + _ONE)
        follows = np.append(False, key[1:] == key[:-1] + _ONE)  # such a pair is told by its second key
        will_have_previous = np.where(follows, np.append(False, comes[:-1]), has_previous)
        has_next &= ~np.append(follows[1:], False)
        pairs[moved] = (comes & will_have_previous).astype(np.int64) - (~comes & has_previous) + step * has_next
        return pairs

    def peak_ahead(self, who: NDArray[np.intp], came: KeyCounts, before_ms: int) -> NDArray[np.int64]:
        """The most attempts of one key then; the cost is that of a look at the whole table."""
        mine = np.zeros(max(len(self._distinct), int(who[-1]) + 1), np.bool_)
        mine[who] = True
        held = self._held(np.flatnonzero(mine[self._owner] & (self._count > 0)))
        every = KeyCounts.joined([held, self._change_of(who, came, before_ms)]).distinct()
        return busiest(every, len(mine))[who]

    def _change_of(self, who: NDArray[np.intp], came: KeyCounts, before_ms: int) -> KeyCounts:
        """The keys that come and leave, each once with what its count changes by, ascending."""
        mine = np.zeros(max(len(self._distinct), int(who[-1]) + 1), np.bool_)
        mine[who] = True
        parts = [came]
        for start_ms, keys in self._inside:
            if start_ms >= before_ms:
                break
            parts.append(keys.of_tenants(mine).negated())
        levels = {tenant: level for tenant, level in self.levels.items() if mine[tenant]}
        return KeyCounts.joined(parts).thinned(levels).distinct()

    def _held(self, at: NDArray[np.intp]) -> KeyCounts:
        """What the table holds at these slots."""
        return KeyCounts(self._key[at], self._owner[at], self._count[at], self._numeric[at])

    def _scaled(self, counts: NDArray[np.int64], tenants: int) -> NDArray[np.int64]:
        scaled = np.zeros(tenants, np.int64)
        known = min(tenants, len(counts))
        scaled[:known] = counts[:known]
        return scale(scaled, self.levels)

    def _grow(self, tenants: int) -> None:
        have = len(self._distinct)
        if tenants > have:
            extra = max(tenants, 2 * have, 64) - have
            self._distinct = np.pad(self._distinct, (0, extra))
            self._numbers = np.pad(self._numbers, (0, extra))
            self._sequential = np.pad(self._sequential, (0, extra))
            self._over = {limit: np.pad(counts, (0, extra)) for limit, counts in self._over.items()}

    # Sampling levels -------------------------------------------------------------------------------------------

    def _raise(self, tenant: int, level: int) -> None:
        if level > self.levels.get(tenant, 0):
            held = self._keys_of(tenant)
            kept = held.thinned({tenant: level})
            self._subtract(held.select(~np.isin(held.key, kept.key, assume_unique=True)))
            self.levels[tenant] = level

    def _thin(self, tenant: int) -> bool:
        """Whether a tenant's window may be small enough to be exact by now, or its sample is too small."""
        held = int(self._distinct[tenant])
        return held << self.levels[tenant] < 2 * EXACT_KEYS or held < EXACT_KEYS // 8

    def _lower(self, tenant: int) -> None:
        """Count a tenant anew from the panes, at the lowest level that they allow and that will last for a while."""
        panes = [keys.select(keys.owner == tenant) for _, keys in self._inside]
        floor = max((keys.levels.get(tenant, 0) for _, keys in self._inside), default=0)
        every = np.unique(np.concatenate([keys.key for keys in panes])) if panes else np.empty(0, np.uint64)
        level = level_for(every, floor, EXACT_KEYS * 3 // 2)
        if level >= self.levels[tenant]:
            return
        self._subtract(self._keys_of(tenant))
        del self.levels[tenant]
        if level:
            self.levels[tenant] = level
        for keys in panes:
            self._add(keys.thinned({tenant: level}) if level else keys)

    def _keys_of(self, tenant: int) -> KeyCounts:
        at = np.flatnonzero((self._owner == tenant) & (self._count > 0))
        return self._held(at[np.argsort(self._key[at])])

    # Counting --------------------------------------------------------------------------------------------------

    def _add(self, keys: KeyCounts) -> None:
        if len(keys):
            self._change(self._claim(keys), keys, keys.count)

    def _subtract(self, keys: KeyCounts) -> None:
        if len(keys):
            self._change(self._find(keys.key), keys, -keys.count)

    def _change(self, at: NDArray[np.intp], keys: KeyCounts, by: NDArray[np.int32]) -> None:
        """Change the counts at these distinct slots, and bring along what is derived; ``keys`` are ascending."""
        before = self._count[at]
        after = before + by
        came = (after > 0) & (before == 0)
        went = (after == 0) & (before > 0)
        step = came.astype(np.int64) - went
        moved = np.flatnonzero(step)
        _add(self._distinct, keys.owner[moved], step[moved])
        moved = moved[keys.numeric[moved]]
        _add(self._numbers, keys.owner[moved], step[moved])
        for limit, counts in self._over.items():
            crossed = (after > limit).astype(np.int64) - (before > limit)
            rows = np.flatnonzero(crossed)
            _add(counts, keys.owner[rows], crossed[rows])
        if self._sequences and len(moved):
            # Each pair of neighbours is looked at once: with everything in place, of which these keys are a part.
            self._count[at] = np.where(went, before, after)
            number, sign = keys.key[moved], step[moved]
            has_previous = self._present(number - _ONE)
            next_too = np.append(number[1:] == number[:-1] + _ONE, False)
            has_next = self._present(number + _ONE) & ~next_too
            _add(self._sequential, keys.owner[moved], sign * (has_previous.astype(np.int64) + has_next))
        self._count[at] = after

    def _present(self, keys: U64) -> NDArray[np.bool_]:
        """Which of these are numbers that are attempted now."""
        at = self._find(keys)
        return (at >= 0) & (self._count[at] > 0) & self._numeric[at]

    # The table -------------------------------------------------------------------------------------------------

    def _clear(self, slots: int) -> None:
        self._key = np.zeros(slots, np.uint64)
        self._owner = np.full(slots, -1, np.int32)  # -1: never used
        self._count = np.zeros(slots, np.int32)
        self._numeric = np.zeros(slots, np.bool_)
        self._used = 0

    def _find(self, keys: U64) -> NDArray[np.intp]:
        """The slot of each key, or -1."""
        return self._probe(keys)[0]

    def _probe(self, keys: U64) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """``(slot of each key or -1, the free slot where the search for it ended)``."""
        last = np.intp(len(self._key) - 1)
        found = np.full(len(keys), -1, np.intp)
        slot = (mix(keys) & np.uint64(last)).astype(np.intp)
        rows = np.arange(len(keys))
        while len(rows):
            here = slot[rows]
            used = self._owner[here] >= 0
            hit = used & (self._key[here] == keys[rows])
            found[rows[hit]] = here[hit]
            rows = rows[used & ~hit]
            slot[rows] = (slot[rows] + 1) & last
        return found, slot

    def _claim(self, keys: KeyCounts) -> NDArray[np.intp]:
        """The slots of these distinct keys, taken for those that had none."""
        if 2 * (self._used + len(keys)) > len(self._key):
            self._rehash(len(keys))
        found, free = self._probe(keys.key)
        missing = np.flatnonzero(found < 0)
        while len(missing):
            here = free[missing]
            self._key[here] = keys.key[missing]
            won = self._key[here] == keys.key[missing]  # of several that wanted one slot, the last to write
            mine = missing[won]
            found[mine] = free[mine]
            self._owner[free[mine]] = keys.owner[mine]
            self._numeric[free[mine]] = keys.numeric[mine]
            self._count[free[mine]] = 0
            self._used += len(mine)
            missing = missing[~won]
            _, free[missing] = self._probe(keys.key[missing])
        return found

    def _rehash(self, extra: int) -> None:
        """A table without the keys that have sunk to 0, a quarter full at most once ``extra`` keys have come."""
        live = np.flatnonzero(self._count)
        key, owner, count, numeric = self._key[live], self._owner[live], self._count[live], self._numeric[live]
        slots = _SMALLEST_TABLE
        while slots < 4 * (len(live) + extra):
            slots *= 2
        self._clear(slots)
        self._count[self._claim(KeyCounts(key, owner, count, numeric))] = count


def _add(counts: NDArray[np.int64], owner: NDArray[np.int32], steps: NDArray[np.int64]) -> None:
    """Add each step to its owner's count; every count below 2^53, so that bincount's doubles are exact."""
    if len(owner):
        found = np.bincount(owner, steps)
        counts[: len(found)] += found.astype(np.int64)
