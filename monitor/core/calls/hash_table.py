"""A hash table of keys in columns, searched and filled for many keys at once, by numpy or by the extensions."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.key_placement import Placement
from monitor.core.calls.keys import U64

_SMALLEST_TABLE = 1 << 10
_AT_ONCE = np.arange(8)  # slots that are probed together, for the few keys whose home slot is taken

Slots = NDArray[np.intp]


class NativeTable(NamedTuple):
    """A table as the extensions read it: its slots, and `monitor.core.calls.key_placement.Placement.words`."""

    slots: NDArray[Any]
    words: U64


class HashTable:
    """An open-addressing hash table (linear probing, at most three quarters full) of slots of the type ``slot``.

    A slot has its ``key`` and, in the field ``mark``, ``free`` if it is free. ``native`` is the table for the
    extensions. The slot of a key depends only on ``placement``, a secret of the process, so tenants cannot predict it.
    """

    def __init__(self, placement: Placement, slot: np.dtype[Any], mark: str, free: int) -> None:
        self._placement = placement
        self._slot, self._mark, self._free = slot, mark, free
        self.clear(0)

    def clear(self, keys: int) -> None:
        """Remove all keys, and make the table at most half full after that many."""
        size = _SMALLEST_TABLE
        while size < 2 * keys:
            size *= 2
        slots = np.zeros(size, self._slot)  # a slot is contiguous, because memory access dominates the cost of a lookup
        self.key: U64 = slots["key"]
        self.mark: NDArray[Any] = slots[self._mark]
        self.mark[:] = self._free
        self.used = 0
        self.native = NativeTable(slots, self._placement.words)

    @property
    def room(self) -> int:
        """The number of slots that may still be used."""
        return len(self.key) * 3 // 4 - self.used

    def fill(self, keys: U64, marks: NDArray[Any]) -> None:
        """Give slots with these marks to distinct keys. The table must be empty, and they must be no more than `room`.

        In the order of their homes, each key is at home, or right after the key before it.
        """
        home = self._placement.slots(keys, (len(self.key) - 1).bit_length())
        order = home.argsort()
        number = np.arange(len(keys))
        slot = np.maximum.accumulate(home[order] - number) + number
        count = int(slot.searchsorted(len(self.key)))
        self.key[slot[:count]], self.mark[slot[:count]] = keys[order[:count]], marks[order[:count]]
        self.used = count
        rest = order[count:]  # they begin at the first slot
        self.place(keys[rest], marks[rest], *self.probe(keys[rest]))

    def probe(self, keys: U64) -> tuple[Slots, Slots]:
        """``(slot of each key or -1, the slot where the search for it ended)``, which is free if the key is absent."""
        last = np.intp(len(self.key) - 1)
        slot = self._placement.slots(keys, int(last).bit_length())
        used = self.mark[slot] != self._free
        hit = used & (self.key[slot] == keys)
        found = np.where(hit, slot, -1)
        rows = np.flatnonzero(used & ~hit)
        while len(rows):
            ahead = slot[rows, None] + _AT_ONCE + 1 & last
            free = self.mark[ahead] == self._free
            ends = free | (self.key[ahead] == keys[rows, None])
            each, first = np.arange(len(rows)), ends.argmax(axis=1)
            ended = ends[each, first]
            slot[rows] = here = ahead[each, np.where(ended, first, -1)]
            hit = ended & ~free[each, first]
            found[rows[hit]] = here[hit]
            rows = rows[~ended]
        return found, slot

    def place(self, keys: U64, marks: NDArray[Any], found: Slots, free: Slots) -> None:
        """Give slots with these marks to the distinct keys that `probe` has not found; ``found`` gets them.

        They must be no more than `room`. ``free`` is where `probe` ended.
        """
        missing = np.flatnonzero(found < 0)
        while len(missing):
            here = free[missing]
            self.key[here] = keys[missing]
            won = self.key[here] == keys[missing]  # if several keys want one slot, the last write wins
            mine = missing[won]
            found[mine] = free[mine]
            self.mark[free[mine]] = marks[mine]
            self.used += len(mine)
            missing = missing[~won]
            if len(missing):
                _, free[missing] = self.probe(keys[missing])
