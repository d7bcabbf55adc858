"""Touched: the tenants of whom something has changed since somebody looked last."""

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


class DirtyTenants:
    """A flag for each tenant. Memory: a byte a tenant."""

    def __init__(self) -> None:
        self._flags: Flags = np.zeros(0, np.bool_)

    def add(self, who: NDArray[np.integer]) -> None:
        """Something of these tenants (at least one), ascending, has changed."""
        self._reach(int(who[-1]) + 1)
        self._flags[who] = True

    def add_one(self, tenant: int) -> None:
        """Something of this tenant has changed."""
        self._reach(tenant + 1)
        self._flags[tenant] = True

    def take(self, tenants: int) -> Flags:
        """The flags ``[tenants]`` of everybody who is known by now; they begin anew."""
        self._reach(tenants)
        flags, self._flags = self._flags[:tenants], np.zeros_like(self._flags)
        return flags

    def _reach(self, tenants: int) -> None:
        have = len(self._flags)
        if tenants > have:
            self._flags = np.pad(self._flags, (0, max(tenants, 2 * have, 64) - have))
