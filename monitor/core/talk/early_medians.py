"""Early medians: the median talk times at a future end, computed on request."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from monitor.core.talk.running_medians import RunningMedians
from monitor.core.talk.talk_counts import TalkCounts


class EarlyMedians:
    """The medians for a window that begins at ``start_ms`` and ends after the closed panes.

    ``opened`` returns the counts of the calls that are not in ``running`` yet, of tenants in ascending order. A recount
    depends on the counts of that tenant alone: at most 624 per pane. ``edges`` are numbers of buckets: `count` tells
    how many calls are in the buckets below each. Memory: 16 bytes per tenant.
    """

    def __init__(
        self,
        running: RunningMedians,
        start_ms: int,
        opened: Callable[[NDArray[np.intp]], TalkCounts],
        edges: NDArray[np.intp],
        tenants: int,
    ) -> None:
        self._running = running
        self._start_ms = start_ms
        self._opened = opened
        self._edges = edges
        self._median_ms = np.zeros(tenants, np.int64)
        self._answered = np.zeros(tenants, np.int64)  # the answered calls at the last count

    def count(self, who: NDArray[np.intp], answered: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Compute the medians of these tenants, ascending, unless they are up to date.

        ``answered`` are all their answered calls ``[k]``. Calls only ever come to a future window, so the same number
        means the same calls. Returns the tenants whose medians were not up to date, ``[n]``, and how many of their
        calls are in the buckets below each edge, ``[n, edge]``.
        """
        stale = self._answered[who] != answered
        who, answered = who[stale], answered[stale]
        if not len(who):
            return who, np.empty((0, len(self._edges)), np.int64)
        self._median_ms[who], below = self._running.medians_ahead(who, self._opened(who), self._start_ms, self._edges)
        self._answered[who] = answered
        return who, below

    def reach(self, tenants: int) -> None:
        """Grow to at least ``tenants`` tenants."""
        have = len(self._answered)
        if tenants > have:  # by more than asked for: new tenants come one at a time
            more = max(tenants, have + have // 8) - have
            self._median_ms, self._answered = np.pad(self._median_ms, (0, more)), np.pad(self._answered, (0, more))

    def medians(self, tenants: int) -> NDArray[np.int64]:
        """As `RunningMedians.medians`. Correct only for the tenants counted last."""
        return self._median_ms[:tenants]
