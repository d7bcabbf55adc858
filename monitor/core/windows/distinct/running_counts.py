"""Running counts: the distinct counts of few tenants at a future end, changed by each of their calls.

The cost to count a tenant is that of its keys that enter or leave until that end. A tenant that stays near a threshold
would be counted at each early evaluation. When it is counted again, the attempts that each of these keys has at the end
are kept; from then on the cost is that of its new calls.

The attempts of a key at the end change only by new calls, not when panes enter or leave the window. A key that is not
kept did neither enter nor leave. So before the new calls it has as many attempts as in the window, less those of these
calls that have entered it already.

A pane that is still to enter may be sampled at a higher level than the window is now. Until then the window counts keys
in their groups that the sample will leave out. So of such tenants all groups are kept, and others have no keys.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.hash_table import NativeTable
from monitor.core.calls.key_placement import Placement
from monitor.core.calls.new_calls import NewCalls
from monitor.core.windows.distinct import native_running
from monitor.core.windows.distinct.count_names import (
    DISTINCT,
    IN_BLOCKS,
    NUMBERS,
    PEAK,
    SEQUENTIAL,
    UNFINISHED,
    WIDEST,
    Name,
)
from monitor.core.windows.distinct.key_counts import KeyCounts
from monitor.core.windows.distinct.key_table import KeysAtEnd
from monitor.core.windows.distinct.native_running import CountedKeys, KeyTables, RunningRows, Span
from monitor.core.windows.distinct.pane_distinct_counts import KeysAhead, estimates
from monitor.policy.metrics import KeySet

Counts = NDArray[np.int64]

MOST_KEYS: Final = 1 << 17
"""The most keys that are kept for the counts of one set at one end."""
_COLUMNS: Final[dict[Name, int]] = {
    PEAK: native_running.LARGEST,
    WIDEST: native_running.LARGEST,
    IN_BLOCKS: native_running.IN_BLOCKS,
    UNFINISHED: native_running.UNFINISHED,
    DISTINCT: native_running.DISTINCT,
    NUMBERS: native_running.NUMBERS,
    SEQUENTIAL: native_running.SEQUENTIAL,
}


class RunningCounts:
    """The counts ``names`` of the keys of one set, without `TOP`.

    ``large`` are the tenants that had the most keys or groups when there was no room. They get no counts again. Memory:
    21 to 64 bytes per key and per group, so at most 4 MB for each; and 4 bytes per tenant.
    """

    def __init__(self, which: KeySet, names: Sequence[Name], by_group: bool) -> None:
        limits = sorted(name for name in names if isinstance(name, int))
        narrow = np.minimum(np.array(limits, np.int64), np.iinfo(np.int32).max).astype(np.int32)
        self._counted = CountedKeys(which, narrow, SEQUENTIAL in names, by_group)
        columns = _COLUMNS | {limit: native_running.FIRST_LIMIT + place for place, limit in enumerate(limits)}
        self._names = tuple(names)
        self._columns = np.array([columns[name] for name in names])
        self._keys, self._groups = KeysAtEnd(Placement()), KeysAtEnd(Placement())
        self._row = np.full(1, -1, np.int32)  # its last stands for all tenants beyond
        self._who = np.empty(0, np.intp)
        self._level = np.empty(0, np.uint8)
        self._later = np.empty(0, np.bool_)  # whether the window was not sampled at that level
        self._counts = np.empty((0, native_running.FIRST_LIMIT + len(limits)), np.int64)
        self.large: set[int] = set()

    @property
    def keys(self) -> int:
        """The number of keys that are kept, or of groups if these are more."""
        return max(self._keys.used, self._groups.used)

    def of(self, who: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which of these tenants have counts."""
        has_counts: NDArray[np.bool_] = self._row.take(who, mode="clip") >= 0
        return has_counts

    def keep(self, who: NDArray[np.intp], ahead: KeysAhead, attempts: Counts, tenants: int) -> None:
        """Keep the counts of these tenants ``[k]``, given all their attempts, of ``tenants`` tenants.

        They have none yet. If there is no room, tenants with many keys lose their counts. If these tenants have many
        themselves, none of them gets any now.
        """
        more = max(len(ahead.keys), len(ahead.groups))
        if more > MOST_KEYS // 2:
            keys = _most_of_each(ahead.keys, ahead.groups, int(who[-1]) + 1)[who]
            self.large.update(who[keys == keys.max()].tolist())
            return
        if self.keys + more > MOST_KEYS:
            self.drop_largest(MOST_KEYS // 2)
        counts = np.zeros((len(who), self._counts.shape[1]), np.int64)
        counts[:, native_running.ATTEMPTS] = attempts
        counts[:, self._columns] = np.array([ahead.counts[name] for name in self._names]).T
        level = np.zeros(len(who), np.uint8)
        level[list(ahead.levels)] = list(ahead.levels.values())
        later = np.zeros(len(who), np.bool_)
        later[list(ahead.later)] = True
        if len(self._row) <= tenants:
            self._row = np.append(self._row, np.full(tenants + 1 - len(self._row), -1, np.int32))
        self._row[who] = np.arange(len(self._who), len(self._who) + len(who))
        self._who, self._level = np.append(self._who, who), np.append(self._level, level)
        self._later = np.append(self._later, later)
        self._counts = np.concatenate([self._counts, counts])
        self._keys.put(ahead.keys)
        self._groups.put(ahead.groups)

    def drop(self, who: NDArray[np.intp]) -> None:
        """Remove the counts of these tenants. Each has some."""
        if not len(who):
            return
        self._row[who] = -1
        left = np.flatnonzero(self._row[self._who] >= 0)
        self._who, self._level, self._later = self._who[left], self._level[left], self._later[left]
        self._counts = self._counts[left]
        self._row[self._who] = np.arange(len(left))
        self._keys.retain(self._row)
        self._groups.retain(self._row)

    def add(self, calls: NewCalls, span: Span, now: tuple[NativeTable, NativeTable]) -> NDArray[np.intp]:
        """Change the counts by new calls, all since the last time. Returns the tenants whose counts changed.

        ``now`` are the attempts of each key and the keys of each group in the window (`DistinctCounts.tables`).
        """
        many = self._calls_of_tenants(calls)
        if many > MOST_KEYS // 2:  # as after a stall: to count them again costs less
            self.drop(self._who)
        elif self.keys + many > MOST_KEYS:
            self.drop_largest(MOST_KEYS // 2)
        many = self._calls_of_tenants(calls)
        if not many:
            return np.empty(0, np.intp)
        changed = np.zeros(len(self._who), np.bool_)
        rows = RunningRows(self._row, self._level, self._later, self._counts, changed)
        keys = KeyTables(self._keys.with_room(many), now[0], self._keys.room)
        groups = KeyTables(self._groups.with_room(many * self._counted.by_group), now[1], self._groups.room)
        new_keys, new_groups = native_running.add(self._counted, calls, rows, span, keys, groups)
        self._keys.added(new_keys)
        self._groups.added(new_groups)
        return self._who[changed]

    def read(self, who: NDArray[np.intp]) -> tuple[Counts, Counts]:
        """The attempts of these tenants, who have counts, ``[k]``, and their counts ``[k, name]``."""
        rows = self._row[who]
        counts, level = self._counts[rows], self._level[rows]
        found = counts[:, self._columns]
        if level.any():
            levels = {place: int(level[place]) for place in np.flatnonzero(level).tolist()}
            scaled = estimates(dict(zip(self._names, found.T, strict=True)), levels)
            found = np.array([scaled[name] for name in self._names]).T
        return counts[:, native_running.ATTEMPTS], found

    def drop_largest(self, most: int) -> None:
        """Remove the counts of the tenants with the most keys, until no more than ``most`` keys and groups are kept.

        To remove many at once costs as much as to remove one.
        """
        keys = _most_of_each(self._keys.keys(), self._groups.keys(), len(self._row))[self._who]
        order = np.argsort(keys, kind="stable")
        dropped = self._who[order[np.searchsorted(np.cumsum(keys[order]), most, "right") :]]
        self.large.update(dropped.tolist())
        self.drop(dropped)

    def _calls_of_tenants(self, calls: NewCalls) -> int:
        return int(np.count_nonzero(self.of(calls.tenant)))


def _most_of_each(keys: KeyCounts, groups: KeyCounts, tenants: int) -> Counts:
    """The keys of each tenant, or its groups if these are more: ``[tenant]``."""
    most: Counts = np.maximum(*(np.bincount(one.tenant, minlength=tenants) for one in (keys, groups)))
    return most
