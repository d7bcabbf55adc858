"""Sums by tenant: the additive fields of each tenant are contiguous, for access to few tenants at a time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Sums = NDArray[np.int64]


class TenantSums:
    """Sums of some fields as rows ``[tenant, field]``. Memory: 8 bytes per tenant and field.

    Fields are numbered as in `FieldLayout`. Call `reach` before adding tenants with higher numbers.
    """

    def __init__(self, fields: Sequence[int], sums: Sums | None = None) -> None:
        self.fields = list(fields)
        self._column = {field: column for column, field in enumerate(fields)}
        self._sums = np.zeros((0, len(self.fields)), np.int64) if sums is None else sums

    def reach(self, tenants: int) -> None:
        """Grow to at least ``tenants`` tenants."""
        have = len(self._sums)
        if tenants > have:
            grown = np.zeros((max(tenants, 2 * have, 64), len(self.fields)), np.int64)
            grown[:have] = self._sums
            self._sums = grown

    def pick(self, sums: Sums) -> Sums:
        """The kept fields, ``[g, field]``, of the sums of a pane, ``[g, width]``."""
        return sums[:, self.fields]

    def add(self, tenant: NDArray[np.int32], picked: Sums) -> None:
        """Add picked sums to these tenants ``[g]``, which must be distinct."""
        self._sums[tenant] += picked

    def of(self, who: NDArray[np.intp]) -> Sums:
        """All fields of some tenants, ``[k, field]``."""
        return self._sums[who]

    def field(self, number: int, tenants: int) -> Sums:
        """The sum of one field for each tenant, ``[tenants]``."""
        return self._sums[:tenants, self._column[number]]
