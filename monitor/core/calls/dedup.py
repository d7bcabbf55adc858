"""Remembers which call ids were used, as long as the contract says, to drop duplicates."""

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.keys import U64

_SMALLEST_FILTER = 1 << 16


class Deduplicator:
    """Ids (as 64-bit keys) with their event times, in sorted runs behind a filter.

    An id is remembered while its event time is not below the late line of the new record's source. Memory: 16
    bytes an id, plus 16 to 32 for the filter, for the ids of about the last ``lateness``. The filter is an array of
    flags indexed by the key's low bits: a cleared flag proves that an id is new, so that only the few others
    cost a search. Runs merge as in a binary counter, so a key is moved log2 of their number times.
    """

    def __init__(self) -> None:
        self._runs: list[tuple[U64, NDArray[np.int64]]] = []
        self._flags = np.zeros(_SMALLEST_FILTER, np.bool_)
        self._flagged = 0

    def __len__(self) -> int:
        return sum(len(keys) for keys, _ in self._runs)

    def admit(
        self,
        keys: U64,
        event_ms: NDArray[np.int64],
        line_ms: NDArray[np.int64],
        forget_before_ms: int,
        known_duplicate: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.bool_]:
        """Which of these rows ``[n]`` are duplicates; the others are remembered.

        ``line_ms`` is the late line of each row's source; what lies before ``forget_before_ms`` (the watermark,
        which no late line is below) may be forgotten. ``known_duplicate`` marks rows that were found to be
        duplicates before a restart, when more was remembered.
        """
        duplicate = np.zeros(len(keys), np.bool_) if known_duplicate is None else known_duplicate.copy()
        slots = (keys & np.uint64(len(self._flags) - 1)).astype(np.intp)
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        twin = ordered[1:] == ordered[:-1]
        doubtful = self._flags[slots]
        doubtful[order[1:][twin]] = True
        doubtful[order[:-1][twin]] = True
        rows = np.flatnonzero(doubtful & ~duplicate)
        if len(rows):
            self._settle(rows, keys, event_ms, line_ms, duplicate)
        fresh = order[~duplicate[order]]
        self._remember(keys[fresh], event_ms[fresh], forget_before_ms)
        return duplicate

    def remembered(self, since_ms: int) -> tuple[U64, NDArray[np.int64]]:
        """The ids with an event time of at least ``since_ms``: keys, which ascend, and event times."""
        run = (np.empty(0, np.uint64), np.empty(0, np.int64))
        for other in reversed(self._runs):
            run = _merge(other, run, since_ms)
        return run

    def restore(self, keys: U64, event_ms: NDArray[np.int64]) -> None:
        """Remember what `remembered` gave; it must be new."""
        self._remember(keys, event_ms, 0)

    def _settle(
        self,
        rows: NDArray[np.intp],
        keys: U64,
        event_ms: NDArray[np.int64],
        line_ms: NDArray[np.int64],
        duplicate: NDArray[np.bool_],
    ) -> None:
        """The exact answer for the doubtful rows, in reading order."""
        ids = keys[rows]
        newest = self._newest(ids)
        # One number for each id: a dict of keys has a hash that a tenant knows.
        order = np.argsort(ids, kind="stable")
        number = np.zeros(len(ids), np.intp)
        number[order[1:]] = np.cumsum(ids[order[1:]] != ids[order[:-1]])
        here = [-1] * len(ids)
        for row, one, before in zip(rows.tolist(), number.tolist(), newest.tolist(), strict=True):
            known = max(before, here[one])
            if known >= 0 and known >= line_ms[row]:
                duplicate[row] = True
            else:
                here[one] = max(known, int(event_ms[row]))

    def _newest(self, keys: U64) -> NDArray[np.int64]:
        """The newest event time remembered for each key, or -1."""
        newest = np.full(len(keys), -1, np.int64)
        for run_keys, run_ms in self._runs:
            # A run holds a key more than once when it was admitted anew after it had been forgotten.
            low = np.searchsorted(run_keys, keys, "left")
            high = np.searchsorted(run_keys, keys, "right")
            for i in np.flatnonzero(high > low):
                newest[i] = max(newest[i], run_ms[low[i] : high[i]].max())
        return newest

    def _remember(self, keys: U64, event_ms: NDArray[np.int64], forget_before_ms: int) -> None:
        if not len(keys):
            return
        run = (keys, event_ms)
        while self._runs and len(self._runs[-1][0]) < 2 * len(run[0]):
            run = _merge(self._runs.pop(), run, forget_before_ms)
        if len(run[0]):
            self._runs.append(run)
        self._flagged += len(keys)
        if self._flagged > len(self._flags) // 16:
            self._rebuild_filter(forget_before_ms)
        else:
            self._flags[(keys & np.uint64(len(self._flags) - 1)).astype(np.intp)] = True

    def _rebuild_filter(self, forget_before_ms: int) -> None:
        """A filter for what is still remembered, sized so that it is rebuilt when that has doubled."""
        run = self.remembered(forget_before_ms)
        self._runs = [run] if len(run[0]) else []
        self._flagged = len(run[0])
        size = _SMALLEST_FILTER
        while size < 32 * self._flagged:
            size *= 2
        self._flags = np.zeros(size, np.bool_)
        self._flags[(run[0] & np.uint64(size - 1)).astype(np.intp)] = True


def _merge(
    a: tuple[U64, NDArray[np.int64]], b: tuple[U64, NDArray[np.int64]], forget_before_ms: int
) -> tuple[U64, NDArray[np.int64]]:
    keys, times = np.concatenate([a[0], b[0]]), np.concatenate([a[1], b[1]])
    kept = times >= forget_before_ms
    keys, times = keys[kept], times[kept]
    order = np.argsort(keys, kind="stable")
    return keys[order], times[order]
