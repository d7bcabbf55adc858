"""The keys in one window, with their attempts: a hash table in columns, changed and read for many keys at once."""

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.key_placement import Placement
from monitor.core.calls.keys import U64
from monitor.core.windows.distinct import native_keys
from monitor.core.windows.distinct.key_counts import KeyCounts

_SMALLEST_TABLE = 1 << 10
_AT_ONCE = np.arange(8)  # slots that are probed together, for the few keys whose home slot is taken
_SLOT = np.dtype([("key", np.uint64), ("count", np.int32), ("whose", np.int32)])
_FREE = np.iinfo(np.int32).min  # a free slot; otherwise the tenant of a number, or its complement for other keys


class KeyTable:
    """An open-addressing hash table (linear probing, at most three quarters full). ``count`` has the attempts by slot.

    ``native`` is the same table for `monitor.core.windows.distinct.native_keys`.
    Memory: 16 bytes per slot, so 21 to 64 bytes per distinct key. The slot of a key depends only on ``placement``, a
    secret of the process, so tenants cannot predict it.
    """

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._clear(_SMALLEST_TABLE)

    def keys(self) -> KeyCounts:
        """The keys with attempts."""
        return self._held(np.flatnonzero(self.count))

    def keys_of(self, tenant: int) -> KeyCounts:
        """The keys of a tenant with attempts, ascending."""
        at = np.flatnonzero((_owner(self._whose) == tenant) & (self.count > 0))
        return self._held(at[np.argsort(self._key[at])])

    def keys_of_tenants(self, who: NDArray[np.bool_]) -> KeyCounts:
        """The keys with attempts of the tenants marked in ``who``, which covers all tenants."""
        live = self.count.nonzero()[0]
        return self._held(live[who[_owner(self._whose[live])]])

    def counts_of(self, keys: U64) -> NDArray[np.int32]:
        """The attempts of each key, 0 if it is absent."""
        at = self._find(keys)
        return np.where(at >= 0, self.count[at], 0)

    def present(self, keys: U64) -> NDArray[np.bool_]:
        """Which of these keys are numbers with attempts."""
        at = self._find(keys)
        return (at >= 0) & (self.count[at] > 0) & (self._whose[at] >= 0)

    def claim(self, keys: KeyCounts) -> NDArray[np.intp]:
        """The slots of these distinct keys. Allocates slots for new keys."""
        if native_keys.enabled:
            return self._claim_native(keys)
        found, free = self._probe(keys.key)
        missing = np.flatnonzero(found < 0)
        if len(missing) > self._room:
            self._rehash(len(missing))
            return self.claim(keys)
        while len(missing):
            here = free[missing]
            self._key[here] = keys.key[missing]
            won = self._key[here] == keys.key[missing]  # if several keys want one slot, the last write wins
            mine = missing[won]
            found[mine] = free[mine]
            self._whose[free[mine]] = np.where(keys.numeric[mine], keys.tenant[mine], ~keys.tenant[mine])
            self.count[free[mine]] = 0
            self._used += len(mine)
            missing = missing[~won]
            if len(missing):
                _, free[missing] = self._probe(keys.key[missing])
        return found

    def _claim_native(self, keys: KeyCounts) -> NDArray[np.intp]:
        at, new = native_keys.claim(self.native, keys, self._room)
        if new > self._room:
            self._rehash(new)
            return self._claim_native(keys)
        self._used += new
        return at

    @property
    def _room(self) -> int:
        """The number of slots that may still be used."""
        return len(self._key) * 3 // 4 - self._used

    def _rehash(self, extra: int) -> None:
        """Rebuild the table without keys whose count is 0, at most half full after ``extra`` more keys."""
        held = self.keys()
        slots = _SMALLEST_TABLE
        while slots < 2 * (len(held) + extra):
            slots *= 2
        self._clear(slots)
        self.count[self.claim(held)] = held.count

    def _clear(self, slots: int) -> None:
        table = np.zeros(slots, _SLOT)  # a slot is contiguous, because memory access dominates the cost of a lookup
        self._key, self.count, self._whose = table["key"], table["count"], table["whose"]
        self._whose[:] = _FREE
        self._used = 0
        self.native = native_keys.NativeTable(table, self._placement.words)

    def _held(self, at: NDArray[np.intp]) -> KeyCounts:
        """The keys at these slots."""
        whose = self._whose[at]
        return KeyCounts(self._key[at], _owner(whose), self.count[at], whose >= 0)

    def _find(self, keys: U64) -> NDArray[np.intp]:
        """The slot of each key, or -1 if absent."""
        return native_keys.find(self.native, keys) if native_keys.enabled else self._probe(keys)[0]

    def _probe(self, keys: U64) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """``(slot of each key or -1, the slot where the search for it ended)``, which is free if the key is absent."""
        last = np.intp(len(self._key) - 1)
        slot = self._placement.slots(keys, int(last).bit_length())
        used = self._whose[slot] != _FREE
        hit = used & (self._key[slot] == keys)
        found = np.where(hit, slot, -1)
        rows = np.flatnonzero(used & ~hit)
        while len(rows):
            ahead = slot[rows, None] + _AT_ONCE + 1 & last
            free = self._whose[ahead] == _FREE
            ends = free | (self._key[ahead] == keys[rows, None])
            each, first = np.arange(len(rows)), ends.argmax(axis=1)
            ended = ends[each, first]
            slot[rows] = here = ahead[each, np.where(ended, first, -1)]
            hit = ended & ~free[each, first]
            found[rows[hit]] = here[hit]
            rows = rows[~ended]
        return found, slot


def _owner(whose: NDArray[np.int32]) -> NDArray[np.int32]:
    """The owners of used slots."""
    return whose ^ (whose >> 31)
