"""Recent calls: calls that are not summed up yet, and those that early windows do not count yet.

Most tenants are far from every threshold, and need not be evaluated at each call. Their calls wait here, because to
count few calls in all early windows, or to sum up few calls of a pane, costs more than to do it for many at once.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.core.alerts import native_recent
from monitor.core.alerts.native_recent import PaneTargets
from monitor.core.calls.fields import BIT, FieldLayout, count_bits
from monitor.core.calls.new_calls import NewCalls
from monitor.core.talk.talk_counts import TalkCounts
from monitor.core.windows.distinct.key_counts import KeyCounts
from monitor.core.windows.open_panes import OpenPanes
from monitor.core.windows.pane import keys_of_calls
from monitor.policy.metrics import KeySet

_MOST = 32_768  # calls: more cost more time at each evaluation, fewer cost more time per call
_ANSWERED = np.uint64(1 << BIT["answered"])
_NO_CALLS, _NO_PANE = NewCalls.room(0), np.empty(0, np.int64)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class CallSums:
    """The sums of calls in one pane: distinct ``tenant`` ``[g]``, ``sums`` ``[g, FieldLayout.width]``."""

    start_ms: int
    tenant: NDArray[np.int32]
    sums: NDArray[np.int64]


class RecentCalls:
    """The newest calls of the open panes ``opened``, at most `_MOST`. Memory: 80 bytes for each of these."""

    def __init__(self, opened: OpenPanes) -> None:
        self._opened = opened
        self._calls = NewCalls.room(_MOST)
        self._pane = np.empty(_MOST, np.int64)  # the number of the pane of each call
        self._waits = np.empty(_MOST, np.bool_)  # whether the early windows do not count the call yet
        self._count = 0
        self._asked = _Asked.nobody()

    def add(self, new: Sequence[NewCalls]) -> Iterator[None]:
        """Add calls. Yields when the early windows must count all that wait, because there is no room for more."""
        self._asked = _Asked.nobody()
        for calls in new:
            for start in range(0, len(calls.tenant), _MOST):
                part = calls if len(calls.tenant) <= _MOST else calls.take(slice(start, start + _MOST))
                if self._count + len(part.tenant) > _MOST:
                    yield
                    self._count = 0
                self._add(part)

    def _add(self, calls: NewCalls) -> None:
        rows = slice(self._count, self._count + len(calls.tenant))
        columns: tuple[NDArray[Any], ...] = self._calls
        for column, some in zip(columns, calls, strict=True):
            column[rows] = some
        self._pane[rows] = calls.end_ms // self._opened.pane_ms
        self._waits[rows] = True
        self._count = rows.stop

    def take(self, who: NDArray[np.bool_] | None = None) -> list[CallSums]:
        """The sums of the calls that wait to be counted, of the marked tenants or of all. They do not wait any more."""
        waits = self._waits[: self._count]
        rows = np.flatnonzero(waits if who is None else waits & who[self._calls.tenant[: self._count]])
        waits[rows] = False
        return _sums(self._calls.take(rows), self._pane[rows], self._opened.pane_ms, self._opened.layout)

    def enter(self, values: NDArray[np.int64], targets: PaneTargets, who: NDArray[np.bool_] | None) -> bool:
        """Add the same sums to ``values``, ``[tenant, column]``, by the extension.

        Returns False if a pane has no targets; then the calls still wait.
        """
        return native_recent.enter(values, targets, self._waits, who, self._pane, self._calls, self._count)

    def starts_ms(self) -> list[int]:
        """The starts of the panes of the calls that wait to be counted."""
        waiting = self._pane[: self._count][self._waits[: self._count]]
        return [number * self._opened.pane_ms for number in np.unique(waiting).tolist()]

    # Calls that are not summed up -----------------------------------------------------------------------------------

    def ask(self, who: NDArray[np.bool_]) -> "_Asked":
        """The calls of at least the marked tenants that are not summed up. Ask for many tenants at once."""
        if len(who) > len(self._asked.who):
            self._asked.who = np.append(self._asked.who, np.zeros(len(who) - len(self._asked.who), np.bool_))
        if (who & ~self._asked.who[: len(who)]).any():
            self._asked.who[: len(who)] |= who
            rows = self._not_summed_up()
            rows = rows[self._asked.who[self._calls.tenant[rows]]]
            self._asked = _Asked(self._asked.who, self._calls.take(rows), self._pane[rows])
        return self._asked

    def _not_summed_up(self) -> NDArray[np.intp]:
        """The rows of the calls that are not in the sums of their panes: the newest of each pane."""
        found: list[NDArray[np.intp]] = [np.empty(0, np.intp)]
        for number, waiting in self._opened.waiting():
            rows = np.flatnonzero(self._pane[: self._count] == number)
            if len(rows) < waiting:
                self._opened.sum_up([number])
            elif waiting:
                found.append(rows[-waiting:])
        return np.concatenate(found)


class _Asked:
    """The calls of the tenants marked in ``who``, with the numbers of their panes."""

    def __init__(self, who: NDArray[np.bool_], calls: NewCalls, pane: NDArray[np.int64]) -> None:
        self.who = who
        self._calls = calls
        self._starts = np.flatnonzero(np.diff(pane, prepend=pane[:1] - 1))  # of each pane: its calls are together
        self._panes = pane[self._starts].tolist()
        self._keys: dict[KeySet, list[KeyCounts]] = {}
        self._talk: list[TalkCounts] | None = None

    @classmethod
    def nobody(cls) -> Self:
        """No tenants."""
        return cls(np.zeros(0, np.bool_), _NO_CALLS, _NO_PANE)

    def keys(self, which: KeySet, panes: range) -> Iterable[KeyCounts]:
        """The keys of the calls in each of these panes, given by number. They may repeat."""
        if which not in self._keys:
            self._keys[which] = self._keys_of_panes(which)
        return self._of(self._keys[which], panes)

    def _keys_of_panes(self, which: KeySet) -> list[KeyCounts]:
        found = keys_of_calls(self._calls, which)
        tenant, once = self._calls.tenant[found.rows], np.ones(len(found.rows), np.int32)
        every = KeyCounts(found.key, tenant, once, found.numeric, group=found.group, unit_bits=found.unit_bits)
        edges = found.rows.searchsorted([*self._starts, len(self._calls.tenant)]).tolist()
        return [every.select(slice(*edge)) for edge in pairwise(edges)]

    def talk(self, panes: range) -> Iterable[TalkCounts]:
        """The talk times of the calls in each of these panes."""
        if self._talk is None:
            answered = (self._calls.word & _ANSWERED) != 0
            self._talk = []
            for start, stop in pairwise([*self._starts.tolist(), len(answered)]):
                rows = start + np.flatnonzero(answered[start:stop])
                tenant, bucket, count = TalkCounts.of_groups(self._calls.tenant[rows], self._calls.talk_ms[rows])
                self._talk.append(TalkCounts(tenant.astype(np.int32), bucket, count))
        return self._of(self._talk, panes)

    def _of(self, by_pane: Sequence[_T], panes: range) -> Iterator[_T]:
        return (one for number, one in zip(self._panes, by_pane, strict=True) if number in panes)


def _sums(calls: NewCalls, pane: NDArray[np.int64], pane_ms: int, layout: FieldLayout) -> list[CallSums]:
    """The sums of calls by pane and tenant."""
    if not len(pane):
        return []
    order = np.lexsort((calls.tenant, pane))
    tenant, pane = calls.tenant[order], pane[order]
    starts = np.flatnonzero(np.concatenate([[True], (tenant[1:] != tenant[:-1]) | (pane[1:] != pane[:-1])]))
    sums = np.empty((len(starts), layout.width), np.int64)
    sums[:, : layout.bits] = count_bits(calls.word[order], starts, layout.bits)
    sums[:, layout.bits] = np.add.reduceat(calls.talk_ms[order], starts)
    sums[:, layout.bits + 1] = np.add.reduceat(calls.ring_delay_ms[order], starts)
    tenant, pane = tenant[starts], pane[starts]
    edges = [0, *(np.flatnonzero(pane[1:] != pane[:-1]) + 1).tolist(), len(starts)]
    return [
        CallSums(int(pane[start]) * pane_ms, tenant[start:stop], sums[start:stop]) for start, stop in pairwise(edges)
    ]
