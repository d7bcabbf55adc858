"""Tenant numbers: the tenants of a shard are numbered in the order in which they were first read."""

from collections.abc import Callable, Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray


class TenantNumbers:
    """Numbers from 0, which never change. ``on_new`` is called with each new id and its number.

    The first ``stored`` ids are in the stored state.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.stored = 0
        self.by_name: dict[str, int] = {}
        self.on_new: Callable[[str, int], None] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def of(self, tenant_id: str) -> int:
        """The number of a tenant. Assigns a new one if it has none."""
        number = self.by_name.get(tenant_id)
        if number is None:
            number = self.by_name[tenant_id] = len(self.names)
            self.names.append(tenant_id)
            if self.on_new is not None:
                self.on_new(tenant_id, number)
        return number

    def of_calls(self, names: Sequence[str], place: NDArray[np.int32]) -> NDArray[np.int32]:
        """The number of the tenant of each call, whose ``place`` in ``names`` is given.

        The table also names tenants whose calls were late or rejected. Only those of these calls get a number.
        """
        numbers = np.fromiter(map(self.by_name.get, names, repeat(-1)), np.int32, len(names))
        found = numbers.take(place)  # `[]` converts narrow indices slowly
        if found.min(initial=0) >= 0:
            return found
        used = np.zeros(len(names), np.bool_)
        used[place] = True
        for new in np.flatnonzero((numbers < 0) & used).tolist():
            numbers[new] = self.of(names[new])
        return numbers.take(place)
