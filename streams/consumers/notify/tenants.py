"""Stores tenant states in the database, and ends alerts whose updates are lost."""

from collections.abc import Collection
from typing import Final

import msgspec
from sqlalchemy import Connection, delete, insert, select

from streams.consumers.notify import outbox
from streams.consumers.notify.rules.tenant_state import TenantState
from streams.consumers.notify.tables import TENANTS

_AT_ONCE: Final = 500
_KNOWN = msgspec.json.Decoder(TenantState).decode


def load(connection: Connection, wanted: Collection[str]) -> dict[str, TenantState]:
    """The states of these tenants by id, in order; an unknown tenant has an empty state."""
    tenants = {tenant_id: TenantState() for tenant_id in sorted(wanted)}
    names = list(tenants)
    for at in range(0, len(names), _AT_ONCE):
        rows = select(TENANTS.c.tenant_id, TENANTS.c.known).where(TENANTS.c.tenant_id.in_(names[at : at + _AT_ONCE]))
        tenants.update((tenant_id, _KNOWN(known)) for tenant_id, known in connection.execute(rows))
    return tenants


def save(connection: Connection, tenants: dict[str, TenantState]) -> None:
    """Store these states, except empty ones."""
    names = list(tenants)
    for at in range(0, len(names), _AT_ONCE):
        some = names[at : at + _AT_ONCE]
        connection.execute(delete(TENANTS).where(TENANTS.c.tenant_id.in_(some)))
        rows = [
            {"tenant_id": name, "due_ms": tenants[name].due_ms, "known": msgspec.json.encode(tenants[name]).decode()}
            for name in some
            if not tenants[name].empty
        ]
        if rows:
            connection.execute(insert(TENANTS), rows)


def end_alerts(connection: Connection, channels: Collection[str], now_ms: int) -> None:
    """End all alerts. Only Alertmanager is notified: whether they are over is unknown."""
    for each in outbox.lasting_messages(connection):
        if each.message.what == "alert":
            id_ = f"ended:{each.message.id}"
            ended = msgspec.structs.replace(each.message, id=id_, at_ms=now_ms, standing="off", others=False)
            outbox.enqueue(connection, [ended], channels, now_ms)
    names = list(connection.execute(select(TENANTS.c.tenant_id)).scalars())
    for at in range(0, len(names), _AT_ONCE):
        changed = {}
        for tenant_id, tenant in load(connection, names[at : at + _AT_ONCE]).items():
            for thread in tenant.threads.values():
                if thread.firing or thread.notified:
                    thread.end()
                    changed[tenant_id] = tenant
        save(connection, changed)
