"""Early distinct counts: distinct counts at a future end, as bounds for all tenants and exact on request.

An attempt that enters or leaves changes a count by at most one; that of sequential callees by at most two, and that of
numbers in blocks by at most ten. Most attempts make no block: it takes as many more as the largest group lacks that is
none yet. So an earlier count and the attempts that entered and left since then give bounds, and few tenants need a
recount. Those that often need one get running counts, which each of their calls changes.

A sample is counted like all keys, and the count is multiplied by 2^level, so an attempt changes it by as much more. If
the level of a tenant changes, nothing is known of its count before a recount.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.new_calls import NewCalls
from monitor.core.windows.distinct import native_running
from monitor.core.windows.distinct.count_names import IN_BLOCKS, PEAK, SEQUENTIAL, TOP, UNFINISHED, WIDEST, Name
from monitor.core.windows.distinct.distinct_counts import DistinctCounts
from monitor.core.windows.distinct.key_counts import KeyCounts, levels_of
from monitor.core.windows.distinct.key_groups import BLOCK_LEAST, SURE_FROM
from monitor.core.windows.distinct.key_uses import SETS, KeyUses
from monitor.core.windows.distinct.native_running import Span
from monitor.core.windows.distinct.pane_distinct_counts import PaneDistinctCounts, estimates
from monitor.core.windows.distinct.running_counts import RunningCounts
from monitor.core.windows.tenant_columns import TenantColumns
from monitor.policy.metrics import KeySet

Counts = NDArray[np.int64]

# The most by which one attempt changes a count, if not 1.
_MOST_STEP: Final[dict[Name, int]] = {SEQUENTIAL: 2, IN_BLOCKS: BLOCK_LEAST}
# The first columns: the attempts at the last count, those that left since then, by how much more an attempt changes a
# count (`spread`, less 1), and the uses of keys before the last count (`KeyUses`). A new tenant has 0 in all of them.
ATTEMPTS, LEFT, EXTRA, USES = range(4)
_FIRST_NAME = 4
_NOT_KNOWN = 1 << 40  # the upper bound of a largest count whose sampling has changed: no window has as many calls
CHANGED: Final = 0
"""What `spread` is for a tenant whose sampling changed since the last count."""
# Tenants with so many attempts that are counted again within so many early evaluations with new calls, 10 s or more,
# get running counts. To count fewer again takes 0.2 ms at most.
_MANY, _OFTEN = 1_000, 40
_MOST_ESTIMATE = 2  # times all attempts: no estimate from thousands of keys is as large


def most_step(name: Name) -> int:
    """The most by which one attempt changes a count, if keys are not sampled."""
    return _MOST_STEP.get(name, 1)


def is_largest(name: Name) -> bool:
    """Whether the count is that of one key, or group of keys, with the largest: it rises by the uses of one key."""
    return name in (PEAK, WIDEST)


def largest_after(name: Name, count: Counts, used: Counts, spread: Counts) -> Counts:
    """The upper bound of a largest count, after some uses of one key."""
    after: Counts = count + used
    if name == WIDEST and (spread != 1).any():  # small samples are not scaled
        after = np.where((spread != 1) & (after > SURE_FROM), after * spread, after)
    return np.where(spread == CHANGED, _NOT_KNOWN, after)


def keys_to_finish(unfinished: Counts, left: Counts, spread: Counts) -> Counts:
    """The attempts, at least, that make a block of a group that is none yet: then ten more numbers are in blocks.

    ``unfinished`` is the count `UNFINISHED`. It is not known while attempts leave, which may make a block one no more,
    nor of a sample.
    """
    known = (left == 0) & (spread == 1)
    return np.where(known, BLOCK_LEAST - np.clip(unfinished, 0, BLOCK_LEAST - 1), 1)


def rise_of_blocks(came: Counts, to_finish: Counts) -> Counts:
    """The most by which attempts raise the numbers in blocks: those that finish none raise them by one each."""
    return BLOCK_LEAST * np.maximum(came, 0) // to_finish


def least_attempts(name: Name) -> int:
    """The attempts that a key needs at least to be counted."""
    return name + 1 if isinstance(name, int) else 1


def spread(level: int) -> int:
    """By how much more an attempt changes a count of keys that are sampled at a level.

    Twice as much as by the level alone, because some counts of samples are corrected (`make_up`).
    """
    return 2 << level if level else 1


def spread_ahead(spread: Counts) -> Counts:
    """The same for the attempts that are still to come."""
    return np.where(spread == CHANGED, 2 * _MOST_ESTIMATE, spread)


class EarlyDistinctCounts:
    """The counts for a window that begins at ``start_ms`` and ends after the closed panes.

    They are in the columns of ``table`` from ``first`` on, as many as `width` says. `begin` fills them. ``opened``
    returns pieces with the keys of all open attempts of marked tenants; others may be among them. ``uses`` are those of
    the keys of the set ``which``.
    """

    def __init__(
        self,
        which: KeySet,
        distinct: DistinctCounts | PaneDistinctCounts,
        uses: KeyUses,
        start_ms: int,
        opened: Callable[[NDArray[np.bool_]], Sequence[KeyCounts]],
        table: TenantColumns,
        first: int,
    ) -> None:
        self._distinct = distinct
        self._which = which
        self._uses = uses
        self._start_ms = start_ms
        self._opened = opened
        self._table = table
        self.first = first
        self._columns = {name: first + _FIRST_NAME + place for place, name in enumerate(distinct.names)}
        self._running: RunningCounts | None = None  # none before a tenant is counted again
        self._entered_ms = 0  # calls before it were in the window at the last `take`
        self._taken = 0  # how often calls were taken
        self._counted_at: dict[int, int] = {}  # tenant: ``_taken`` at its last count, if that is not long ago
        # The sampling levels of tenants in the window and in what came since, if there are any.
        self._sampled: dict[int, tuple[int, int]] = {}

    @staticmethod
    def width(distinct: DistinctCounts | PaneDistinctCounts) -> int:
        """The number of columns for the counts of that window."""
        return _FIRST_NAME + len(distinct.names)

    def begin(self, kept: Counts, left: Counts) -> None:
        """Start with the current counts. ``kept`` are the closed attempts of each tenant inside the window, ``left``
        those before it.
        """
        tenants = len(kept)
        values = self._table.values[:tenants]
        values[:, self.first + ATTEMPTS] = kept
        if not isinstance(self._distinct, PaneDistinctCounts):  # else no closed pane will be in the window
            values[:, self.first + LEFT] = left
            for name, column in self._columns.items():
                values[:, column] = self._distinct.read(name, tenants)
            self._sampled = self._sampling({})
            for tenant, levels in self._sampled.items():
                values[tenant, self.first + EXTRA] = spread(max(levels)) - 1

    def keeps(self, name: Name) -> bool:
        """Whether the count is kept."""
        return name in self._columns

    def began(self, attempts: Counts) -> None:
        """Record the attempts of each tenant in the window: no key had more uses in the open panes than these have."""
        values = self._table.values[: len(attempts)]
        opened = attempts - values[:, self.first + ATTEMPTS]
        before = self._uses.before[SETS.index(self._which), : len(attempts)] if self._which in SETS else 0
        values[:, self.first + USES] = before - opened

    def sample(self, opened: Mapping[int, int]) -> set[int]:
        """Record the levels of the tenants whose keys are sampled in the panes that are not yet in the window.

        Returns the tenants whose sampling is not that of their last count.
        """
        before, self._sampled = self._sampled, self._sampling(opened)
        changed = {tenant for tenant, _ in before.items() ^ self._sampled.items()}
        if changed:
            self._table.reach(max(changed) + 1)
            self._table.values[list(changed), self.first + EXTRA] = CHANGED - 1
        return changed

    def _sampling(self, opened: Mapping[int, int]) -> dict[int, tuple[int, int]]:
        inside = {} if isinstance(self._distinct, PaneDistinctCounts) else self._distinct.levels
        return {tenant: (inside.get(tenant, 0), opened.get(tenant, 0)) for tenant in inside.keys() | opened.keys()}

    def spread(self, tenant: int) -> int:
        """By how much more an attempt of the tenant changes its counts; only if it was counted."""
        return int(self._table.values[tenant, self.first + EXTRA]) + 1

    def column(self, name: Name) -> int:
        """The column of a count."""
        return self._columns[name]

    def between(self, name: Name, who: NDArray[np.intp], attempts: Counts) -> tuple[Counts, Counts]:
        """The lower and upper bounds of a count of these tenants, given all their attempts ``[k]``."""
        values, first = self._table.values, self.first
        left, came = values[who, first + LEFT], attempts - values[who, first + ATTEMPTS]
        spread = values[who, first + EXTRA] + 1
        count, step = values[who, self._columns[name]], most_step(name)
        rise = step * came
        if name == IN_BLOCKS:
            rise = rise_of_blocks(came, keys_to_finish(values[who, self._columns[UNFINISHED]], left, spread))
        least, most = bounds(count, rise, step * left, attempts, least_attempts(name), spread)
        if is_largest(name):
            used = self._uses.count(who)[SETS.index(self._which)] - values[who, first + USES]
            most = np.minimum(most, largest_after(name, count, used, spread))
        return least, most

    def count(self, who: NDArray[np.intp], attempts: Counts) -> None:
        """Count the keys of these tenants unless they are up to date, given all their attempts ``[k]``."""
        values, first = self._table.values, self.first
        stale = (values[who, first + LEFT] > 0) | (values[who, first + ATTEMPTS] != attempts)
        stale |= values[who, first + EXTRA] + 1 == CHANGED
        who, attempts = who[stale], attempts[stale]
        if not len(who):
            return
        if self._running is not None:
            self._running.drop(who[self._running.of(who)])  # their sampling has changed, or else they were up to date
        mine = np.zeros(len(values), np.bool_)
        mine[who] = True
        coming = self._opened(mine)
        again = self._counted_again(who, attempts)
        if again.any():
            ahead = self._distinct.keys_ahead(who[again], coming, self._start_ms)
            self._set(who[again], estimates(ahead.counts, ahead.levels))
            if self._running is None:
                self._running = RunningCounts(self._which, self._distinct.names, self._distinct.by_group)
            self._running.keep(who[again], ahead, attempts[again], len(values))
        if not again.all():
            self._set(who[~again], self._distinct.ahead(who[~again], coming, self._start_ms))
        values[who, first + ATTEMPTS], values[who, first + LEFT] = attempts, 0
        values[who, first + EXTRA] = 0
        if any(map(is_largest, self._columns)):
            values[who, first + USES] = self._uses.restart(self._which, who)
        sampled = self._sampling(levels_of(coming))
        for tenant in sampled.keys() & set(who.tolist()) if sampled else ():
            values[tenant, first + EXTRA] = spread(max(sampled[tenant])) - 1
            self._sampled[tenant] = sampled[tenant]

    def _counted_again(self, who: NDArray[np.intp], attempts: Counts) -> NDArray[np.bool_]:
        """Which of these tenants, given all their attempts, are counted again, so that they get running counts."""
        again = np.zeros(len(who), np.bool_)
        many = np.flatnonzero(attempts >= _MANY)
        # Else panes before the start may still enter, and leave again until the end: their keys would be missed.
        everything_entered = self._entered_ms >= self._start_ms or isinstance(self._distinct, PaneDistinctCounts)
        if not (len(many) and native_running.enabled and everything_entered) or TOP in self._columns:
            return again
        large = set() if self._running is None else self._running.large
        for place, tenant in zip(many.tolist(), who[many].tolist(), strict=True):
            often = self._taken - self._counted_at.get(tenant, -_OFTEN) < _OFTEN
            again[place] = often and tenant not in large
            self._counted_at[tenant] = self._taken
        return again

    def _set(self, who: NDArray[np.intp], counts: Mapping[Name, Counts]) -> None:
        for name, column in self._columns.items():
            self._table.values[who, column] = counts[name]

    def take(self, calls: NewCalls, end_ms: int, entered_ms: int) -> None:
        """Count new calls of the tenants with running counts.

        The window ends at ``end_ms``; calls before ``entered_ms`` are in ``distinct`` already. The column `USES` stays,
        which is an upper bound: a key of before may have been used since.
        """
        self._entered_ms = entered_ms
        self._taken += 1
        if self._taken % _OFTEN == 0:
            since = self._taken - _OFTEN
            self._counted_at = {tenant: taken for tenant, taken in self._counted_at.items() if taken > since}
        if self._running is not None:
            who = self._running.add(calls, Span(self._start_ms, end_ms, entered_ms), self._distinct.tables)
            if len(who):
                attempts, counts = self._running.read(who)
                values, first = self._table.values, self.first + _FIRST_NAME
                values[who, self.first + ATTEMPTS] = attempts
                values[who, first : first + len(self._columns)] = counts

    @property
    def running_keys(self) -> int:
        """The number of keys that are kept for running counts."""
        return 0 if self._running is None else self._running.keys

    def halve_running(self) -> None:
        """Remove the running counts with the most keys, until half of the keys are left."""
        if self._running is not None:
            self._running.drop_largest(self._running.keys // 2)

    def read(self, name: Name, tenants: int) -> Counts:
        """As `DistinctCounts.read`. It is exact only for the tenants counted last."""
        return self._table.column(self._columns[name], tenants)


def bounds(
    count: Counts,
    rise: Counts,
    lost: Counts,
    attempts: Counts,
    attempts_each: int | Counts,
    spread: Counts,
) -> tuple[Counts, Counts]:
    """The lower and upper bounds of a count, given the most by which exact counting can have raised and lowered it, all
    attempts, the attempts that a key needs to be counted, and its `spread`. They may have any one shape.
    """
    least: Counts = np.maximum(count - lost, 0)
    most: Counts = np.minimum(np.minimum(count + rise, attempts), attempts // attempts_each)
    if (spread != 1).any():
        known = spread != CHANGED
        least = np.where(known, np.maximum(count - spread * lost, 0), 0)
        sampled_most = np.where(known, count + spread * rise, _MOST_ESTIMATE * attempts)
        most = np.where(spread == 1, most, sampled_most)
    return least, most
