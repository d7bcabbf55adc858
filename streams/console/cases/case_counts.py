"""How many cases a tenant has, by status and kind, kept as they change: to count them would read each of them."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, select, update

from streams.console.tables import CASE_COUNTS
from streams.consumers.sql_common import insert_new


def count_case(connection: Connection, tenant_id: str, status: str, kind: str, change: int) -> None:
    """Count a case that has this status and kind now, or with ``change`` -1 one that had them."""
    n = CASE_COUNTS.c
    changed = update(CASE_COUNTS).where(n.tenant_id == tenant_id, n.status == status, n.kind == kind)
    changed = changed.values(cases=n.cases + change)
    if connection.execute(changed).rowcount == 0:
        row = {"tenant_id": tenant_id, "status": status, "kind": kind, "cases": 0}
        connection.execute(insert_new(connection, CASE_COUNTS).values(row))
        connection.execute(changed)


def case_counts(connection: Connection, tenant_ids: Sequence[str]) -> dict[str, dict[tuple[str, str], int]]:
    """The counts of each of these tenants by status and kind, without those that are 0."""
    n, found = CASE_COUNTS.c, {tenant_id: dict[tuple[str, str], int]() for tenant_id in tenant_ids}
    query = select(n.tenant_id, n.status, n.kind, n.cases).where(n.tenant_id.in_(tenant_ids), n.cases > 0)
    for tenant_id, status, kind, cases in connection.execute(query):
        found[tenant_id][status, kind] = cases
    return found


def has_final(connection: Connection, tenant_id: str, kinds: Collection[str]) -> bool:
    """Whether a final decision of one of these kinds is in force."""
    return any(status == "final" and kind in kinds for status, kind in case_counts(connection, [tenant_id])[tenant_id])
