"""The event time of each tenant's first call: the least of its accepted calls of any kind, never forgotten.

An accepted call ends at or after the watermark, so it never changes whether a window that was already judged lies in
the initial period of its tenant.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from monitor.core.codec import FORMAT, Column, Unpacker, array, column, packed

TOGETHER: Final = 1_000
"""The number of tenants in an entry."""

NEVER: Final = np.iinfo(np.int64).max
"""The time of a tenant without a call."""
LONG_AGO: Final = -(1 << 62)
"""The time of a tenant that was known before first calls were stored: no tenant of that time is new."""

_STORED_NEVER, _STORED_LONG_AGO = 0, 1  # no event time is that small
Times = NDArray[np.int64]


class _StoredFirstCalls(Struct, array_like=True):
    format: int
    first_ms: Column


class FirstCalls:
    """The first call of each tenant of a shard, by tenant number."""

    def __init__(self) -> None:
        self._first_ms: Times = np.empty(0, np.int64)
        self._stored = 0  # the number of tenants in the stored state
        self._changed: set[int] = set()  # entries

    def take(self, tenant: NDArray[np.integer], end_ms: Times) -> list[int]:
        """Take accepted calls, each with its tenant and event time. Returns the tenants whose first call is earlier."""
        self._grow(int(tenant.max(initial=-1)) + 1)
        earlier = end_ms < self._first_ms.take(tenant)  # `[]` converts narrow indices slowly
        if not earlier.any():
            return []
        tenant, end_ms = tenant[earlier], end_ms[earlier]
        np.minimum.at(self._first_ms, tenant, end_ms)
        found: list[int] = np.unique(tenant).tolist()
        self._changed.update(number // TOGETHER for number in found)
        return found

    def within(self, who: NDArray[np.integer], first_ms: int | None, end_ms: int) -> NDArray[np.bool_]:
        """For which of these tenants the window end lies in the first ``first_ms`` after their first call."""
        if first_ms is None:
            return np.ones(len(who), np.bool_)
        self._grow(int(who.max(initial=-1)) + 1)
        since_ms = end_ms - self._first_ms[who]
        found: NDArray[np.bool_] = (since_ms > 0) & (since_ms <= first_ms)
        return found

    def changes(self, tenants: int) -> dict[str, bytes]:
        """The entries to store since the last call, of ``tenants`` tenants."""
        self._grow(tenants)
        changed = self._changed
        if tenants > self._stored:
            changed = changed.union(range(self._stored // TOGETHER, -(-tenants // TOGETHER)))
        self._changed, self._stored = set(), tenants
        return _encode(self._first_ms[:tenants], sorted(changed))

    def restore(self, first_ms: Times) -> None:
        """Restore the times of all stored tenants."""
        self._first_ms, self._stored = first_ms, len(first_ms)

    def _grow(self, tenants: int) -> None:
        if tenants > len(self._first_ms):
            more = max(tenants, 2 * len(self._first_ms)) - len(self._first_ms)
            self._first_ms = np.append(self._first_ms, np.full(more, NEVER))


def encode_first_calls(first_ms: Times) -> dict[str, bytes]:
    """All entries of a shard with these first calls."""
    return _encode(first_ms, range(-(-len(first_ms) // TOGETHER)))


def decode_first_calls(entries: Mapping[str, bytes], tenants: int) -> Times:
    """The first calls of ``tenants`` tenants. Raises StateFormatError if the format is unknown."""
    first_ms = np.full(tenants, LONG_AGO)
    unpack = Unpacker(_StoredFirstCalls, "an entry of first calls")
    for number in range(-(-tenants // TOGETHER)):
        blob = entries.get(f"e{number}")
        if blob is not None:
            stored = array(unpack(blob).first_ms, np.int64)
            stored[stored == _STORED_NEVER] = NEVER
            stored[stored == _STORED_LONG_AGO] = LONG_AGO
            first_ms[number * TOGETHER :][: len(stored)] = stored
    return first_ms


def _encode(first_ms: Times, numbers: "list[int] | range") -> dict[str, bytes]:
    entries = {}
    for number in numbers:
        some = first_ms[number * TOGETHER : (number + 1) * TOGETHER].copy()
        some[some == NEVER] = _STORED_NEVER
        some[some == LONG_AGO] = _STORED_LONG_AGO
        entries[f"e{number}"] = packed(_StoredFirstCalls(FORMAT, column(some)))
    return entries
