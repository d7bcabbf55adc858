"""The keys in one window, with their attempts: a hash table in columns, changed and read for many keys at once."""

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.hash_table import HashTable, NativeTable
from monitor.core.calls.key_placement import Placement
from monitor.core.calls.keys import U64
from monitor.core.windows.distinct import native_keys
from monitor.core.windows.distinct.key_counts import KeyCounts

_SLOT = np.dtype([("key", np.uint64), ("count", np.int32), ("whose", np.int32)])
_FREE = np.iinfo(np.int32).min  # a free slot; otherwise the tenant of a number, or its complement for other keys


class KeyTable:
    """A hash table of the keys of a window. ``count`` has the attempts by slot; a key without attempts keeps its slot.

    ``native`` is the same table for `monitor.core.windows.distinct.native_keys`.
    Memory: 16 bytes per slot, so 21 to 64 bytes per distinct key.
    """

    def __init__(self, placement: Placement) -> None:
        self._table = HashTable(placement, _SLOT, "whose", _FREE)
        self._refer()

    def _refer(self) -> None:
        self.native: NativeTable = self._table.native
        self._key, self._whose = self._table.key, self._table.mark
        self.count: NDArray[np.int32] = self.native.slots["count"]

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
        return self._held(live[who.take(_owner(self._whose[live]))])

    def counts_of(self, keys: U64) -> NDArray[np.int32]:
        """The attempts of each key, 0 if it is absent."""
        at = self._find(keys)
        return np.where(at >= 0, self.count[at], 0)

    def present(self, keys: U64) -> NDArray[np.bool_]:
        """Which of these keys are numbers with attempts."""
        at = self._find(keys)
        return (at >= 0) & (self.count[at] > 0) & (self._whose[at] >= 0)

    def claim(self, keys: KeyCounts) -> NDArray[np.intp]:
        """The slots of these distinct keys. Allocates slots, whose count is 0, for new keys."""
        if native_keys.enabled:
            return self._claim_native(keys)
        found, free = self._table.probe(keys.key)
        missing = int(np.count_nonzero(found < 0))
        if missing > self._table.room:
            self._rehash(missing)
            return self.claim(keys)
        self._table.place(keys.key, np.where(keys.numeric, keys.tenant, ~keys.tenant), found, free)
        return found

    def _claim_native(self, keys: KeyCounts) -> NDArray[np.intp]:
        at, new = native_keys.claim(self.native, keys, self._table.room)
        if new > self._table.room:
            self._rehash(new)
            return self._claim_native(keys)
        self._table.used += new
        return at

    def _rehash(self, extra: int) -> None:
        """Rebuild the table without keys whose count is 0, at most half full after ``extra`` more keys."""
        held = self.keys()
        self._table.clear(len(held) + extra)
        self._refer()
        self.count[self.claim(held)] = held.count

    def _held(self, at: NDArray[np.intp]) -> KeyCounts:
        """The keys at these slots."""
        whose = self._whose[at]
        return KeyCounts(self._key[at], _owner(whose), self.count[at], whose >= 0)

    def _find(self, keys: U64) -> NDArray[np.intp]:
        """The slot of each key, or a negative number if absent."""
        return native_keys.find(self.native, keys) if native_keys.enabled else self._table.probe(keys)[0]


class KeysAtEnd(KeyTable):
    """The keys of some tenants with the attempts that each has at a future end, which may be none."""

    @property
    def used(self) -> int:
        """The number of keys."""
        return self._table.used

    @property
    def room(self) -> int:
        """How many more keys have room."""
        return self._table.room

    def keys(self) -> KeyCounts:
        """All keys, also those without attempts: in the window they may have some that leave."""
        return self._held(np.flatnonzero(self._whose != _FREE))

    def put(self, keys: KeyCounts) -> None:
        """Set the attempts of these distinct keys."""
        at = self.claim(keys)  # which may replace the columns
        self.count[at] = keys.count

    def retain(self, row: NDArray[np.int32]) -> None:
        """Remove the keys of the tenants whose ``row`` is negative."""
        held = self.keys()
        held = held.select(row[held.tenant] >= 0)
        self._table.clear(len(held))
        self._refer()
        self.put(held)

    def with_room(self, keys: int) -> NativeTable:
        """The table with room for that many more. Call `added` once the extension has added some."""
        if keys > self.room:
            self._rehash(keys)
        return self.native

    def added(self, keys: int) -> None:
        """Count keys that the extension has added."""
        self._table.used += keys


def _owner(whose: NDArray[np.int32]) -> NDArray[np.int32]:
    """The owners of used slots."""
    return whose ^ (whose >> 31)
