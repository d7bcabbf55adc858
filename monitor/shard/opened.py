"""Open panes: of the calls that have been read and are not sealed, the sums of each pane and who was called."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.shard.level import Level
from monitor.shard.pane import Pane
from monitor.shard.parties import KeyCounts


class OpenPanes:
    """The panes to come, added to piece by piece, so that no open call is looked at twice.

    Memory: 8 bytes a tenant, field and pane, and 17 bytes for each party that a piece names.
    """

    def __init__(self, fields: Iterable[int]) -> None:
        self._fields = sorted(fields)
        self._sums: dict[int, Level] = {}
        self._callees: dict[int, list[KeyCounts]] = {}
        self._callers: dict[int, list[KeyCounts]] = {}

    def add(self, piece: Pane, tenants: int) -> None:
        """More calls of the pane that begins when the piece does."""
        sums = self._sums.get(piece.start_ms)
        if sums is None:
            sums = self._sums[piece.start_ms] = Level(0, self._fields)
        sums.add(piece.tenant, piece.sums, tenants)
        for kept, keys in ((self._callees, piece.callees), (self._callers, piece.callers)):
            if len(keys):
                kept.setdefault(piece.start_ms, []).append(keys)

    def drop(self, before_ms: int) -> None:
        """Panes that began before ``before_ms`` are sealed."""
        for kept in (self._sums, self._callees, self._callers):
            for start_ms in [start_ms for start_ms in kept if start_ms < before_ms]:
                del kept[start_ms]

    def sums(self, start_ms: int, end_ms: int) -> Sequence[Level]:
        """The sums of the panes between two times."""
        return [sums for at_ms, sums in self._sums.items() if start_ms <= at_ms < end_ms]

    def callees(self, start_ms: int, end_ms: int, who: NDArray[np.bool_]) -> list[KeyCounts]:
        """The callees of these tenants between two times."""
        return self._of(self._callees, start_ms, end_ms, who)

    def callers(self, start_ms: int, end_ms: int, who: NDArray[np.bool_]) -> list[KeyCounts]:
        """The callers of these tenants between two times."""
        return self._of(self._callers, start_ms, end_ms, who)

    @staticmethod
    def _of(kept: dict[int, list[KeyCounts]], start_ms: int, end_ms: int, who: NDArray[np.bool_]) -> list[KeyCounts]:
        found = []
        for at_ms, pieces in kept.items():
            if start_ms <= at_ms < end_ms:
                pieces[:] = [KeyCounts.joined(pieces)]  # thousands of small pieces would be slow, time and again
                found.append(of_tenants(pieces[0], who))
        return found


def of_tenants(keys: KeyCounts, who: NDArray[np.bool_]) -> KeyCounts:
    """The keys of the tenants marked in ``who``; an owner beyond its end is none of them."""
    if not len(keys):
        return keys
    owner = keys.owner if int(keys.owner.max()) < len(who) else np.minimum(keys.owner, len(who))
    if owner is not keys.owner:
        who = np.append(who, False)
    return keys.select(np.flatnonzero(who[owner]))
