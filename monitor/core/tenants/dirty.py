"""Dirty tenants: those that changed since the last evaluation."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
_MOST_WAITING: Final = 64


class DirtyTenants:
    """A flag for each tenant. Memory: one byte per tenant, and the columns of `_MOST_WAITING` panes.

    What is marked waits until it is read, and is then marked in one pass: the cost of numpy is per call.
    """

    def __init__(self) -> None:
        self._flags: Flags = np.zeros(0, np.bool_)
        self._waiting: list[NDArray[np.integer]] = []

    def add(self, who: NDArray[np.integer]) -> None:
        """Mark these tenants as changed. They must not be changed in place later."""
        self._waiting.append(who)
        if len(self._waiting) >= _MOST_WAITING:
            self._mark()

    def add_one(self, tenant: int) -> None:
        """Mark a tenant as changed."""
        self._reach(tenant + 1)
        self._flags[tenant] = True

    def take(self, tenants: int) -> Flags:
        """Return the flags of all tenants, ``[tenants]``, and clear them."""
        self._reach(tenants)
        self._mark()
        flags, self._flags = self._flags[:tenants], np.zeros(len(self._flags), np.bool_)
        return flags

    def _mark(self) -> None:
        if not self._waiting:
            return
        who = np.concatenate(self._waiting, dtype=np.intp)  # numpy converts other indices slowly
        self._waiting.clear()
        if len(who):
            self._reach(int(who.max()) + 1)
            self._flags[who] = True

    def _reach(self, tenants: int) -> None:
        have = len(self._flags)
        if tenants > have:
            self._flags = np.pad(self._flags, (0, max(tenants, 2 * have, 64) - have))
