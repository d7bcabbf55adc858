"""Unsealed: the calls of open panes, kept as densely as they can be had until their pane is sealed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from monitor.shard.columns import Calls, Counted

_TOGETHER = 4_096


@dataclass(slots=True)
class _Pane:
    """One open pane. ``first``: of each source's first call in it, the offset and the source's clock before it."""

    pieces: list[Counted] = field(default_factory=list)
    fresh: list[Calls] = field(default_factory=list)
    fresh_rows: int = 0
    first: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, calls: Calls) -> None:
        low, high = int(calls.source.min()), int(calls.source.max())
        for source in [low] if low == high else np.unique(calls.source).tolist():
            if source not in self.first:
                row = int(np.argmax(calls.source == source))
                self.first[source] = (int(calls.offset[row]), int(calls.clock_ms[row]))
        self.fresh.append(calls)
        self.fresh_rows += len(calls)
        if self.fresh_rows >= _TOGETHER:
            self.settle()

    def settle(self) -> None:
        """Keep what came last like all else."""
        if self.fresh:
            self.pieces.append(Calls.concat(self.fresh).counted())
            self.fresh, self.fresh_rows = [], 0


@dataclass(frozen=True, slots=True)
class OpenPane:
    """The calls of one open pane, and of each source's first call in it the offset and the source's clock before it."""

    number: int
    calls: Counted
    first: dict[int, tuple[int, int]]


class Unsealed:
    """Open calls by pane, joined to pieces of a few thousand. A call costs about 50 bytes and those of its id."""

    def __init__(self, pane_ms: int) -> None:
        self._pane_ms = pane_ms
        self._panes: dict[int, _Pane] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, calls: Calls) -> None:
        """More calls (at least one), which came after all others of their sources."""
        self._count += len(calls)
        number = calls.end_ms // self._pane_ms
        if int(number.min()) == int(number.max()):
            self._panes.setdefault(int(number[0]), _Pane()).add(calls)
            return
        order = np.argsort(number, kind="stable")
        calls, number = calls.take(order), number[order]
        edges = (np.flatnonzero(number[1:] != number[:-1]) + 1).tolist()
        for start, stop in pairwise([0, *edges, len(calls)]):
            self._panes.setdefault(int(number[start]), _Pane()).add(calls.take(slice(start, stop)))

    def ripe(self, before_ms: int) -> Counted | None:
        """Hand over the calls of the panes that end at or before ``before_ms``; None when there are none."""
        pieces = []
        for number in sorted(number for number in self._panes if (number + 1) * self._pane_ms <= before_ms):
            pane = self._panes.pop(number)
            pane.settle()
            pieces += pane.pieces
        if not pieces:
            return None
        calls = Counted.concat(pieces)
        self._count -= len(calls)
        return calls

    def panes(self) -> list[OpenPane]:
        """The open panes, from which `restore` makes them again."""
        for pane in self._panes.values():
            pane.settle()
        return [OpenPane(n, Counted.concat(pane.pieces), pane.first) for n, pane in self._panes.items()]

    def restore(self, panes: Iterable[OpenPane]) -> None:
        """Become what `panes` gave; it must be empty."""
        for pane in panes:
            self._panes[pane.number] = _Pane(pieces=[pane.calls], first=dict(pane.first))
            self._count += len(pane.calls)

    def pieces(self) -> list[Counted]:
        """All open calls."""
        return [piece for pane in self._panes.values() for piece in (*pane.pieces, *pane.fresh)]

    def ripe_calls(self, before_ms: int) -> int:
        """How many calls `ripe` would hand over."""
        ripe = [pane for number, pane in self._panes.items() if (number + 1) * self._pane_ms <= before_ms]
        return sum(len(piece) for pane in ripe for piece in (*pane.pieces, *pane.fresh))

    @property
    def ripe_at_ms(self) -> int | None:
        """When the first open pane ends; None when there is none."""
        return (min(self._panes) + 1) * self._pane_ms if self._panes else None

    def since(self) -> dict[int, tuple[int, int]]:
        """For each source with open calls, of the first of them: its offset, and the source's clock before it."""
        found: dict[int, tuple[int, int]] = {}
        for pane in self._panes.values():
            for source, place in pane.first.items():
                found[source] = min(found.get(source, place), place)
        return found
