"""Firing alerts, and values by tenant with change tracking, so that only changes are stored again."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

V = TypeVar("V")


class ActiveAlert(Struct, frozen=True, gc=False):
    """A firing alert: its start, and the latest decision made while it fired.

    ``early``: it fired before the window that ends at ``since_ms`` was evaluated, and no evaluation has confirmed it
    yet.
    """

    since_ms: int
    enforcement_id: str | None = None
    early: bool = False


class ByTenant(dict[int, V]):
    """Values by tenant. Each tenant whose value is set or removed is added to ``changed``.

    Only ``one[tenant] = value`` and ``del one[tenant]`` track changes; do not use other mutating methods than `load`.
    """

    def __init__(self, changed: set[int] | None = None) -> None:
        super().__init__()
        self._changed = set() if changed is None else changed
        self._tenants: NDArray[np.intp] | None = None

    def __setitem__(self, tenant: int, value: V) -> None:
        self._changed.add(tenant)
        if tenant not in self:
            self._tenants = None
        super().__setitem__(tenant, value)

    def __delitem__(self, tenant: int) -> None:
        super().__delitem__(tenant)
        self._changed.add(tenant)
        self._tenants = None

    @property
    def tenants(self) -> NDArray[np.intp]:
        """The tenants that have a value, ascending, ``[n]``. It is kept until one comes or goes: do not change it."""
        if self._tenants is None:
            self._tenants = np.array(sorted(self), np.intp)
        return self._tenants

    def load(self, stored: Mapping[int, V]) -> None:
        """Replace all values by stored ones, without marking changes."""
        self.clear()
        self.update(stored)
        self._tenants = None


class ActiveAlerts(Struct):
    """The alerts of a shard by rule and tenant: firing alerts, and the end that each withdrawn early alert named."""

    firing: dict[str, dict[int, ActiveAlert]]
    taken_back: dict[str, dict[int, int]]

    def by_rule(self, rule_id: str) -> tuple[Mapping[int, ActiveAlert], Mapping[int, int]]:
        """The alerts of one rule."""
        return self.firing.get(rule_id, {}), self.taken_back.get(rule_id, {})

    def add(self, other: "ActiveAlerts") -> None:
        """Add the alerts of other tenants."""
        for rule_id, firing in other.firing.items():
            self.firing.setdefault(rule_id, {}).update(firing)
        for rule_id, named in other.taken_back.items():
            self.taken_back.setdefault(rule_id, {}).update(named)

    def of(self, tenants: Mapping[int, int]) -> "ActiveAlerts":
        """The alerts of these tenants, under the new numbers that ``tenants`` maps to."""

        def renumbered(known: dict[str, dict[int, V]]) -> Iterator[tuple[str, dict[int, V]]]:
            for rule_id, values in known.items():
                mine = {tenants[tenant]: value for tenant, value in values.items() if tenant in tenants}
                if mine:
                    yield rule_id, mine

        return ActiveAlerts(dict(renumbered(self.firing)), dict(renumbered(self.taken_back)))
