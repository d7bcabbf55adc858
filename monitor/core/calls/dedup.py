"""Remembers used call ids for as long as the contract requires, to drop duplicates."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.keys import U64

_Run = tuple[U64, NDArray[np.int64]]
_SMALLEST_FILTER = 1 << 16
_FEW_KEYS, _FEW_RUNS = 512, 8  # of a live worker, in which a merge of few keys costs as much as a search in all runs


class Deduplicator:
    """Ids (as 64-bit keys), each with its newest event time, in sorted runs behind a filter.

    An id is remembered while its event time is not below the late line of the new record's source. Memory: 16 bytes per
    id, plus 16 to 32 for the filter, for the ids of about the last ``lateness``. The filter is an array of flags,
    indexed by the low bits of the key. A cleared flag proves that an id is new, so only the few others need a search.
    Runs merge as in a binary counter, so a key moves log2(number of keys) times; the last few small ones do together.
    """

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._small: list[_Run] = []  # the newest
        self._flags = np.zeros(_SMALLEST_FILTER, np.bool_)
        self._flagged = 0

    def __len__(self) -> int:
        return sum(len(keys) for keys, _ in (*self._runs, *self._small))

    def admit(
        self,
        keys: U64,
        event_ms: NDArray[np.int64],
        line_ms: NDArray[np.int64],
        forget_before_ms: int,
        known_duplicate: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.bool_]:
        """Which of these rows ``[n]`` are duplicates. The others are remembered.

        ``line_ms`` is the late line of each row's source. Ids before ``forget_before_ms`` (the watermark, which no late
        line is below) may be forgotten. ``known_duplicate`` marks rows that were duplicates before a restart, when more
        ids were remembered.
        """
        duplicate = np.zeros(len(keys), np.bool_) if known_duplicate is None else known_duplicate.copy()
        doubtful = self._flags[self._slots(keys)]
        order = keys.argsort()
        ordered = keys[order]
        twin = ordered[1:] == ordered[:-1]
        if twin.any():
            order = keys.argsort(kind="stable")  # several times slower; what is stored does not depend on the sort
            doubtful[order[1:][twin]] = True
            doubtful[order[:-1][twin]] = True
        elif known_duplicate is None and not doubtful.any():
            self._remember(ordered, event_ms[order], forget_before_ms)
            return duplicate
        rows = np.flatnonzero(doubtful & ~duplicate)
        if len(rows):
            self._settle(rows, keys, event_ms, line_ms, duplicate)
        fresh = order[~duplicate[order]]
        self._remember(keys[fresh], event_ms[fresh], forget_before_ms)
        return duplicate

    def _slots(self, keys: U64) -> NDArray[np.int64]:
        """The place of each key in the filter."""
        return (keys & np.uint64(len(self._flags) - 1)).view(np.int64)  # conversion would take as long as the mask

    def remembered(self, since_ms: int) -> _Run:
        """The ids with an event time of at least ``since_ms``: keys, ascending, and event times."""
        run = _merge([(np.empty(0, np.uint64), np.empty(0, np.int64)), *self._small], since_ms)
        for other in reversed(self._runs):
            run = _merge([other, run], since_ms)
        return run

    def restore(self, keys: U64, event_ms: NDArray[np.int64]) -> None:
        """Restore the result of `remembered`. This object must be new."""
        self._remember(keys, event_ms, 0)

    def _settle(
        self,
        rows: NDArray[np.intp],
        keys: U64,
        event_ms: NDArray[np.int64],
        line_ms: NDArray[np.int64],
        duplicate: NDArray[np.bool_],
    ) -> None:
        """Mark the exact duplicates among the doubtful rows, in reading order."""
        ids = keys[rows]
        newest = self._newest(ids)
        # Number the ids by sorting: a dict of keys uses a public hash, so tenants could craft collisions.
        order = np.argsort(ids, kind="stable")
        again = ids[order[1:]] == ids[order[:-1]]
        number = np.zeros(len(ids), np.intp)
        number[order[1:]] = np.cumsum(~again)
        known_or_again = newest >= 0  # the others only share a flag of the filter with a remembered id
        known_or_again[order[1:][again]] = known_or_again[order[:-1][again]] = True
        here = [-1] * len(ids)
        some = np.flatnonzero(known_or_again)
        for row, one, before in zip(rows[some].tolist(), number[some].tolist(), newest[some].tolist(), strict=True):
            known = max(before, here[one])
            if known >= 0 and known >= line_ms[row]:
                duplicate[row] = True
            else:
                here[one] = max(known, int(event_ms[row]))

    def _newest(self, keys: U64) -> NDArray[np.int64]:
        """The newest event time remembered for each key, or -1."""
        newest = np.full(len(keys), -1, np.int64)
        for run_keys, run_ms in (*self._runs, *self._small):
            at = np.searchsorted(run_keys, keys)
            found = np.flatnonzero(run_keys[np.minimum(at, len(run_keys) - 1)] == keys)
            newest[found] = np.maximum(newest[found], run_ms[at[found]])
        return newest

    def _remember(self, keys: U64, event_ms: NDArray[np.int64], forget_before_ms: int) -> None:
        if not len(keys):
            return
        self._small.append(_newest_of_each(keys, event_ms))
        if len(keys) >= _FEW_KEYS or len(self._small) >= _FEW_RUNS:
            self._count_up(forget_before_ms)
        self._flagged += len(keys)
        if self._flagged > len(self._flags) // 16:
            self._rebuild_filter(forget_before_ms)
        else:
            self._flags[self._slots(keys)] = True

    def _count_up(self, forget_before_ms: int) -> None:
        """Add the small runs to the others."""
        run = self._small[0] if len(self._small) == 1 else _merge(self._small, forget_before_ms)
        self._small = []
        while self._runs and len(self._runs[-1][0]) < 2 * len(run[0]):
            run = _merge([self._runs.pop(), run], forget_before_ms)
        if len(run[0]):
            self._runs.append(run)

    def _rebuild_filter(self, forget_before_ms: int) -> None:
        """Rebuild the filter for the remembered ids, sized so that the next rebuild is due when they have doubled."""
        run = self.remembered(forget_before_ms)
        self._runs, self._small = [run] if len(run[0]) else [], []
        self._flagged = len(run[0])
        size = _SMALLEST_FILTER
        while size < 32 * self._flagged:
            size *= 2
        self._flags = np.zeros(size, np.bool_)
        self._flags[(run[0] & np.uint64(size - 1)).astype(np.intp)] = True


def _merge(runs: Sequence[_Run], forget_before_ms: int) -> _Run:
    keys, times = np.concatenate([keys for keys, _ in runs]), np.concatenate([times for _, times in runs])
    kept = times >= forget_before_ms
    keys, times = keys[kept], times[kept]
    order = keys.argsort(kind="stable")
    return _newest_of_each(keys[order], times[order])


def _newest_of_each(keys: U64, times: NDArray[np.int64]) -> _Run:
    """Each of these ascending keys once, with its newest time: a key is admitted again after it was forgotten."""
    new = keys[1:] != keys[:-1]
    if new.all():
        return keys, times
    first = np.flatnonzero(np.concatenate([[True], new]))
    return keys[first], np.maximum.reduceat(times, first)
