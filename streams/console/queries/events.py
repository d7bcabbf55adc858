"""All enforcement events, of one tenant or of all, the newest first."""

from sqlalchemy import Connection, select

from schemas.outputs import Enforcement
from streams.console.cases.keyset import before
from streams.console.queries.cursors import decode_cursor, encode_cursor
from streams.console.tables import EVENTS
from streams.consumers.record_decoding import event_of


def list_events(
    connection: Connection, tenant_id: str | None, from_ms: int | None, after: str | None, limit: int
) -> tuple[list[Enforcement], str | None]:
    """A page of events, and the cursor of the next one. Raises InvalidCursor."""
    e = EVENTS.c
    query = select(e.decided_ms, e.id, e.value).where(e.shadow.is_(False))
    if tenant_id is not None:
        query = query.where(e.tenant_id == tenant_id)
    if from_ms is not None:
        query = query.where(e.decided_ms >= from_ms)
    if (place := decode_cursor(after, "is")) is not None:
        query = query.where(before(e.decided_ms, e.id, *place))
    rows = connection.execute(query.order_by(e.decided_ms.desc(), e.id.desc()).limit(limit + 1)).all()
    following = encode_cursor(rows[limit - 1][0], rows[limit - 1][1]) if len(rows) > limit else None
    return [event_of(value) for _, _, value in rows[:limit]], following
