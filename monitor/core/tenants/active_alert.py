"""An alert that stands, and what the judge keeps by tenant so that only what has changed is stored again."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from msgspec import Struct

V = TypeVar("V")


class ActiveAlert(Struct, frozen=True, gc=False):
    """An alert that stands: since when, and the latest decision made while it stood.

    ``early``: it fired before the window that ends at ``since_ms`` was judged, and no judging has confirmed it yet.
    """

    since_ms: int
    enforcement_id: str | None = None
    early: bool = False


class ByTenant(dict[int, V]):
    """Values by tenant. Each tenant whose value is set or removed is added to ``changed``.

    To be changed by ``one[tenant] = value`` and ``del one[tenant]`` alone.
    """

    def __init__(self, changed: set[int] | None = None) -> None:
        super().__init__()
        self._changed = set() if changed is None else changed

    def __setitem__(self, tenant: int, value: V) -> None:
        self._changed.add(tenant)
        super().__setitem__(tenant, value)

    def __delitem__(self, tenant: int) -> None:
        super().__delitem__(tenant)
        self._changed.add(tenant)

    def load(self, stored: Mapping[int, V]) -> None:
        """Become what was stored."""
        self.clear()
        self.update(stored)


class StandingAlerts(Struct):
    """A shard's alerts by rule and tenant: those that stand, and of early ones taken back the end that each named."""

    firing: dict[str, dict[int, ActiveAlert]]
    taken_back: dict[str, dict[int, int]]

    def by_rule(self, rule_id: str) -> tuple[Mapping[int, ActiveAlert], Mapping[int, int]]:
        """Those of one rule."""
        return self.firing.get(rule_id, {}), self.taken_back.get(rule_id, {})

    def add(self, other: "StandingAlerts") -> None:
        """Those of other tenants, too."""
        for rule_id, firing in other.firing.items():
            self.firing.setdefault(rule_id, {}).update(firing)
        for rule_id, named in other.taken_back.items():
            self.taken_back.setdefault(rule_id, {}).update(named)

    def of(self, tenants: Mapping[int, int]) -> "StandingAlerts":
        """Those of these tenants, each under the number that it gets."""

        def renumbered(known: dict[str, dict[int, V]]) -> Iterator[tuple[str, dict[int, V]]]:
            for rule_id, values in known.items():
                mine = {tenants[tenant]: value for tenant, value in values.items() if tenant in tenants}
                if mine:
                    yield rule_id, mine

        return StandingAlerts(dict(renumbered(self.firing)), dict(renumbered(self.taken_back)))
