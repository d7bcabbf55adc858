"""Tenant columns: numbers of each tenant, in columns that come and go.

The numbers of a tenant are contiguous, for access to few tenants at a time.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
_MORE_COLUMNS = 32


class TenantColumns:
    """A table ``[tenant, column]``. Memory: 8 bytes per tenant and column.

    Columns are reserved in blocks. Call `reach` before using tenants with higher numbers.
    """

    def __init__(self) -> None:
        self.values = np.zeros((0, 0), np.int64)
        self._used = 0
        self._free: defaultdict[int, list[int]] = defaultdict(list)  # the first columns of released blocks, by width

    def reserve(self, width: int) -> int:
        """Reserve ``width`` consecutive columns; return the first. Their numbers are 0."""
        if self._free[width]:
            first = self._free[width].pop()
            self.values[:, first : first + width] = 0
            return first
        self.expect(width)
        first, self._used = self._used, self._used + width
        return first

    def expect(self, width: int) -> None:
        """Make room for that many columns at once."""
        columns = -(-(self._used + width) // _MORE_COLUMNS) * _MORE_COLUMNS
        self._resize(len(self.values), max(self.values.shape[1], columns))

    def release(self, first: int, width: int) -> None:
        """Make the columns of a block available again."""
        self._free[width].append(first)

    def reach(self, tenants: int) -> None:
        """Grow to at least ``tenants`` tenants."""
        have, columns = self.values.shape
        if tenants > have:
            self._resize(max(tenants, have + have // 2, 64), columns)

    def column(self, number: int, tenants: int) -> Counts:
        """One column of each tenant, ``[tenants]``."""
        return self.values[:tenants, number]

    def of(self, who: NDArray[np.integer]) -> Counts:
        """All columns of some tenants, ``[k, column]``."""
        return self.values.take(who, axis=0)

    def _resize(self, tenants: int, columns: int) -> None:
        have = self.values
        if have.shape == (tenants, columns):
            return
        self.values = np.zeros((tenants, columns), np.int64)
        self.values[: have.shape[0], : have.shape[1]] = have


class TenantSums:
    """Sums of some fields by tenant, in columns of a table. Fields are numbered as in `FieldLayout`."""

    def __init__(self, table: TenantColumns, first: int, fields: Sequence[int]) -> None:
        self.fields = list(fields)
        self._table = table
        self._first = first
        self._column = {field: first + place for place, field in enumerate(fields)}

    @property
    def tenants(self) -> int:
        """The number of tenants that the table has rows for."""
        return len(self._table.values)

    def column(self, number: int) -> int:
        """The column of a field."""
        return self._column[number]

    def set(self, rows: Counts) -> None:
        """Set the sums of the first tenants, ``[tenant, field]``."""
        self._table.values[: len(rows), self._first : self._first + len(self.fields)] = rows

    def add(self, tenant: NDArray[np.integer], sums: Counts) -> None:
        """Add the sums of a pane ``[g, width]`` to these tenants ``[g]``, which must be distinct."""
        self._table.values[tenant, self._first : self._first + len(self.fields)] += sums[:, self.fields]

    def field(self, number: int, tenants: int) -> Counts:
        """The sum of one field for each tenant, ``[tenants]``."""
        return self._table.column(self._column[number], tenants)
