"""Count ranks: the largest counts of each tenant, from the number of keys that have each count.

A tenant with n attempts has at most sqrt(2 n) different counts, so finding the largest ones costs little, regardless
of how many keys leave at once.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.key_placement import Placement
from monitor.core.windows.distinct.key_counts import KeyCounts
from monitor.core.windows.distinct.key_table import KeyTable

TOP: Final = 10
"""How many of the largest counts `CountRanks.top` adds up."""
_MOST_COLLECTED: Final = 1 << 16
_OWNER = np.uint64(32)
_ONE = np.uint64(1)
_TRUE = np.ones(1, np.bool_)
_COUNT = np.uint64(0xFFFF_FFFF)


class CountRanks:
    """The largest count of each tenant and the sum of its ten largest, while counts change.

    They are computed on request, for the tenants with changes since. Changes are collected until then, because the cost
    of the table is per call. Memory: 21 to 64 bytes per tenant and different count, 17 per tenant, and 1 MB of
    collected changes. `top` is only kept ``with_top``.
    """

    def __init__(self, placement: Placement, with_top: bool = True) -> None:
        self._table = KeyTable(placement)
        self._with_top = with_top
        self._collected: list[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]] = []
        self._collected_rows = 0
        self._peak = np.zeros(0, np.int64)
        self._top = np.zeros(0, np.int64)
        self._stale = np.zeros(0, np.bool_)

    def change(self, tenant: NDArray[np.int32], before: NDArray[np.int32], after: NDArray[np.int32]) -> None:
        """Change counts of these tenants from ``before`` to ``after``, where 0 means that there is none."""
        if not len(tenant):
            return
        self._collected.append((tenant, before, after))
        self._collected_rows += len(tenant)
        self._grow(int(tenant.max()) + 1)
        self._stale[tenant.astype(np.intp)] = True  # numpy converts other indices slowly
        if self._collected_rows > _MOST_COLLECTED:
            self._apply_collected()

    def peak(self, tenants: int) -> NDArray[np.int64]:
        """The largest count of each tenant, ``[tenants]``."""
        self._refresh(tenants)
        return self._peak[:tenants]

    def top(self, tenants: int) -> NDArray[np.int64]:
        """The sum of the ten largest counts of each tenant."""
        assert self._with_top
        self._refresh(tenants)
        return self._top[:tenants]

    def ahead(
        self,
        who: NDArray[np.intp],
        tenant: NDArray[np.int32],
        before: NDArray[np.int32],
        after: NDArray[np.int32],
        with_top: bool,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """`peak` and, ``with_top``, `top` of the tenants ``who`` ``[k]``, after these changes, which are not made."""
        if not with_top:
            peak, place = self.peak(int(who[-1]) + 1)[who], np.searchsorted(who, tenant)
            if not ((after < before) & (before >= peak[place])).any():  # no largest count becomes less
                np.maximum.at(peak, place, after)
                return peak, np.zeros_like(peak)
        mine = np.zeros(max(len(self._stale), int(who[-1]) + 1), np.bool_)
        mine[who] = True
        self._apply_collected()
        every = KeyCounts.joined([self._table.keys_of_tenants(mine), count_pairs(tenant, before, after)]).distinct()
        peak, top = ranked(every.select(every.count > 0), len(mine))
        return peak[who], top[who]

    def _refresh(self, tenants: int) -> None:
        self._grow(tenants)
        stale = self._stale.nonzero()[0]
        if not len(stale):
            return
        self._apply_collected()
        held = self._table.keys_of_tenants(self._stale)
        if self._with_top:
            peak, top = ranked(held.select(np.argsort(held.key)), len(self._stale))
            self._peak[stale], self._top[stale] = peak[stale], top[stale]
        else:
            self._peak[stale] = 0
            np.maximum.at(self._peak, held.tenant.astype(np.intp), (held.key & _COUNT).astype(np.int64))
        self._stale[stale] = False

    def _apply_collected(self) -> None:
        if not self._collected:
            return
        tenant, before, after = map(np.concatenate, zip(*self._collected, strict=True))
        self._collected, self._collected_rows = [], 0
        pairs = count_pairs(tenant, before, after)
        at = self._table.claim(pairs)  # which may replace the table's columns
        self._table.count[at] += pairs.count

    def _grow(self, tenants: int) -> None:
        have = len(self._stale)
        if tenants > have:
            more = max(tenants, 2 * have, 64) - have
            self._peak, self._top = np.pad(self._peak, (0, more)), np.pad(self._top, (0, more))
            self._stale = np.pad(self._stale, (0, more))


def count_pairs(tenant: NDArray[np.int32], before: NDArray[np.int32], after: NDArray[np.int32]) -> KeyCounts:
    """The distinct pairs of tenant and count, ascending, each with the change in the number of keys that have it."""
    lost, won = (before > 0).nonzero()[0], (after > 0).nonzero()[0]
    key = np.concatenate([tenant[lost], tenant[won]], dtype=np.uint64, casting="unsafe") << _OWNER + _ONE
    if not len(key):
        return KeyCounts.empty()
    key |= np.concatenate([before[lost], after[won]], dtype=np.uint64, casting="unsafe") << _ONE
    key[len(lost) :] |= _ONE  # the lowest bit is what happened: numpy sorts bare numbers in a fraction of the time
    key.sort()
    pair, steps = key >> _ONE, (key & _ONE).astype(np.int32) * 2 - 1
    starts = np.concatenate([_TRUE, pair[1:] != pair[:-1]]).nonzero()[0]
    total = np.add.reduceat(steps, starts, dtype=np.int32)
    left = total.nonzero()[0]
    pair, total = pair[starts[left]], total[left]
    return KeyCounts(pair, (pair >> _OWNER).astype(np.int32), total, np.zeros(len(pair), np.bool_))


def ranked(pairs: KeyCounts, tenants: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The largest count and the sum of the ten largest of each tenant, from ascending pairs with positive counts."""
    peak, top = np.zeros(tenants, np.int64), np.zeros(tenants, np.int64)
    if not len(pairs):
        return peak, top
    tenant, count, keys = pairs.tenant, (pairs.key & _COUNT).astype(np.int64), pairs.count.astype(np.int64)
    starts = np.flatnonzero(np.concatenate([[True], tenant[1:] != tenant[:-1]]))
    lengths = np.diff(starts, append=len(tenant))
    ends = starts + lengths - 1
    peak[tenant[ends]] = count[ends]
    up_to = np.cumsum(keys)
    least = np.repeat(up_to[ends], lengths) - up_to  # the keys of the tenant with a larger count
    taken = np.minimum(least + keys, TOP) - np.minimum(least, TOP)
    top[tenant[ends]] = np.add.reduceat(count * taken, starts)
    return peak, top
