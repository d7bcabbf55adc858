"""Sums by tenant: the additive fields of each tenant side by side, for those who look at few tenants at a time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Sums = NDArray[np.int64]


class TenantSums:
    """Sums of some fields as rows ``[tenant, field]``. Memory: 8 bytes a tenant and field.

    Fields are numbered as in `Layout`. It reaches so many tenants as it was told of by `reach`.
    """

    def __init__(self, fields: Sequence[int], sums: Sums | None = None) -> None:
        self.fields = list(fields)
        self._column = {field: column for column, field in enumerate(fields)}
        self._sums = np.zeros((0, len(self.fields)), np.int64) if sums is None else sums

    def reach(self, tenants: int) -> None:
        """So many tenants are known by now."""
        have = len(self._sums)
        if tenants > have:
            grown = np.zeros((max(tenants, 2 * have, 64), len(self.fields)), np.int64)
            grown[:have] = self._sums
            self._sums = grown

    def pick(self, sums: Sums) -> Sums:
        """Of a pane's sums, ``[g, width]``, those that are kept here: ``[g, field]``."""
        return sums[:, self.fields]

    def add(self, tenant: NDArray[np.int32], picked: Sums) -> None:
        """Add what was picked to these tenants ``[g]``, each once."""
        self._sums[tenant] += picked

    def of(self, who: NDArray[np.intp]) -> Sums:
        """All fields of some tenants: ``[k, field]``."""
        return self._sums[who]

    def field(self, number: int, tenants: int) -> Sums:
        """One field's sum for each tenant ``[tenants]``."""
        return self._sums[:tenants, self._column[number]]
