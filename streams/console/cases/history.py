"""A case with its events and reviews, as `streams.reviews` judges it."""

from typing import Final

from sqlalchemy import Connection, select

from streams.console.cases.case_counts import has_final
from streams.console.tables import EVENTS, REVIEWS
from streams.consumers.ledger.queries.cases import LedgerCase, cases_of
from streams.consumers.record_decoding import event_of, review_of

_MOST_REVIEWS: Final = 200


def case_of(connection: Connection, case_id: str) -> LedgerCase | None:
    """The case of that id, the id of its first event; None if it is not known."""
    events = connection.execute(
        select(EVENTS.c.value).where(EVENTS.c.case_id == case_id, EVENTS.c.shadow.is_(False))
    ).scalars()
    decoded = [event_of(value) for value in events]
    ids = [event.id for event in decoded]
    about = select(REVIEWS.c.value).where(REVIEWS.c.enforcement_id.in_(ids)).order_by(REVIEWS.c.number)
    about = about.limit(_MOST_REVIEWS)
    reviews = [review_of(value) for value in connection.execute(about).scalars()] if ids else []
    return next((case for case in cases_of(decoded, reviews) if case_id in case.ids), None)


def signed_reviews(connection: Connection, case: LedgerCase) -> list[tuple[bytes, bytes | None]]:
    """The reviews that name the case as they are in the topic, and the headers that signed them."""
    r = REVIEWS.c
    query = select(r.value, r.signature).where(r.enforcement_id.in_(case.ids)).order_by(r.number).limit(_MOST_REVIEWS)
    return [(value, signature) for value, signature in connection.execute(query)]


def find_case(connection: Connection, event_id: str) -> str | None:
    """The id of the case that a decision, a change of one, a reversal or a lapse belongs to."""
    query = select(EVENTS.c.case_id).where(EVENTS.c.id == event_id, EVENTS.c.shadow.is_(False))
    return connection.execute(query).scalar()


def is_banned(connection: Connection, tenant_id: str) -> bool:
    """Whether a final ban of the tenant is in force. It does not know of bans of the owner's other tenants."""
    return has_final(connection, tenant_id, ("ban",))


def decision_delay_ms(connection: Connection) -> int | None:
    """The median delay between event time and publication of the newest decisions; None if there are none.

    A decision is published once the watermark passes its time, so a verdict takes as long.
    """
    e = EVENTS.c
    newest = select(e.timestamp_ms - e.decided_ms).where(e.shadow.is_(False))
    delays = sorted(connection.execute(newest.order_by(e.timestamp_ms.desc()).limit(25)).scalars())
    return max(0, delays[len(delays) // 2]) if delays else None
