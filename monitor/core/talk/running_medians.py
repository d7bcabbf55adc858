"""Running medians: the median talk time of each tenant over one window length."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from monitor.core.talk.buckets import OCTAVES, PER_OCTAVE, lowest_ms
from monitor.core.talk.talk_counts import TalkCounts

_AT_ONCE = 4_096  # tenants whose medians are computed together, to limit memory
_TRUE = np.ones(1, np.bool_)
_NONE = 0  # the block of an octave without calls: all zero


class RunningMedians:
    """The histogram of the talk times in ``[end - window_ms, end)`` of each tenant, and the medians.

    A histogram consists of a block of counts for each octave that has calls. A pane enters by one indexed addition and
    leaves by one subtraction. A median is computed on request if the calls of the tenant changed. Memory: 165 bytes per
    tenant and 68 per block, at most 39 blocks a tenant (talk times from 1 s to 10 min: 10 blocks); and 7 to 10 bytes
    per pane, tenant and bucket. Counts are 32 bits wide: 2 billion calls of a tenant in one window.
    """

    def __init__(self, window_ms: int) -> None:
        self.window_ms = window_ms
        self._inside: deque[tuple[int, TalkCounts]] = deque()
        self._block = np.full((0, OCTAVES), _NONE, np.int32)  # by tenant
        self._counts = np.zeros((1, PER_OCTAVE), np.int32)  # by block
        self._totals = np.zeros(1, np.int32)  # by block
        self._used = 1  # blocks that were ever used
        self._free = np.empty(0, np.int32)
        self._median_ms = np.zeros(0, np.int64)
        self._stale = np.zeros(0, np.bool_)

    def enter(self, start_ms: int, counts: TalkCounts, tenants: int) -> None:
        """Add the counts of a closed pane. ``tenants`` is the number of tenants in the shard."""
        self._reach(tenants)
        if not len(counts):
            return
        octave = counts.bucket // PER_OCTAVE
        block = self._block[counts.tenant, octave]
        missing = (block == _NONE).nonzero()[0]
        if len(missing):
            tenant, octaves = counts.tenant[missing], octave[missing]
            first = np.concatenate([[True], (tenant[1:] != tenant[:-1]) | (octaves[1:] != octaves[:-1])])
            new = self._allocate(int(first.sum()))
            self._block[tenant[first], octaves[first]] = new
            block[missing] = new[np.cumsum(first) - 1]
        self._add(block, counts.bucket, counts.count)
        self._inside.append((start_ms, counts.compact()))
        self._stale[counts.tenant] = True

    def leave(self, before_ms: int) -> None:
        """Remove the panes that begin before ``before_ms``, the window start."""
        while self._inside and self._inside[0][0] < before_ms:
            _, counts = self._inside.popleft()
            octave = counts.bucket // PER_OCTAVE
            block = self._block[counts.tenant, octave]
            self._add(block, counts.bucket, -counts.count.astype(np.int32))
            self._stale[counts.tenant] = True
            empty = (self._totals[block] == 0).nonzero()[0]
            if len(empty):
                self._block[counts.tenant[empty], octave[empty]] = _NONE
                freed = block[empty]  # ascending by tenant and octave, so a block's rows are neighbours
                self._free = np.append(self._free, freed[np.append(True, freed[1:] != freed[:-1])])

    def medians(self, tenants: int) -> NDArray[np.int64]:
        """The numerator of `median_talk_s` for each tenant, ``[tenants]``: 0 without answered calls."""
        self._reach(tenants)
        stale = self._stale[:tenants].nonzero()[0]
        for start in range(0, len(stale), _AT_ONCE):
            who = stale[start : start + _AT_ONCE]
            block = self._block[who]
            octave, before, rank = _octave_of_median(self._totals[block])
            rows = self._counts[block[np.arange(len(who)), octave]]
            self._median_ms[who] = _median_ms(octave, rows, rank - before)
        self._stale[stale] = False
        return self._median_ms[:tenants]

    def medians_ahead(
        self, who: NDArray[np.intp], came: TalkCounts, before_ms: int, edges: NDArray[np.intp]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The medians of these ascending tenants ``[k]`` once ``came`` enters and panes before ``before_ms`` leave.

        Also how many of their calls are then in the buckets below each edge, ``[k, edge]``.
        """
        self._reach(int(who[-1]) + 1)
        left = []
        for start_ms, counts in self._inside:
            if start_ms >= before_ms:
                break
            left.append(counts.of_tenants(who).negated())
        change = TalkCounts.joined([came, *left]).distinct()
        medians, below = np.empty(len(who), np.int64), np.empty((len(who), len(edges)), np.int64)
        for start in range(0, len(who), _AT_ONCE):
            some = who[start : start + _AT_ONCE]
            rows = self._counts[self._block[some]]
            first, after = change.tenant.searchsorted(np.array([some[0], some[-1] + 1], np.int32))
            changed = change.select(slice(first, after))
            octave, row = np.divmod(changed.bucket, np.uint16(PER_OCTAVE))
            rows[some.searchsorted(changed.tenant), octave, row] += changed.count
            octave_of, before, rank = _octave_of_median(rows.sum(axis=2))
            here = slice(start, start + _AT_ONCE)
            medians[here] = _median_ms(octave_of, rows[np.arange(len(some)), octave_of], rank - before)
            for place, edge in enumerate(edges.tolist()):
                below[here, place] = rows.reshape(len(some), -1)[:, :edge].sum(axis=1)
        return medians, below

    def _add(self, block: NDArray[np.int32], bucket: NDArray[np.uint16], count: NDArray[np.signedinteger]) -> None:
        # The pairs are distinct, but several are in a block.
        self._counts[block, bucket % PER_OCTAVE] += count
        starts = np.concatenate([_TRUE, block[1:] != block[:-1]]).nonzero()[0]
        self._totals[block[starts]] += np.add.reduceat(count, starts, dtype=np.int32)

    def _allocate(self, count: int) -> NDArray[np.int32]:
        """Blocks for ``count`` octaves: freed ones, then new ones."""
        again, self._free = self._free[:count], self._free[count:]
        first, self._used = self._used, self._used + count - len(again)
        have = len(self._totals)
        if self._used > have:
            more = max(self._used, have * 3 // 2, 64) - have
            self._counts = np.pad(self._counts, ((0, more), (0, 0)))
            self._totals = np.pad(self._totals, (0, more))
        return np.append(again, np.arange(first, self._used, dtype=np.int32))

    def _reach(self, tenants: int) -> None:
        have = len(self._stale)
        if tenants > have:
            more = max(tenants, 2 * have, 64) - have
            self._block = np.pad(self._block, ((0, more), (0, 0)))
            self._median_ms, self._stale = np.pad(self._median_ms, (0, more)), np.pad(self._stale, (0, more))


def _octave_of_median(
    totals: NDArray[np.signedinteger],
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
    """From the calls by octave, ``[k, OCTAVES]``: the octave of the median, the calls before it, the median's rank.

    The rank is ceil(C / 2), counted from 1. Without calls it is 0, and the octave is the first.
    """
    upto = totals.cumsum(axis=1, dtype=np.int64)
    rank = (upto[:, -1] + 1) // 2
    octave = (upto >= rank[:, None]).argmax(axis=1)
    each = np.arange(len(totals))
    return octave, upto[each, octave] - totals[each, octave], rank


def _median_ms(octave: NDArray[np.intp], rows: NDArray[np.signedinteger], rank: NDArray[np.int64]) -> NDArray[np.int64]:
    """The medians from the buckets of their octaves, ``[k, PER_OCTAVE]``, and their rank in these."""
    row = (rows.cumsum(axis=1, dtype=np.int64) >= rank[:, None]).argmax(axis=1)
    return lowest_ms(octave * PER_OCTAVE + row)
