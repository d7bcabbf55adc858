"""Early distinct counts: distinct counts at a future end, as bounds for all tenants and exact on request.

An attempt that enters or leaves changes a count by at most one; that of sequential callees by at most two, and that of
numbers in blocks by at most ten. So an earlier count and the attempts that entered and left since then give bounds, and
few tenants need a recount.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.core.windows.distinct.count_names import IN_BLOCKS, SEQUENTIAL, Name
from monitor.core.windows.distinct.distinct_counts import DistinctCounts
from monitor.core.windows.distinct.key_counts import KeyCounts
from monitor.core.windows.distinct.key_groups import BLOCK_LEAST
from monitor.core.windows.distinct.pane_distinct_counts import PaneDistinctCounts

Counts = NDArray[np.int64]
# The most by which one attempt changes a count, if not 1.
_MOST_STEP: Final[dict[Name, int]] = {SEQUENTIAL: 2, IN_BLOCKS: BLOCK_LEAST}


class EarlyDistinctCounts:
    """The counts for a window that begins at ``start_ms`` and ends after the sealed panes.

    ``kept`` are the sealed attempts of each tenant inside that window, ``left`` those before it. ``opened`` returns the
    keys of the open attempts of marked tenants. Memory: 8 bytes per tenant and count.
    """

    def __init__(
        self,
        distinct: DistinctCounts | PaneDistinctCounts,
        names: tuple[Name, ...],
        start_ms: int,
        kept: Counts,
        left: Counts,
        opened: Callable[[NDArray[np.bool_]], KeyCounts],
    ) -> None:
        self._distinct = distinct
        self._start_ms = start_ms
        self._opened = opened
        self._attempts, self._left = kept.copy(), left.copy()  # attempts at the last count, and those that left since
        self._counts: dict[Name, Counts] = {}
        for name in names:
            if isinstance(distinct, PaneDistinctCounts):  # no sealed pane will be in the window
                self._counts[name] = np.zeros(len(kept), np.int64)
            else:
                self._counts[name] = distinct.read(name, len(kept)).copy()
        self._left *= not isinstance(distinct, PaneDistinctCounts)
        self._sampled = np.zeros(len(kept), np.bool_)
        self._sampled[[tenant for tenant in distinct.levels if tenant < len(kept)]] = True

    def between(self, name: Name, who: NDArray[np.intp], attempts: Counts) -> tuple[Counts, Counts]:
        """The lower and upper bounds of a count of these tenants, given all their attempts ``[k]``."""
        count, left, came = self._counts[name][who], self._left[who], attempts - self._attempts[who]
        by = _MOST_STEP.get(name, 1)
        least, most = np.maximum(count - by * left, 0), np.minimum(count + by * came, attempts)
        if isinstance(name, int):
            most = np.minimum(most, attempts // (name + 1))
        unknown = self._sampled[who] & ((left > 0) | (came > 0))
        if unknown.any():
            least, most = np.where(unknown, 0, least), np.where(unknown, attempts, most)
        return least, most

    def count(self, who: NDArray[np.intp], attempts: Counts) -> None:
        """Count the keys of these tenants unless they are up to date, given all their attempts ``[k]``."""
        stale = (self._left[who] > 0) | (self._attempts[who] != attempts)
        who, attempts = who[stale], attempts[stale]
        if not len(who):
            return
        mine = np.zeros(len(self._attempts), np.bool_)
        mine[who] = True
        came = self._opened(mine)
        counted = self._distinct.ahead(who, came, self._start_ms)
        for name, counts in self._counts.items():
            counts[who] = counted[name]
        self._attempts[who], self._left[who] = attempts, 0

    def reach(self, tenants: int) -> None:
        """Grow to ``tenants`` tenants."""
        more = tenants - len(self._attempts)
        if more > 0:
            self._attempts, self._left = np.pad(self._attempts, (0, more)), np.pad(self._left, (0, more))
            self._sampled = np.pad(self._sampled, (0, more))
            self._counts = {name: np.pad(counts, (0, more)) for name, counts in self._counts.items()}

    def read(self, name: Name, tenants: int) -> Counts:
        """As `DistinctCounts.read`. It is exact only for the tenants counted last."""
        return self._counts[name][:tenants]
