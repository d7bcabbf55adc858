"""Dirty tenants: those that changed since the last evaluation."""

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


class DirtyTenants:
    """A flag for each tenant. Memory: one byte per tenant."""

    def __init__(self) -> None:
        self._flags: Flags = np.zeros(0, np.bool_)

    def add(self, who: NDArray[np.integer]) -> None:
        """Mark these tenants (at least one), ascending, as changed."""
        try:
            self._flags[who] = True
        except IndexError:  # rare: most panes have no new tenants
            self._reach(int(who[-1]) + 1)
            self._flags[who] = True

    def add_one(self, tenant: int) -> None:
        """Mark a tenant as changed."""
        if tenant >= len(self._flags):
            self._reach(tenant + 1)
        self._flags[tenant] = True

    def take(self, tenants: int) -> Flags:
        """Return the flags of all tenants, ``[tenants]``, and clear them."""
        self._reach(tenants)
        flags, self._flags = self._flags[:tenants], np.zeros_like(self._flags)
        return flags

    def _reach(self, tenants: int) -> None:
        have = len(self._flags)
        if tenants > have:
            self._flags = np.pad(self._flags, (0, max(tenants, 2 * have, 64) - have))
