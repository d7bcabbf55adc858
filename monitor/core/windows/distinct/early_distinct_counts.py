"""Early distinct counts: distinct counts at a future end, as bounds for all tenants and exact on request.

An attempt that enters or leaves changes a count by at most one; that of sequential callees by at most two, and that of
numbers in blocks by at most ten. So an earlier count and the attempts that entered and left since then give bounds, and
few tenants need a recount.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.core.windows.distinct.count_names import IN_BLOCKS, PEAK, SEQUENTIAL, WIDEST, Name
from monitor.core.windows.distinct.distinct_counts import DistinctCounts
from monitor.core.windows.distinct.key_counts import EXACT_KEYS, KeyCounts
from monitor.core.windows.distinct.key_groups import BLOCK_LEAST
from monitor.core.windows.distinct.pane_distinct_counts import PaneDistinctCounts
from monitor.core.windows.tenant_columns import TenantColumns

Counts = NDArray[np.int64]

# The most by which one attempt changes a count, if not 1.
_MOST_STEP: Final[dict[Name, int]] = {SEQUENTIAL: 2, IN_BLOCKS: BLOCK_LEAST}
# The first columns: the attempts at the last count, those that left since then, whether counts are exact, and the
# repeats at the last count.
ATTEMPTS, LEFT, DOUBT, REPEATS = range(4)
_FIRST_NAME = 4
_UNKNOWN = -(1 << 60)  # the repeats before the first count: calls came before
SAMPLED: Final = 2
"""The value of the column `DOUBT` of a tenant whose keys are sampled, 1 if they may become so, else 0."""
SURELY_EXACT: Final = EXACT_KEYS // 2
"""A tenant with at most as many attempts that left, and as many that stay, is counted exactly."""


def most_step(name: Name) -> int:
    """The most by which one attempt changes a count."""
    return _MOST_STEP.get(name, 1)


def is_largest(name: Name) -> bool:
    """Whether the count is the largest of those of the tenant's keys, or groups of keys: it rises by repeats."""
    return name in (PEAK, WIDEST)


def least_attempts(name: Name) -> int:
    """The attempts that a key needs at least to be counted."""
    return name + 1 if isinstance(name, int) else 1


class EarlyDistinctCounts:
    """The counts for a window that begins at ``start_ms`` and ends after the sealed panes.

    They are in the columns of ``table`` from ``first`` on, as many as `width` says. `begin` fills them. ``opened``
    returns the keys of the open attempts of marked tenants, ``repeats`` the number of `Repeats` of tenants.
    """

    def __init__(
        self,
        distinct: DistinctCounts | PaneDistinctCounts,
        repeats: Callable[[NDArray[np.intp]], Counts],
        start_ms: int,
        opened: Callable[[NDArray[np.bool_]], KeyCounts],
        table: TenantColumns,
        first: int,
    ) -> None:
        self._distinct = distinct
        self._repeats = repeats
        self._start_ms = start_ms
        self._opened = opened
        self._table = table
        self.first = first
        self._columns = {name: first + _FIRST_NAME + place for place, name in enumerate(distinct.names)}

    @staticmethod
    def width(distinct: DistinctCounts | PaneDistinctCounts) -> int:
        """The number of columns for the counts of that window."""
        return _FIRST_NAME + len(distinct.names)

    def begin(self, kept: Counts, left: Counts) -> None:
        """Start with the current counts. ``kept`` are the sealed attempts of each tenant inside the window, ``left``
        those before it.
        """
        tenants = len(kept)
        values = self._table.values[:tenants]
        values[:, self.first + ATTEMPTS] = kept
        values[:, self.first + DOUBT] = kept + left > SURELY_EXACT
        if not isinstance(self._distinct, PaneDistinctCounts):  # else no sealed pane will be in the window
            values[:, self.first + LEFT] = left
            for name, column in self._columns.items():
                values[:, column] = self._distinct.read(name, tenants)
        values[[tenant for tenant in self._distinct.levels if tenant < tenants], self.first + DOUBT] = SAMPLED

    def keeps(self, name: Name) -> bool:
        """Whether the count is kept."""
        return name in self._columns

    def began(self, attempts: Counts) -> None:
        """Take note of all attempts of each tenant in the window. Their repeats are known if none of them is open."""
        values = self._table.values[: len(attempts)]
        none_open = attempts == values[:, self.first + ATTEMPTS]
        repeats = self._repeats(np.arange(len(attempts)))
        values[:, self.first + REPEATS] = np.where(none_open, repeats, _UNKNOWN)

    def exact_for(self, tenant: int) -> int:
        """The calls of a tenant for which its counts surely stay exact, so that they never become less."""
        values, first = self._table.values, self.first
        return 0 if values[tenant, first + DOUBT] else max(0, SURELY_EXACT - int(values[tenant, first + ATTEMPTS]))

    def column(self, name: Name) -> int:
        """The column of a count."""
        return self._columns[name]

    def between(self, name: Name, who: NDArray[np.intp], attempts: Counts) -> tuple[Counts, Counts]:
        """The lower and upper bounds of a count of these tenants, given all their attempts ``[k]``."""
        values, first = self._table.values, self.first
        left, came = values[who, first + LEFT], attempts - values[who, first + ATTEMPTS]
        sampled = values[who, first + DOUBT] == SAMPLED
        rise = most_step(name) * came
        if is_largest(name):
            rise = np.minimum(rise, 1 + self._repeats(who) - values[who, first + REPEATS])
        lost = most_step(name) * left
        return bounds(values[who, self._columns[name]], rise, lost, attempts, least_attempts(name), sampled)

    def count(self, who: NDArray[np.intp], attempts: Counts) -> None:
        """Count the keys of these tenants unless they are up to date, given all their attempts ``[k]``."""
        values, first = self._table.values, self.first
        stale = (values[who, first + LEFT] > 0) | (values[who, first + ATTEMPTS] != attempts)
        who, attempts = who[stale], attempts[stale]
        if not len(who):
            return
        mine = np.zeros(len(values), np.bool_)
        mine[who] = True
        came = self._opened(mine)
        counted = self._distinct.ahead(who, came, self._start_ms)
        for name, column in self._columns.items():
            values[who, column] = counted[name]
        values[who, first + ATTEMPTS], values[who, first + LEFT] = attempts, 0
        values[who, first + REPEATS] = self._repeats(who)

    def read(self, name: Name, tenants: int) -> Counts:
        """As `DistinctCounts.read`. It is exact only for the tenants counted last."""
        return self._table.column(self._columns[name], tenants)


def bounds(
    count: Counts,
    rise: Counts,
    lost: Counts,
    attempts: Counts,
    attempts_each: int | Counts,
    sampled: NDArray[np.bool_],
) -> tuple[Counts, Counts]:
    """The lower and upper bounds of a count, given the most by which it can have risen and become less since it was
    counted, all attempts, and the attempts that a key needs to be counted. They may have any one shape.
    """
    least: Counts = np.maximum(count - lost, 0)
    most: Counts = np.minimum(np.minimum(count + rise, attempts), attempts // attempts_each)
    unknown = sampled & ((lost > 0) | (rise > 0))
    if unknown.any():
        least, most = np.where(unknown, 0, least), np.where(unknown, attempts, most)
    return least, most
