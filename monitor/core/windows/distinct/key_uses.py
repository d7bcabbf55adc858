"""Key uses: how often a tenant may have used any one key, from a few counters per tenant.

The largest count of a tenant rises by at most the uses of one key. Each key shares a counter with other keys of its
tenant, so the largest counter is a bound. It grows slowly if calls are of different keys: with their number divided by
that of the counters. Which keys share one is a secret of the process, or a tenant could choose keys that do.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.fields import BIT
from monitor.core.calls.key_placement import Placement
from monitor.core.calls.keys import U64
from monitor.core.calls.new_calls import NewCalls
from monitor.core.windows.distinct import native_uses
from monitor.policy.metrics import KeySet

SETS: Final[tuple[KeySet, ...]] = ("callees", "callers", "consents")
"""The sets of keys whose uses are counted: for consents, those of the consent."""
_FEW: Final = 64  # counters of a tenant and set
_MANY: Final = 4_096  # counters of a tenant that calls often
_OFTEN: Final = 32  # calls at once
_MOST_OFTEN: Final = 64  # tenants with many counters
_ATTEMPT, _ANSWERED = 1 << BIT["attempts"], 1 << BIT["answered"]
_Places = NDArray[np.int64]


class KeyUses:
    """The most uses of a key, by set and tenant. Memory: 240 bytes per tenant, and 1.5 MB for those that call often.

    ``before`` is what all uses until the last `restart` add up to, ``largest`` the largest counter since. No key is
    used more often after some time than ``before + largest`` is above what ``before`` was then.
    """

    def __init__(self, placement: Placement | None = None) -> None:
        self._placement = placement or Placement()
        self.before = np.zeros((len(SETS), 0), np.int64)
        self.largest = np.zeros((len(SETS), 0), np.int64)
        self._few = np.zeros((len(SETS), 0, _FEW), np.uint8)
        self._many = np.zeros((len(SETS), _MOST_OFTEN, _MANY), np.uint16)
        self._row = np.zeros(0, np.int64)  # the row of a tenant in ``many``, -1 if it has few counters
        self._often: list[int] = []

    def count(self, who: NDArray[np.integer]) -> NDArray[np.int64]:
        """What never becomes less, and rises at least by the uses of any key since `restart`: ``[set, k]``."""
        count: NDArray[np.int64] = self.before[:, who] + self.largest[:, who]
        return count

    def reach(self, tenants: int) -> None:
        """Grow to at least ``tenants`` tenants."""
        have = self.before.shape[1]
        if tenants > have:
            more = max(tenants, have + have // 2, 64) - have
            self.before, self.largest = (np.pad(one, ((0, 0), (0, more))) for one in (self.before, self.largest))
            self._few = np.pad(self._few, ((0, 0), (0, more), (0, 0)))
            self._row = np.pad(self._row, (0, more), constant_values=-1)

    def restart(self, which: KeySet, who: NDArray[np.integer]) -> NDArray[np.int64]:
        """Count the uses of these tenants from 0. Returns their ``before``, all 0 for a set that is not counted."""
        if which not in SETS:
            return np.zeros(len(who), np.int64)
        place = SETS.index(which)
        self._restart(place, who)
        before: NDArray[np.int64] = self.before[place, who]
        return before

    def _restart(self, place: int, who: NDArray[np.integer]) -> None:
        self.before[place, who] += self.largest[place, who]
        self.largest[place, who] = 0
        self._few[place, who] = 0
        rows = self._row[who]
        self._many[place, rows[rows >= 0]] = 0

    def add(self, calls: NewCalls) -> None:
        """Add calls."""
        if not len(calls.tenant):
            return
        if native_uses.enabled:
            bits = _ATTEMPT, _ANSWERED
            overflowed = native_uses.count(
                self._placement.words, calls, bits, self._few, self._many, self._row, self.largest
            )
        else:
            overflowed = self._count_all(calls)
        if overflowed:
            self._restart_overflowed(np.unique(calls.tenant))
        if len(calls.tenant) >= _OFTEN:
            tenant, times = np.unique(calls.tenant, return_counts=True)
            often = (times >= _OFTEN) & (self._row[tenant] < 0)
            if often.any():
                tenant, times = tenant[often], times[often]
                # The calls of a backlog come at once, and nearly all tenants have called often.
                self._give_many(tenant[np.argsort(-times, kind="stable")[:_MOST_OFTEN]])

    def _count_all(self, calls: NewCalls) -> bool:
        """What the extension does: count the keys. Returns whether a counter overflowed."""
        place, tenant, key = _keys(calls)
        row = self._row[tenant]
        few = row < 0
        overflowed = self._count(self._few, place[few], tenant[few], tenant[few], key[few])
        return self._count(self._many, place[~few], tenant[~few], row[~few], key[~few]) or overflowed

    def _count(self, table: NDArray[Any], place: _Places, tenant: _Places, row: _Places, key: U64) -> bool:
        """Count in the rows of a table of counters, ``place`` by set."""
        _, rows, width = table.shape
        counters, largest = table.reshape(-1), self.largest.reshape(-1)
        bucket = self._placement.slots(key, (width - 1).bit_length())
        at, first, times = np.unique((place * rows + row) * width + bucket, return_index=True, return_counts=True)
        whose, most = place[first] * self.largest.shape[1] + tenant[first], np.iinfo(table.dtype).max
        counted = counters[at].astype(np.int64) + times
        counters[at] = np.minimum(counted, most)
        np.maximum.at(largest, whose, counters[at])
        beyond = np.maximum(counted - most, 0)
        np.add.at(largest, whose, beyond)
        return bool(beyond.any())

    def _restart_overflowed(self, who: NDArray[np.integer]) -> None:
        """Count the uses of these tenants from 0 in the sets in which a counter has overflowed."""
        most = np.where(self._row[who] < 0, np.iinfo(self._few.dtype).max, np.iinfo(self._many.dtype).max)
        for place in range(len(SETS)):
            self._restart(place, who[self.largest[place, who] > most])

    def _give_many(self, who: NDArray[np.integer]) -> None:
        """Give tenants many counters: at most as many as can have them, and who have few."""
        if len(self._often) + len(who) > _MOST_OFTEN:  # it will turn out again who calls often
            every = np.array(self._often, np.int64)
            for place in range(len(SETS)):
                self._restart(place, every)
            self._row[every], self._often = -1, []
        for place in range(len(SETS)):
            self._restart(place, who)
        self._row[who] = np.arange(len(self._often), len(self._often) + len(who))
        self._often += who.tolist()


def _keys(calls: NewCalls) -> tuple[_Places, _Places, U64]:
    """What the sets count of the calls: the place of the set, the tenant, and the key."""
    attempts, answered = (np.flatnonzero(calls.word & np.uint64(bit)) for bit in (_ATTEMPT, _ANSWERED))
    rows = np.concatenate([attempts, attempts, answered])
    place = np.repeat(np.arange(len(SETS)), [len(attempts), len(attempts), len(answered)])
    key = np.concatenate([calls.callee_key[attempts], calls.caller_key[attempts], calls.consent_key[answered]])
    return place, calls.tenant[rows].astype(np.int64), key.astype(np.uint64)
