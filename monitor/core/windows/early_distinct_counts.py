"""Parties ahead: what a tally will count at an end to come; bounds for everybody, exact for those who are asked about.

An attempt that comes or goes changes a count of parties by one at most, that of callees which follow another by two.
So what was counted once, and how many attempts came and went since, says between what a count lies; hardly anybody's
parties have to be counted again.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.core.windows.distinct_counts import DistinctCounts
from monitor.core.windows.key_counts import KeyCounts
from monitor.core.windows.pane_distinct_counts import PaneDistinctCounts

Counts = NDArray[np.int64]
Name = str | int  # a count of `Counted`, or a callee limit
PEAK: Final = "peak"


class EarlyDistinctCounts:
    """The counts of a tally's tenants for a window that begins at ``start_ms`` and ends later than what is sealed.

    ``kept`` are each tenant's sealed attempts that will not have left by then, ``left`` those that will. ``opened``
    gives the parties of the open attempts of the tenants that are marked. Memory: 8 bytes a tenant and count.
    """

    def __init__(
        self,
        tally: DistinctCounts | PaneDistinctCounts,
        names: tuple[Name, ...],
        start_ms: int,
        kept: Counts,
        left: Counts,
        opened: Callable[[NDArray[np.bool_]], KeyCounts],
    ) -> None:
        self._tally = tally
        self._start_ms = start_ms
        self._opened = opened
        self._attempts, self._left = kept.copy(), left.copy()  # as they were when a tenant was counted, and left since
        self._counts: dict[Name, Counts] = {}
        for name in names:
            if isinstance(tally, PaneDistinctCounts):  # nothing that is sealed will be there
                self._counts[name] = np.zeros(len(kept), np.int64)
            else:
                self._counts[name] = _read(tally, name, len(kept)).copy()
        self._left *= not isinstance(tally, PaneDistinctCounts)
        self._sampled = np.zeros(len(kept), np.bool_)
        self._sampled[[tenant for tenant in tally.levels if tenant < len(kept)]] = True

    def between(self, name: Name, who: NDArray[np.intp], attempts: Counts) -> tuple[Counts, Counts]:
        """The least and the most that a count of these tenants can be, given all their attempts ``[k]``."""
        count, left, came = self._counts[name][who], self._left[who], attempts - self._attempts[who]
        by = 2 if name == "sequential" else 1
        least, most = np.maximum(count - by * left, 0), np.minimum(count + by * came, attempts)
        if isinstance(name, int):
            most = np.minimum(most, attempts // (name + 1))
        unknown = self._sampled[who] & ((left > 0) | (came > 0))
        if unknown.any():
            least, most = np.where(unknown, 0, least), np.where(unknown, attempts, most)
        return least, most

    def count(self, who: NDArray[np.intp], attempts: Counts) -> None:
        """Count these tenants' parties, where they are not known already, given all their attempts ``[k]``."""
        stale = (self._left[who] > 0) | (self._attempts[who] != attempts)
        who, attempts = who[stale], attempts[stale]
        if not len(who):
            return
        mine = np.zeros(len(self._attempts), np.bool_)
        mine[who] = True
        came = self._opened(mine)
        if PEAK in self._counts:
            self._counts[PEAK][who] = self._tally.peak_ahead(who, came, self._start_ms)
        if len(self._counts) > (PEAK in self._counts):
            counted = self._tally.ahead(who, came, self._start_ms)
            for name, counts in self._counts.items():
                if name != PEAK:
                    counts[who] = counted.over[name] if isinstance(name, int) else getattr(counted, name)
        self._attempts[who], self._left[who] = attempts, 0

    def reach(self, tenants: int) -> None:
        """So many tenants are known by now."""
        more = tenants - len(self._attempts)
        if more > 0:
            self._attempts, self._left = np.pad(self._attempts, (0, more)), np.pad(self._left, (0, more))
            self._sampled = np.pad(self._sampled, (0, more))
            self._counts = {name: np.pad(counts, (0, more)) for name, counts in self._counts.items()}

    def distinct(self, tenants: int) -> Counts:
        """As `DistinctCounts.distinct`; like the following right for those who were counted last."""
        return self._counts["distinct"][:tenants]

    def numbers(self, tenants: int) -> Counts:
        """As `DistinctCounts.numbers`."""
        return self._counts["numbers"][:tenants]

    def sequential(self, tenants: int) -> Counts:
        """As `DistinctCounts.sequential`."""
        return self._counts["sequential"][:tenants]

    def over(self, limit: int, tenants: int) -> Counts:
        """As `DistinctCounts.over`."""
        return self._counts[limit][:tenants]

    def peak(self, tenants: int) -> Counts:
        """As `DistinctCounts.peak`."""
        return self._counts[PEAK][:tenants]


def _read(tally: DistinctCounts | PaneDistinctCounts, name: Name, tenants: int) -> Counts:
    if isinstance(name, int):
        return tally.over(name, tenants)
    counts: Counts = getattr(tally, name)(tenants)
    return counts
