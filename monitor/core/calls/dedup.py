"""Remembers used call ids for as long as the contract requires, to drop duplicates."""

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls import native_ids
from monitor.core.calls.hash_table import HashTable
from monitor.core.calls.key_placement import Placement
from monitor.core.calls.keys import U64

_SLOT = np.dtype([("key", np.uint64), ("newest_ms", np.int64)])
_FREE = np.iinfo(np.int64).min  # of a free slot: the time of no event


class Deduplicator:
    """Ids (as 64-bit keys), each with its newest event time, in a hash table.

    An id is remembered while its event time is not below the late line of the new record's source. The ids that may be
    forgotten stay until the table has no room. It is then rebuilt for the others. Memory: 16 bytes per slot, so 21 to
    64 per id, for the ids of about the last ``lateness``.
    """

    def __init__(self, placement: Placement | None = None) -> None:
        self._table = HashTable(placement or Placement(), _SLOT, "newest_ms", _FREE)

    def __len__(self) -> int:
        return self._table.used

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
        table = self._table
        if len(keys) > table.room:
            self._fill(table.native.slots, forget_before_ms, len(keys))
        if native_ids.enabled:
            table.used += native_ids.admit(table.native, table.used, keys, event_ms, line_ms, duplicate)
        else:
            self._admit(keys, event_ms, line_ms, duplicate)
        return duplicate

    def remembered(self, since_ms: int) -> tuple[U64, NDArray[np.int64]]:
        """The ids with an event time of at least ``since_ms``: keys, ascending, and event times."""
        at = np.flatnonzero(self._table.mark >= max(since_ms, _FREE + 1))
        at = at[self._table.key[at].argsort()]
        return self._table.key[at], self._table.mark[at]

    def restore(self, keys: U64, event_ms: NDArray[np.int64]) -> None:
        """Restore the result of `remembered`. This object must be new."""
        ids = np.empty(len(keys), _SLOT)
        ids["key"], ids["newest_ms"] = keys, event_ms
        self._fill(ids, _FREE, 0)

    def _fill(self, ids: NDArray[np.void], since_ms: int, more: int) -> None:
        """Rebuild the table for those of these distinct ids that have a time of at least ``since_ms``, and for more."""
        since_ms = max(since_ms, _FREE + 1)
        kept = ids["newest_ms"] >= since_ms
        table = self._table
        table.clear(int(np.count_nonzero(kept)) + more)
        if native_ids.enabled:
            table.used = native_ids.move(table.native, ids, since_ms)
        else:
            held = ids[kept]
            table.fill(held["key"], held["newest_ms"])

    def _admit(
        self, keys: U64, event_ms: NDArray[np.int64], line_ms: NDArray[np.int64], duplicate: NDArray[np.bool_]
    ) -> None:
        """`native_ids.admit`, with numpy: ids that come once are compared at once, the others in reading order."""
        # Ids are numbered by sorting: a dict of keys uses a public hash, so tenants could craft collisions.
        ids, number, times = np.unique(keys, return_inverse=True, return_counts=True)
        found, free = self._table.probe(ids)
        newest = np.where(found >= 0, self._table.mark[found], _FREE)
        known_ms, again = newest[number], times[number] > 1
        duplicate |= ~again & (known_ms > _FREE) & (known_ms >= line_ms)
        rows = np.flatnonzero(again & ~duplicate)
        if len(rows):
            here = newest.tolist()
            columns = (column[rows].tolist() for column in (number, event_ms, line_ms))
            for row, one, at_ms, line in zip(rows.tolist(), *columns, strict=True):
                if here[one] > _FREE and here[one] >= line:
                    duplicate[row] = True
                else:
                    here[one] = max(here[one], at_ms)
        fresh = ~duplicate
        np.maximum.at(newest, number[fresh], event_ms[fresh])
        some = newest > _FREE
        found = found[some]
        self._table.place(ids[some], newest[some], found, free[some])
        self._table.mark[found] = newest[some]
