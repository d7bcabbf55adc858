"""Repeats: how often a tenant may have used one key again, from a few bits per tenant.

The largest count of a tenant rises by at most the number of its calls, but hardly rises if these are of different keys.
Each key sets one of 256 bits of its tenant. A call whose bit was set already may be of a key that came before.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.fields import BIT
from monitor.core.calls.keys import U64
from monitor.core.calls.new_calls import NewCalls
from monitor.policy.metrics import KeySet

_BITS: Final = 256
_MOST_SET: Final = 64  # bits of a tenant: then they are cleared, because most keys would seem to be repeated
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_ATTEMPT, _ANSWERED = np.uint64(1 << BIT["attempts"]), np.uint64(1 << BIT["answered"])
SETS: Final[tuple[KeySet, ...]] = ("callees", "callers", "consents")
"""The sets of keys whose repeats are counted: for consents, those of the consent."""


class Repeats:
    """The repeats of each tenant and set of keys. Memory: 144 bytes per tenant.

    A key is used at most once more than ``count`` rises between two moments.
    """

    def __init__(self) -> None:
        self.count = np.zeros((len(SETS), 0), np.int64)
        self._bits = np.zeros((len(SETS), 0, _BITS // 64), np.uint64)
        self._set = np.zeros((len(SETS), 0), np.int64)

    def of(self, which: KeySet, who: NDArray[np.integer]) -> NDArray[np.int64]:
        """The repeats of these tenants ``[k]``; 0 for a set that is not counted."""
        return self.count[SETS.index(which), who] if which in SETS else np.zeros(len(who), np.int64)

    def reach(self, tenants: int) -> None:
        """Grow to at least ``tenants`` tenants."""
        have = self.count.shape[1]
        if tenants > have:
            more = max(tenants, have + have // 2, 64) - have
            self.count = np.pad(self.count, ((0, 0), (0, more)))
            self._bits = np.pad(self._bits, ((0, 0), (0, more), (0, 0)))
            self._set = np.pad(self._set, ((0, 0), (0, more)))

    def add(self, calls: NewCalls) -> None:
        """Add calls."""
        parts = [(place, *_keys(which, calls)) for place, which in enumerate(SETS)]
        place = np.repeat(np.arange(len(parts)), [len(keys) for _, _, keys in parts])
        tenant = np.concatenate([rows for _, rows, _ in parts])
        bit = (np.concatenate([keys for _, _, keys in parts]) * _SPREAD >> np.uint64(56)).astype(np.int64)
        whose = place * self.count.shape[1] + tenant
        count, bits, is_set = self.count.reshape(-1), self._bits.reshape(-1, _BITS // 64), self._set.reshape(-1)
        codes = np.unique(whose * _BITS + bit)
        owner, bit = np.divmod(codes, _BITS)
        word, mask = bit >> 6, np.uint64(1) << (bit & 63).astype(np.uint64)
        fresh = (bits[owner, word] & mask) == 0
        np.add.at(count, whose, 1)
        np.subtract.at(count, owner[fresh], 1)
        np.bitwise_or.at(bits, (owner, word), mask)
        np.add.at(is_set, owner[fresh], 1)
        full = np.unique(owner[is_set[owner] > _MOST_SET])
        bits[full], is_set[full] = 0, 0
        count[full] += 1


def _keys(which: KeySet, calls: NewCalls) -> tuple[NDArray[np.int32], U64]:
    """The tenants and keys of the calls that a set counts."""
    rows = np.flatnonzero(calls.word & (_ANSWERED if which == "consents" else _ATTEMPT))
    key = {"callees": calls.callee_key, "callers": calls.caller_key, "consents": calls.consent_key}[which]
    return calls.tenant[rows], key[rows].astype(np.uint64)
