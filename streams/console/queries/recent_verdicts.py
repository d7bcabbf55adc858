"""The verdicts that were given here in the last days, with what became of them, also after they took effect."""

from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, and_, or_, select

from schemas.outputs import Enforcement
from streams.console.cases.queue import given_lately
from streams.console.queries.cursors import decode_cursor, encode_cursor
from streams.console.tables import EVENTS, TENANTS, VERDICTS
from streams.consumers.record_decoding import event_of

PAGE: Final = 50


class RecentVerdict(NamedTuple):
    """A verdict, the decision it is about, and the tenant's name, if it is known."""

    verdict: Row[Any]
    event: Enforcement
    tenant_name: str | None


def recent_verdicts(
    connection: Connection, now_ms: int, subject: str | None = None, after: str | None = None, limit: int = PAGE
) -> tuple[list[RecentVerdict], str | None]:
    """A page of verdicts, the newest first, and the cursor of the next one; those of ``subject`` if it is given.

    Raises InvalidCursor.
    """
    v, e = VERDICTS.c, EVENTS.c
    where = given_lately(now_ms)
    if subject is not None:
        where = and_(where, v.subject == subject)
    if (place := decode_cursor(after, "ii")) is not None:
        at_ms, number = place
        where = and_(where, or_(v.given_ms < at_ms, and_(v.given_ms == at_ms, v.number < number)))
    query = (
        select(VERDICTS, e.value.label("event"), TENANTS.c.name.label("company"))
        .join(EVENTS, and_(e.id == v.enforcement_id, e.shadow.is_(False)))
        .outerjoin(TENANTS, TENANTS.c.tenant_id == v.tenant_id)
        .where(where)
        .order_by(v.given_ms.desc(), v.number.desc())
        .limit(limit + 1)
    )
    rows = connection.execute(query).all()
    found = [RecentVerdict(row, event_of(row.event), row.company) for row in rows[:limit]]
    last = rows[limit - 1] if len(rows) > limit else None
    return found, None if last is None else encode_cursor(last.given_ms, last.number)
