"""Open panes: of the calls that have been read and are not sealed, the sums of each pane and who was called."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from monitor.shard.pane import Pane
from monitor.shard.parties import KeyCounts
from monitor.shard.tenantsums import TenantSums


class OpenPanes:
    """The panes to come, added to piece by piece, so that no open call is looked at twice.

    Memory: 8 bytes a tenant, field and pane, and 17 bytes for each party that a piece names.
    """

    def __init__(self, fields: Iterable[int]) -> None:
        self._fields = sorted(fields)
        self._sums: dict[int, TenantSums] = {}
        self.callees: dict[int, list[KeyCounts]] = {}
        self.callers: dict[int, list[KeyCounts]] = {}

    def add(self, piece: Pane, tenants: int) -> None:
        """More calls of the pane that begins when the piece does."""
        sums = self._sums.get(piece.start_ms)
        if sums is None:
            sums = self._sums[piece.start_ms] = TenantSums(self._fields)
        sums.reach(tenants)
        sums.add(piece.tenant, sums.pick(piece.sums))
        for kept, keys in ((self.callees, piece.callees), (self.callers, piece.callers)):
            if len(keys):
                kept.setdefault(piece.start_ms, []).append(keys)

    def drop(self, before_ms: int) -> None:
        """Panes that began before ``before_ms`` are sealed."""
        for kept in (self._sums, self.callees, self.callers):
            for start_ms in [start_ms for start_ms in kept if start_ms < before_ms]:
                del kept[start_ms]

    def sums(self, start_ms: int, end_ms: int) -> Sequence[TenantSums]:
        """The sums of the panes between two times."""
        return [sums for at_ms, sums in self._sums.items() if start_ms <= at_ms < end_ms]

    def between(
        self, which: Literal["callees", "callers"], start_ms: int, end_ms: int, sealed: Sequence[Pane]
    ) -> Callable[[NDArray[np.bool_]], KeyCounts]:
        """What tells the parties of the tenants marked between two times, each key once.

        ``sealed`` are panes, more and fewer in time, that are no longer open and in no window yet.
        """
        kept: dict[int, list[KeyCounts]] = getattr(self, which)

        def parties(who: NDArray[np.bool_]) -> KeyCounts:
            found = []
            for at_ms, pieces in kept.items():
                if start_ms <= at_ms < end_ms:
                    pieces[:] = [KeyCounts.joined(pieces)]  # thousands of small pieces would be slow, time and again
                    found.append(pieces[0].of_tenants(who))
            found += [getattr(pane, which).of_tenants(who) for pane in sealed if start_ms <= pane.start_ms < end_ms]
            return KeyCounts.joined(found).distinct()

        return parties
