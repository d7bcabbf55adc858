"""One tenant: who it is, how it stands, what holds its refunds, and the tenants of the same owner."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, func, select

from schemas.outputs import Enforcement
from streams.console.cases.case_counts import case_counts
from streams.console.queries.cursors import decode_cursor, encode_cursor
from streams.console.tables import ALERTS, CASES, EVENTS, TENANTS
from streams.consumers.record_decoding import event_of

SIBLINGS: Final = 50
OPEN_CASES: Final = 200
_OPEN: Final = ("pending", "final")
_SANCTIONS: Final = ("warning", "termination", "ban")
_RANK: Final = ("banned", "terminated", "pending", "warned", "refused", "clear", "watched")


@dataclass(frozen=True, slots=True)
class TenantIdentity:
    """The newest `tenant` record; of a tenant without one only the id is known."""

    tenant_id: str
    name: str | None = None
    owner_id: str | None = None
    businesses: tuple[str, ...] = ()
    numbers: int = 0
    updated_ms: int | None = None


@dataclass(frozen=True, slots=True)
class TenantStatus:
    """How a tenant stands: a key of `monitor.report.labels.STANDINGS`, its violations, pending cases, firing alerts.

    ``open``: how many of its cases are pending or in force.
    """

    standing: str
    violations: int
    pending: int
    alerts: int
    open: int


@dataclass(frozen=True, slots=True)
class OpenCase:
    """A case of the tenant that is pending or in force, with its event in force."""

    case_id: str
    status: str
    event: Enforcement

    @property
    def holds_refunds(self) -> bool:
        """Whether it freezes refunds now."""
        return self.event.data.refunds == "frozen"

    @property
    def is_violation(self) -> bool:
        """Whether it is a violation on record."""
        return self.status == "final" and "record_violation" in self.event.data.actions


@dataclass(frozen=True, slots=True)
class TenantOverview:
    """What the head of a tenant's page shows. ``open_cases``: the newest `OPEN_CASES`."""

    identity: TenantIdentity
    status: TenantStatus
    open_cases: list[OpenCase]
    siblings: list[tuple[TenantIdentity, TenantStatus]]
    is_known: bool


def tenant_overview(connection: Connection, tenant_id: str) -> TenantOverview:
    """The tenant; ``is_known`` is False if no topic has named it."""
    identity = identities(connection, TENANTS.c.tenant_id == tenant_id)
    mine = identity[0] if identity else TenantIdentity(tenant_id)
    related: list[TenantIdentity] = []
    if mine.owner_id is not None:
        same = and_(TENANTS.c.owner_id == mine.owner_id, TENANTS.c.tenant_id != tenant_id)
        related = identities(connection, same, SIBLINGS)
    status = tenant_statuses(connection, [tenant_id, *(each.tenant_id for each in related)])
    known = bool(identity) or status[tenant_id].standing != "watched" or _has_alert(connection, tenant_id)
    siblings = [(each, status[each.tenant_id]) for each in related]
    return TenantOverview(mine, status[tenant_id], _open_cases(connection, tenant_id), siblings, known)


def list_tenants(
    connection: Connection, after: str | None, limit: int
) -> tuple[list[tuple[TenantIdentity, TenantStatus]], str | None]:
    """A page of all tenants by id, and the cursor of the next one. Raises InvalidCursor."""
    place = decode_cursor(after, "s")
    where = TENANTS.c.tenant_id.is_not(None) if place is None else TENANTS.c.tenant_id > place[0]
    found = identities(connection, where, limit + 1)
    page = found[:limit]
    status = tenant_statuses(connection, [each.tenant_id for each in page])
    following = encode_cursor(page[-1].tenant_id) if len(found) > limit else None
    return [(each, status[each.tenant_id]) for each in page], following


def tenant_statuses(connection: Connection, tenant_ids: Sequence[str]) -> dict[str, TenantStatus]:
    """The status of each of these tenants."""
    counted, a = case_counts(connection, tenant_ids), ALERTS.c
    alerts = select(a.tenant_id, func.count()).where(a.tenant_id.in_(tenant_ids), a.state == "firing")
    firing = {row[0]: int(row[1]) for row in connection.execute(alerts.group_by(a.tenant_id))}
    return {tenant_id: _status(counted[tenant_id], firing.get(tenant_id, 0)) for tenant_id in tenant_ids}


def _status(counts: Mapping[tuple[str, str], int], firing: int) -> TenantStatus:
    in_force = sum(n for (status, _), n in counts.items() if status in _OPEN)
    pending = sum(n for (status, _), n in counts.items() if status == "pending")
    violations = sum(n for (status, kind), n in counts.items() if status == "final" and kind in _SANCTIONS)
    applies = {
        "banned": ("final", "ban") in counts,
        "terminated": ("final", "termination") in counts,
        "pending": pending > 0,
        "warned": violations > 0,
        "refused": ("final", "admission_rejected") in counts,
        "clear": bool(counts),
    }
    standing = next((name for name in _RANK if applies.get(name)), "watched")
    return TenantStatus(standing, violations, pending, firing, in_force)


def _open_cases(connection: Connection, tenant_id: str) -> list[OpenCase]:
    c, e = CASES.c, EVENTS.c
    found: list[Row[Any]] = []
    for status in _OPEN:  # each by its index: both together would be sorted
        query = select(c.decided_ms, c.id, c.status, c.in_force_id).where(c.tenant_id == tenant_id, c.status == status)
        found += connection.execute(query.order_by(c.decided_ms.desc(), c.id.desc()).limit(OPEN_CASES))
    newest = sorted(found, key=lambda row: (row.decided_ms, row.id), reverse=True)[:OPEN_CASES]
    named = select(e.id, e.value).where(e.id.in_([row.in_force_id for row in newest]), e.shadow.is_(False))
    values = {row.id: row.value for row in connection.execute(named)} if newest else {}
    return [OpenCase(r.id, r.status, event_of(values[r.in_force_id])) for r in newest if r.in_force_id in values]


def identities(connection: Connection, where: ColumnElement[bool], limit: int = 1) -> list[TenantIdentity]:
    """The tenants for which ``where`` holds, by id."""
    t = TENANTS.c
    query = select(t.tenant_id, t.name, t.owner_id, t.businesses, t.numbers, t.updated_ms).where(where)
    return [
        TenantIdentity(tenant, name, owner, tuple(msgspec.json.decode(businesses, type=list[str])), numbers, updated)
        for tenant, name, owner, businesses, numbers, updated in connection.execute(
            query.order_by(t.tenant_id).limit(limit)
        )
    ]


def _has_alert(connection: Connection, tenant_id: str) -> bool:
    query = select(ALERTS.c.alert_id).where(ALERTS.c.tenant_id == tenant_id).limit(1)
    return connection.execute(query).first() is not None
