"""Storage of firing alerts, in pages of consecutive tenant numbers for all rules.

Entries: ``a<page>``. An alert that fires or is resolved rewrites one small page. The head holds no alerts, so its size
does not depend on the number of tenants in breach.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from monitor.core.codec import FORMAT, Unpacker, packed
from monitor.core.tenants.active_alert import ActiveAlert, ActiveAlerts

TENANTS_TOGETHER: Final = 16


class _StoredFiring(Struct, array_like=True, gc=False):
    tenant: int
    rule_id: str
    since_ms: int
    enforcement_id: str | None
    early: bool


class _StoredEnd(Struct, array_like=True, gc=False):
    tenant: int
    rule_id: str
    end_ms: int


class _StoredPage(Struct, array_like=True):
    format: int
    firing: list[_StoredFiring]
    taken_back: list[_StoredEnd]


class AlertStore:
    """Tracks the tenants whose alerts changed since they were last stored (``changed``), and the stored pages."""

    def __init__(self) -> None:
        self.changed: set[int] = set()
        self._pages: set[int] = set()

    def changes(self, alerts: ActiveAlerts) -> dict[str, bytes | None]:
        """The pages that changed since the last call. None marks a page to delete."""
        numbers = sorted({tenant // TENANTS_TOGETHER for tenant in self.changed})
        self.changed.clear()
        changes: dict[str, bytes | None] = {}
        for number in numbers:
            page = _page(number, alerts)
            if page is not None:
                self._pages.add(number)
                changes[_key(number)] = page
            elif number in self._pages:
                self._pages.remove(number)
                changes[_key(number)] = None
        return changes

    def restore(self, entries: Mapping[str, bytes]) -> ActiveAlerts:
        """Load the stored alerts. Raises StateFormatError if a format is unknown."""
        alerts = decode_alerts(entries)
        self._pages = set(_numbers(entries))
        self.changed.clear()
        return alerts


def encode_alerts(alerts: ActiveAlerts) -> dict[str, bytes]:
    """Encode alerts as pages."""
    tenants = {tenant for known in (alerts.firing, alerts.taken_back) for values in known.values() for tenant in values}
    pages = sorted({tenant // TENANTS_TOGETHER for tenant in tenants})
    return {_key(number): page for number in pages if (page := _page(number, alerts))}


def decode_alerts(entries: Mapping[str, bytes]) -> ActiveAlerts:
    """Decode the alerts of all stored pages. Raises StateFormatError if a format is unknown."""
    alerts, unpack = ActiveAlerts({}, {}), Unpacker(_StoredPage, "a page of alerts")
    for number in sorted(_numbers(entries)):
        page = unpack(entries[_key(number)])
        for one in page.firing:
            alerts.firing.setdefault(one.rule_id, {})[one.tenant] = ActiveAlert(
                one.since_ms, one.enforcement_id, one.early
            )
        for end in page.taken_back:
            alerts.taken_back.setdefault(end.rule_id, {})[end.tenant] = end.end_ms
    return alerts


def _page(number: int, alerts: ActiveAlerts) -> bytes | None:
    """The page with that number; None if it is empty."""
    firing, taken_back = alerts.firing, alerts.taken_back
    tenants = range(number * TENANTS_TOGETHER, (number + 1) * TENANTS_TOGETHER)
    fires = [
        _StoredFiring(tenant, rule_id, one.since_ms, one.enforcement_id, one.early)
        for rule_id in sorted(firing)
        for tenant in tenants
        if (one := firing[rule_id].get(tenant)) is not None
    ]
    ends = [
        _StoredEnd(tenant, rule_id, taken_back[rule_id][tenant])
        for rule_id in sorted(taken_back)
        for tenant in tenants
        if tenant in taken_back[rule_id]
    ]
    return packed(_StoredPage(FORMAT, fires, ends)) if fires or ends else None


def _key(number: int) -> str:
    return f"a{number}"


def _numbers(entries: Iterable[str]) -> Iterator[int]:
    return (int(key[1:]) for key in entries if key[:1] == "a" and key[1:].isdigit())
