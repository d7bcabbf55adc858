"""Called tenants: those with accepted calls in the current hour of event time."""

import numpy as np
from numpy.typing import NDArray

from monitor.core.windows.window import HOUR_MS


class CalledTenants:
    """A flag for each tenant with a call in the hour that begins at ``hour_ms``. Memory: one byte per tenant."""

    def __init__(self) -> None:
        self._flags = np.zeros(0, np.bool_)
        self.hour_ms: int | None = None

    @property
    def end_ms(self) -> int | None:
        """The end of the hour; None if nobody has called since the last one."""
        return None if self.hour_ms is None else self.hour_ms + HOUR_MS

    def add(self, start_ms: int, tenants: NDArray[np.integer]) -> None:
        """Mark the tenants of a pane, ascending. Panes of the next hour follow only after `clear`."""
        if not len(tenants):
            return
        self.hour_ms = start_ms // HOUR_MS * HOUR_MS
        most = int(tenants[-1]) + 1
        if most > len(self._flags):
            self._flags = np.pad(self._flags, (0, max(most, 2 * len(self._flags), 64) - len(self._flags)))
        self._flags[tenants.astype(np.intp)] = True  # numpy converts other indices slowly

    def flags(self, tenants: int) -> NDArray[np.bool_]:
        """Which of the first ``tenants`` tenants are marked."""
        if tenants > len(self._flags):
            return np.pad(self._flags, (0, tenants - len(self._flags)))
        return self._flags[:tenants]

    def clear(self) -> None:
        """Begin the next hour."""
        self._flags[:] = False
        self.hour_ms = None
