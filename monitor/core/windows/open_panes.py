"""Open panes. Their calls are summed up in batches, so that few are kept as single calls until a pane ends."""

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.columns import Calls, CountedCalls
from monitor.core.calls.fields import FieldLayout
from monitor.core.calls.new_calls import NewCalls
from monitor.core.windows.pane import Pane, merge, to_panes

_TOGETHER = 4_096  # calls that are concatenated and compacted together
_MOST_ROWS = 32_768  # calls of a pane to sum up at once: fewer cost more time per call, more cost more memory
_MANY_ROWS = _MOST_ROWS // 2  # an early evaluation sums up as many, because it may run in a thread
# New calls kept for early evaluation. Above the first, starting over from all open panes is cheaper. Above the second,
# no more are kept than are open: with a backlog, panes close before an early evaluation, and calls take memory.
_MOST_NEW_CALLS, _FEW_NEW_CALLS = 200_000, 20_000


@dataclass(slots=True)
class _Rows:
    """Consecutive rows of some calls."""

    calls: Calls
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def taken(self) -> Calls:
        """The calls at these rows."""
        return self.calls if len(self) == len(self.calls) else self.calls.take(slice(self.start, self.stop))


@dataclass(slots=True)
class _Pane:
    """One open pane: the sums of its first calls, and the other calls unsummed.

    ``first`` holds, by source, the offset of its first call in the pane and the source's clock before it.
    """

    sums: list[Pane] = field(default_factory=list)
    rows: list[CountedCalls] = field(default_factory=list)
    fresh: list[_Rows] = field(default_factory=list)
    count: int = 0  # all calls of the pane
    waiting: int = 0  # the calls that are not in the sums
    fresh_count: int = 0
    newest_ms: int = -1
    first: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, rows: _Rows, newest_ms: int, sources: Set[int]) -> None:
        """Add calls, whose sources are among ``sources``."""
        if not self.first.keys() >= sources:
            source = rows.calls.source[rows.start : rows.stop]
            for one in sorted(sources - self.first.keys()):
                if len(found := (source == one).nonzero()[0]):
                    row = rows.start + int(found[0])
                    self.first[one] = (int(rows.calls.offset[row]), int(rows.calls.clock_ms[row]))
        self.fresh.append(rows)
        self.newest_ms = max(self.newest_ms, newest_ms)
        self.count += len(rows)
        self.waiting += len(rows)
        self.fresh_count += len(rows)
        if self.fresh_count >= _TOGETHER:
            self.rows += _compacted(self.fresh)
            self.fresh, self.fresh_count = [], 0

    def take(self) -> tuple[list[CountedCalls], list[_Rows]]:
        """Remove and return the calls that are not in the sums, so that they can be added: compacted ones, then the
        later ones.
        """
        rows, fresh = self.rows, self.fresh
        self.rows, self.fresh, self.fresh_count, self.waiting = [], [], 0, 0
        return rows, fresh


def _compacted(parts: Iterable[_Rows]) -> Iterator[CountedCalls]:
    """The same calls in pieces of `_TOGETHER` or more, the last smaller."""
    some, count = list[_Rows](), 0
    for rows in parts:
        if some and some[-1].calls is rows.calls and some[-1].stop == rows.start:
            some[-1] = _Rows(rows.calls, some[-1].start, rows.stop)  # with thin traffic a batch has calls of many panes
        else:
            some.append(rows)
        count += len(rows)
        if count >= _TOGETHER:
            yield _counted(some)
            some, count = [], 0
    if some:
        yield _counted(some)


def _counted(parts: Iterable[_Rows]) -> CountedCalls:
    return CountedCalls.concat([rows.taken() for rows in parts]).counted()


@dataclass(frozen=True, slots=True)
class OpenPane:
    """The calls of an open pane, summed up, and its `_Pane.first`."""

    pane: Pane
    first: dict[int, tuple[int, int]]


class OpenPanes:
    """Open panes. A call costs about 190 bytes until it is summed up, then only the bytes of a new callee.

    Sums are kept in pieces, each at most half as large as the one before, so a call is merged once per doubling of
    their number. ``ruled`` is as in `to_panes`.
    """

    def __init__(self, pane_ms: int, layout: FieldLayout, ruled: Sequence[tuple[int, int]]) -> None:
        self.pane_ms, self.layout, self._ruled = pane_ms, layout, ruled
        self._panes: dict[int, _Pane] = {}
        self._numbers: list[int] = []  # of these panes, ascending: a backlog opens thousands
        self._count = 0
        self._new_calls: list[NewCalls] | None = None  # None: never requested, or too many
        self._new_call_count = 0
        self.summed = 0  # how often calls were added to the sums
        self.newest_ms = self.closed_newest_ms = -1  # the largest event time of all calls, and of the closed calls

    def __len__(self) -> int:
        return self._count

    def add(self, calls: Calls) -> None:
        """Add calls (at least one), which come after all earlier ones of their sources."""
        self._count += len(calls)
        self._add_new(calls)
        low, high = int(calls.source.min()), int(calls.source.max())
        sources = {low} if low == high else set(np.unique(calls.source).tolist())
        oldest_ms, newest_ms = int(calls.end_ms.min()), int(calls.end_ms.max())
        if oldest_ms // self.pane_ms == newest_ms // self.pane_ms:
            self._add(newest_ms // self.pane_ms, _Rows(calls, 0, len(calls)), newest_ms, sources)
            return
        number = calls.end_ms // self.pane_ms
        order = np.argsort(number, kind="stable")
        calls, number = calls.take(order), number[order]
        starts = [0, *((number[1:] != number[:-1]).nonzero()[0] + 1).tolist()]
        newest = np.maximum.reduceat(calls.end_ms, starts).tolist()
        numbers = number[starts].tolist()
        for one, start, stop, newest_ms in zip(numbers, starts, [*starts[1:], len(calls)], newest, strict=True):
            self._add(one, _Rows(calls, start, stop), newest_ms, sources)

    def _add(self, number: int, rows: _Rows, newest_ms: int, sources: Set[int]) -> None:
        if number not in self._panes:
            self._open(number, _Pane())
        pane = self._panes[number]
        pane.add(rows, newest_ms, sources)
        self.newest_ms = max(self.newest_ms, pane.newest_ms)
        if pane.waiting >= _MOST_ROWS:
            self._sum_up([number])

    def _open(self, number: int, pane: _Pane) -> None:
        self._panes[number] = pane
        insort(self._numbers, number)

    def _sum_up(self, numbers: Iterable[int]) -> None:
        """Add all calls of these panes to their sums, in one pass."""
        rows, fresh = list[CountedCalls](), list[_Rows]()
        for number in numbers:
            compacted, later = self._panes[number].take()
            rows += compacted
            fresh += later
        rows += _compacted(fresh)  # of all panes together: with thin traffic each has few
        if not rows:
            return
        self.summed += 1
        for piece in to_panes(CountedCalls.concat(rows), self.pane_ms, self.layout, self._ruled):
            sums = self._panes[piece.start_ms // self.pane_ms].sums
            sums.append(piece)
            while len(sums) > 1 and 2 * sums[-1].weight > sums[-2].weight:
                last = sums.pop()
                sums[-1] = self._merged([sums[-1], last])

    def _merged(self, pieces: Sequence[Pane]) -> Pane:
        """Merge pieces into the pane that closing all of their calls would give."""
        if len(pieces) == 1:
            return pieces[0]
        layout, ruled = self.layout, range(len(self._ruled))
        return merge(pieces, pieces[0].start_ms, layout.key_sets, ruled, layout.talk).bounded()

    def due(self, before_ms: int) -> list[Pane]:
        """Close and remove the panes that end at or before ``before_ms``, in order of time."""
        numbers = self._due(before_ms)
        if not numbers:
            return []
        self._sum_up(numbers)
        del self._numbers[: len(numbers)]
        panes = [self._panes.pop(number) for number in numbers]
        self.closed_newest_ms = max([self.closed_newest_ms, *(pane.newest_ms for pane in panes)])
        self._count -= sum(pane.count for pane in panes)
        return [self._merged(pane.sums) for pane in panes]

    def sum_up_due(self, before_ms: int) -> None:
        """Add all calls of the panes that `due` would close to their sums.

        Before the panes are closed one after the other: one pass over all of them costs a fraction of one for each.
        """
        self._sum_up(self._due(before_ms))

    def _due(self, before_ms: int) -> list[int]:
        return self._numbers[: bisect_right(self._numbers, before_ms // self.pane_ms - 1)]

    def due_calls(self, before_ms: int) -> int:
        """The number of calls that `due` would close."""
        return sum(self._panes[number].count for number in self._due(before_ms))

    @property
    def due_at_ms(self) -> int | None:
        """The end of the first open pane; None if there is none."""
        return (self._numbers[0] + 1) * self.pane_ms if self._numbers else None

    def since(self) -> dict[int, tuple[int, int]]:
        """For each source with open calls: the offset of the first of them, and the source's clock before it."""
        found: dict[int, tuple[int, int]] = {}
        for pane in self._panes.values():
            for source, place in pane.first.items():
                found[source] = min(found.get(source, place), place)
        return found

    # Early evaluation -------------------------------------------------------------------------------------------

    def _add_new(self, calls: Calls) -> None:
        if self._new_calls is not None:
            self._new_calls.append(NewCalls.of(calls))
            self._new_call_count += len(calls)
            if self._new_call_count > min(_MOST_NEW_CALLS, max(_FEW_NEW_CALLS, self._count)):
                self._new_calls = None

    @property
    def new_call_count(self) -> int:
        """The most calls that `new_calls` would return."""
        return self._count if self._new_calls is None else self._new_call_count

    def new_tenants(self) -> NDArray[np.int32] | None:
        """The tenant of each call that `new_calls` would return; None if it would return None."""
        if self._new_calls is None:
            return None
        return np.concatenate([np.empty(0, np.int32), *(calls.tenant for calls in self._new_calls)])

    def new_calls(self) -> list[NewCalls] | None:
        """The calls since the last request; None on the first request or if there are too many."""
        new_calls, self._new_calls, self._new_call_count = self._new_calls, [], 0
        return new_calls

    def waiting(self) -> list[tuple[int, int]]:
        """The number of each open pane, and how many of its calls, the newest, are not in its sums."""
        return [(number, pane.waiting) for number, pane in self._panes.items()]

    @property
    def many_wait(self) -> bool:
        """Whether a pane has so many calls to sum up that `add` will soon have to."""
        return any(pane.waiting >= _MANY_ROWS for pane in self._panes.values())

    def sum_up_many(self) -> None:
        """Add all calls of the panes with many to their sums."""
        self._sum_up([number for number, pane in self._panes.items() if pane.waiting >= _MANY_ROWS])

    def sum_up(self, numbers: Iterable[int] | None = None) -> None:
        """Add all calls of these panes, or of all, to their sums."""
        self._sum_up(list(self._panes) if numbers is None else numbers)

    def between(self, start_ms: int, end_ms: int) -> Iterator[Pane]:
        """The sums of the open panes that begin in ``[start_ms, end_ms)``, in pieces."""
        for number, pane in self._panes.items():
            if start_ms <= number * self.pane_ms < end_ms:
                yield from pane.sums

    # Handover ---------------------------------------------------------------------------------------------------

    def panes(self) -> list[OpenPane]:
        """The open panes, for `restore`."""
        self.sum_up()
        return [OpenPane(self._merged(pane.sums), pane.first) for pane in self._panes.values()]

    def restore(self, panes: Iterable[OpenPane], newest_ms: int) -> None:
        """Restore the result of `panes`, with its `newest_ms`. This object must be empty."""
        self.newest_ms = newest_ms
        for one in panes:
            # For panes other than the newest, the pane end is close enough: no window ends inside a pane.
            pane_newest_ms = min(newest_ms, one.pane.start_ms + self.pane_ms - 1)
            pane = _Pane([one.pane], count=one.pane.calls, newest_ms=pane_newest_ms, first=dict(one.first))
            self._open(one.pane.start_ms // self.pane_ms, pane)
            self._count += pane.count
