"""Running sums of the additive fields over one window length, for all tenants at once."""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.core.tenants.dirty import DirtyTenants
from monitor.core.windows import native_sums

Sums = NDArray[np.int64]
_WIDTHS = (np.int8, np.int16, np.int32, np.int64)
_LARGEST = [int(np.iinfo(width).max) for width in _WIDTHS]


class RunningSums:
    """The sums over ``[end - window_ms, end)`` as dense rows ``[field, tenant]``, for the fields that rules use.

    A pane enters by one indexed addition and leaves by one subtraction. Fields are numbered as in `FieldLayout`;
    field 0, the number of records, is always kept. Memory: 8 bytes per tenant and field, and 1 to 4 for each pane in
    which the tenant called.
    """

    def __init__(self, window_ms: int, fields: Sequence[int]) -> None:
        self.window_ms = window_ms
        self._fields = sorted({0, *fields})
        self._columns = np.array(self._fields, np.int32)
        self._row = {field: row for row, field in enumerate(self._fields)}
        self._sums: Sums = np.zeros((len(self._fields), 0), np.int64)
        self._inside: deque[tuple[int, NDArray[np.int32], NDArray[np.signedinteger]]] = deque()
        self.records = 0  # the number of call records in the window, of all tenants
        self.version = 0  # changes with every pane that enters or leaves
        self.watched: list[DirtyTenants] = []  # notified of the tenants whose sums change

    def enter(self, start_ms: int, tenant: NDArray[np.int32], sums: Sums, tenants: int) -> None:
        """Add a closed pane. ``tenants`` is the number of tenants in the shard."""
        if not len(tenant):
            return
        self._reach(tenants)
        if native_sums.enabled:
            mine, records, largest = native_sums.enter(self._sums, self._columns, tenant, sums)
        else:
            mine = sums.T[self._fields]
            self._add(tenant, mine)
            records, largest = int(mine[0].sum()), int(mine.max())
        self.records += records
        # Windows hold up to a month of panes, so keep their sums at the narrowest dtype.
        self._inside.append((start_ms, tenant, mine.astype(_WIDTHS[bisect_left(_LARGEST, largest)])))
        self._changed(tenant)

    def leave(self, before_ms: int) -> None:
        """Remove the panes that begin before ``before_ms``, the window start."""
        while self._inside and self._inside[0][0] < before_ms:
            _, tenant, mine = self._inside.popleft()
            if native_sums.enabled:
                self.records -= native_sums.leave(self._sums, tenant, mine)
            else:
                self._add(tenant, -mine)
                self.records -= int(mine[0].sum())
            self._changed(tenant)

    def _add(self, tenant: NDArray[np.int32], mine: NDArray[np.signedinteger]) -> None:
        fields, tenants = self._sums.shape
        # One flat index: in numpy, adding to selected columns of all rows takes twice as long.
        self._sums.reshape(-1)[np.arange(0, fields * tenants, tenants)[:, None] + tenant] += mine

    def _changed(self, tenant: NDArray[np.int32]) -> None:
        self.version += 1
        for touched in self.watched:
            touched.add(tenant)

    def _reach(self, tenants: int) -> None:
        have = self._sums.shape[1]
        if tenants > have:
            self._sums = np.pad(self._sums, ((0, 0), (0, max(tenants, 2 * have, 64) - have)))

    @property
    def fields(self) -> Sequence[int]:
        """The fields that are kept."""
        return self._fields

    def ahead(self, before_ms: int, tenants: int) -> Sums:
        """The current sums without the panes that begin before ``before_ms``, ``[tenants, field]``."""
        count = min(tenants, self._sums.shape[1])
        rows = np.zeros((tenants, len(self._fields)), np.int64)
        rows[:count] = self._sums[:, :count].T
        for start_ms, tenant, mine in self._inside:
            if start_ms >= before_ms:
                break
            rows[tenant] -= mine.T
        return rows

    def of(self, who: NDArray[np.intp]) -> Sums:
        """The sums of all fields for some tenants, ascending: ``[field, k]``."""
        self._reach(int(who[-1]) + 1)
        return self._sums.take(who, axis=1)

    def of_all(self, tenants: int) -> Sums:
        """The sums of all fields for at least ``tenants`` tenants, ``[field, tenant]``, where they are."""
        self._reach(tenants)
        return self._sums

    def field(self, number: int, tenants: int) -> Sums:
        """The sum of one field for each tenant, ``[tenants]``."""
        row: Sums = self._sums[self._row[number]]
        if len(row) >= tenants:
            return row[:tenants]
        return np.pad(row, (0, tenants - len(row)))
