"""Levels: running sums of the additive fields over one window length, for all tenants at once."""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Sums = NDArray[np.int64]


class Level:
    """The sums of ``[end - window_ms, end)`` as dense rows ``[field, tenant]`` of the fields that rules ask for.

    A pane enters by one indexed addition and leaves by one subtraction. Fields are numbered as in `Layout`;
    field 0, the number of records, is always kept. Memory: 8 bytes a tenant and field, and 1 to 4 for each pane in
    which the tenant called.
    """

    def __init__(self, window_ms: int, fields: Sequence[int]) -> None:
        self.window_ms = window_ms
        self._fields = sorted({0, *fields})
        self._row = {field: row for row, field in enumerate(self._fields)}
        self._sums: Sums = np.zeros((len(self._fields), 0), np.int64)
        self._inside: deque[tuple[int, NDArray[np.int32], NDArray[np.signedinteger]]] = deque()
        self.records = 0  # how many call records the window holds, of all tenants
        self.version = 0  # changes with every pane that enters or leaves

    def enter(self, start_ms: int, tenant: NDArray[np.int32], sums: Sums, tenants: int) -> None:
        """Add a sealed pane; ``tenants`` is how many the shard knows by now."""
        if not len(tenant):
            return
        mine = self.add(tenant, sums, tenants)
        # A month of panes is kept in as few bytes as their numbers need.
        self._inside.append((start_ms, tenant, mine.astype(np.min_scalar_type(-1 - int(mine.max())))))
        self.version += 1

    def add(self, tenant: NDArray[np.int32], sums: Sums, tenants: int) -> Sums:
        """Add what will not leave again; what was added, as ``[field, g]``."""
        self._grow(tenants)
        mine = np.ascontiguousarray(sums[:, self._fields].T)
        self._sums[:, tenant] += mine
        self.records += int(mine[0].sum())
        return mine

    def merge(self, other: "Level") -> None:
        """Add all that another level holds, which must have all of this one's fields."""
        count = other._sums.shape[1]
        self._grow(count)
        self._sums[:, :count] += other._sums[[other._row[field] for field in self._fields]]
        self.records += other.records

    def ahead(self, before_ms: int, tenants: int) -> "Level":
        """What this level will be, of what it holds now, once what began before ``before_ms`` has left."""
        copy = Level(self.window_ms, self._fields)
        copy._grow(tenants)
        count = min(copy._sums.shape[1], self._sums.shape[1])
        copy._sums[:, :count] = self._sums[:, :count]
        copy.records = self.records
        for start_ms, tenant, mine in self._inside:
            if start_ms >= before_ms:
                break
            copy._sums[:, tenant] -= mine
            copy.records -= int(mine[0].sum())
        return copy

    def _grow(self, tenants: int) -> None:
        have = self._sums.shape[1]
        if tenants > have:
            grown = np.zeros((len(self._fields), max(tenants, 2 * have, 64)), np.int64)
            grown[:, :have] = self._sums
            self._sums = grown

    def leave(self, before_ms: int) -> None:
        """Take away the panes that began before ``before_ms``, the window's start."""
        while self._inside and self._inside[0][0] < before_ms:
            _, tenant, mine = self._inside.popleft()
            self._sums[:, tenant] -= mine
            self.records -= int(mine[0].sum())
            self.version += 1

    @property
    def fields(self) -> Sequence[int]:
        """The fields that it keeps."""
        return self._fields

    def field(self, number: int, tenants: int) -> Sums:
        """One field's sum for each tenant ``[tenants]``."""
        row: Sums = self._sums[self._row[number]]
        if len(row) >= tenants:
            return row[:tenants]
        return np.pad(row, (0, tenants - len(row)))
