"""The applications that wait for a person, each with the rows of the catalogue that its text comes near."""

from dataclasses import dataclass

from sqlalchemy import Connection, and_, select

from monitor.policy.catalogue import Catalogue, CatalogueHit
from schemas.outputs import Enforcement
from streams.console.cases.keyset import later
from streams.console.queries.cursors import LIMIT, decode_cursor, encode_cursor
from streams.console.tables import APPLICATIONS, CASES, EVENTS
from streams.consumers.record_decoding import event_of


@dataclass(frozen=True, slots=True)
class WaitingApplication:
    """An application and its decision. ``business`` and ``scenario`` are None if its record is not known here."""

    case_id: str
    event: Enforcement
    application_id: str
    business: str | None
    scenario: str | None
    hits: list[CatalogueHit]


def waiting_applications(
    connection: Connection, catalogue: Catalogue, after: str | None = None, limit: int = LIMIT
) -> tuple[list[WaitingApplication], str | None]:
    """A page, the longest waiting first, and the cursor of the next one. Raises InvalidCursor."""
    c, e = CASES.c, EVENTS.c
    query = (
        select(c.id, c.order_ms, e.value)
        .join(EVENTS, and_(e.id == c.in_force_id, e.shadow.is_(False)))
        .where(c.queue == "admissions")
        .order_by(c.order_ms, c.id)
        .limit(limit + 1)
    )
    if (place := decode_cursor(after, "is")) is not None:
        query = query.where(later(c.order_ms, c.id, *place))
    rows = connection.execute(query).all()
    waiting = [_waiting(connection, catalogue, case_id, event_of(value)) for case_id, _, value in rows[:limit]]
    following = encode_cursor(rows[limit - 1][1], rows[limit - 1][0]) if len(rows) > limit else None
    return waiting, following


def _waiting(connection: Connection, catalogue: Catalogue, case_id: str, event: Enforcement) -> WaitingApplication:
    a, named = APPLICATIONS.c, event.data.evidence.application_ids
    application_id = named[0] if named else ""
    query = select(a.declared_business, a.scenario).where(
        a.tenant_id == event.subject, a.application_id == application_id
    )
    business, scenario = connection.execute(query).first() or (None, None)
    hits = [hit for text in (business, scenario) if text for hit in catalogue.explain(text)]
    return WaitingApplication(case_id, event, application_id, business, scenario, hits[:20])
