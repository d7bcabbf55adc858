"""The history of a tenant: its decisions, shadow decisions, alerts and reviews, the newest first."""

from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import Column, ColumnElement, Connection, select

from schemas.outputs import Alert, Enforcement
from streams.console.cases.keyset import before
from streams.console.queries.cursors import LIMIT, InvalidCursor, decode_cursor, encode_cursor
from streams.console.tables import ALERTS, CASES, EVENTS, REVIEWS
from streams.consumers.record_decoding import alert_of, event_of

Source = Literal["decision", "shadow", "alert", "review"]
_RANK: Final[tuple[Source, ...]] = ("alert", "shadow", "review", "decision")
"""The order of what has the same time, ascending."""
_DIGITS: Final = 20
"""Of the number of a review in a cursor."""


@dataclass(frozen=True, slots=True)
class ReviewEntry:
    """A review as the topic has it. The decision that names it shows whether it took effect."""

    review_id: str
    enforcement_id: str
    verdict: str
    kind: str | None
    reviewer: str
    reason: str


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line: the time, what it is, and the record. Of a decision its case, and how that case stands now."""

    at_ms: int
    source: Source
    id: str
    record: Enforcement | Alert | ReviewEntry
    case_id: str | None = None
    case_status: str | None = None


def tenant_history(
    connection: Connection, tenant_id: str, after: str | None = None, limit: int = LIMIT
) -> tuple[list[HistoryEntry], str | None]:
    """A page of the history, and the cursor of the next one. Raises InvalidCursor."""
    place = decode_cursor(after, "iis")
    entries = [
        *_events(connection, tenant_id, place, limit),
        *_alerts(connection, tenant_id, place, limit),
        *_reviews(connection, tenant_id, place, limit),
    ]
    entries.sort(key=_key, reverse=True)
    page = entries[:limit]
    return page, encode_cursor(*_key(page[-1])) if len(entries) > limit else None


def _key(entry: HistoryEntry) -> tuple[int, int, str]:
    return entry.at_ms, _RANK.index(entry.source), entry.id


def _before(
    at: Column[int], entry_id: Column[str], source: Source, place: tuple[int | str, ...] | None
) -> ColumnElement[bool]:
    """Whether a row of this source comes after the cursor's, that is: is older."""
    if place is None:
        return at.is_not(None)
    at_ms, rank, last = place
    mine = _RANK.index(source)
    if mine == rank:
        return before(at, entry_id, at_ms, last)
    return at <= at_ms if mine < int(rank) else at < at_ms


def _events(
    connection: Connection, tenant_id: str, place: tuple[int | str, ...] | None, limit: int
) -> list[HistoryEntry]:
    e, found = EVENTS.c, []
    sources: tuple[tuple[Source, bool], ...] = (("decision", False), ("shadow", True))
    for source, shadow in sources:
        query = (
            select(e.decided_ms, e.id, e.value, e.case_id, CASES.c.status)
            .select_from(EVENTS.outerjoin(CASES, CASES.c.id == e.case_id))
            .where(e.tenant_id == tenant_id, e.shadow.is_(shadow), _before(e.decided_ms, e.id, source, place))
            .order_by(e.decided_ms.desc(), e.id.desc())
            .limit(limit + 1)
        )
        found += [
            HistoryEntry(at_ms, source, entry_id, event_of(value), *((None, None) if shadow else case))
            for at_ms, entry_id, value, *case in connection.execute(query)
        ]
    return found


def _alerts(
    connection: Connection, tenant_id: str, place: tuple[int | str, ...] | None, limit: int
) -> list[HistoryEntry]:
    a = ALERTS.c
    query = (
        select(a.since_ms, a.alert_id, a.value)
        .where(a.tenant_id == tenant_id, _before(a.since_ms, a.alert_id, "alert", place))
        .order_by(a.since_ms.desc(), a.alert_id.desc())
        .limit(limit + 1)
    )
    return [HistoryEntry(at_ms, "alert", id_, alert_of(value)) for at_ms, id_, value in connection.execute(query)]


def _reviews(
    connection: Connection, tenant_id: str, place: tuple[int | str, ...] | None, limit: int
) -> list[HistoryEntry]:
    r = REVIEWS.c
    # Two reviews may have one id: the number tells them apart.
    query = (
        select(r.updated_ms, r.number, r.review_id, r.enforcement_id, r.verdict, r.kind, r.reviewer, r.reason)
        .where(r.tenant_id == tenant_id, _before_number(place))
        .order_by(r.updated_ms.desc(), r.number.desc())
        .limit(limit + 1)
    )
    return [
        HistoryEntry(at_ms, "review", f"{number:0{_DIGITS}d}", ReviewEntry(*record))
        for at_ms, number, *record in connection.execute(query)
    ]


def _before_number(place: tuple[int | str, ...] | None) -> ColumnElement[bool]:
    r, mine = REVIEWS.c, _RANK.index("review")
    if place is not None and place[1] == mine:
        number = str(place[2])
        if not (number.isascii() and number.isdigit() and len(number) <= _DIGITS and int(number) < 2**63):
            raise InvalidCursor("expected the `next` of an earlier answer of this list")
        return before(r.updated_ms, r.number, place[0], int(number))
    return _before(r.updated_ms, r.review_id, "review", place)
