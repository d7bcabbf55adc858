"""Look-up of cases in the ledger's entries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from sqlalchemy import ColumnElement, Connection, or_, select

from schemas.inputs import Review
from schemas.outputs import Enforcement
from streams.consumers.ledger.entries import without_nul
from streams.consumers.ledger.queries.cases import LedgerCase, Status, cases_of, once
from streams.consumers.ledger.tables import ENTRIES, LISTED, POSITIONS
from streams.consumers.record_decoding import event_of, review_of

_AT_ONCE = 400
_NEWEST = 5
_TAKES_BACK = ("reversal", "lapse", "review")


@dataclass(frozen=True, slots=True)
class CaseQuery:
    """A filter for cases: all given conditions must hold. Times are those of a case's first decision."""

    status: Status | None = None
    tenant: str | None = None
    rule: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None


def cases(connection: Connection, wanted: CaseQuery) -> list[LedgerCase]:
    """The matching cases, by time and id."""
    e, later = LISTED.c, LISTED.alias("later")
    query = select(e.event_id).where(e.kind.is_not(None), e.kind.not_in(_TAKES_BACK), e.supersedes.is_(None))
    if wanted.tenant is not None:
        query = query.where(e.tenant_id == without_nul(wanted.tenant))
    if wanted.rule is not None:
        query = query.where(e.rule_id == without_nul(wanted.rule))
    if wanted.from_ms is not None:
        query = query.where(e.decided_ms >= wanted.from_ms)
    if wanted.to_ms is not None:
        query = query.where(e.decided_ms < wanted.to_ms)
    if wanted.status == "pending":
        # Few cases are pending, most are closed.
        query = query.where(e.status == "pending_review")
        for column in (later.c.supersedes, later.c.reverses):
            query = query.where(~select(column).where(column == e.event_id).exists())
    ids = list(dict.fromkeys(connection.execute(query).scalars()))
    found = [case for some in _chunks(ids) for case in _with_ids(connection, some)]
    kept = [case for case in found if wanted.status in (None, case.status)]
    return sorted(kept, key=lambda case: (case.opening.data.decided_ms, case.opening.id))


def case_of(connection: Connection, event_id: str) -> LedgerCase | None:
    """The case that an id belongs to, whether the id of its decision, of a change of it, of its reversal or lapse."""
    e, at = LISTED.c, without_nul(event_id)
    seen = {at}
    while True:
        query = select(e.supersedes, e.reverses).where(e.event_id == at, e.kind != "review").limit(1)
        row = connection.execute(query).one_or_none()
        before = row and (row.supersedes or row.reverses)
        if not before or before in seen:
            found = _with_ids(connection, [at])
            return found[0] if found else None
        seen.add(before)
        at = before


def resting_on(connection: Connection, chosen: Sequence[LedgerCase]) -> list[LedgerCase]:
    """The final escalations that name one of these decisions as evidence and are not among them."""
    ids = {event_id for case in chosen for event_id in case.ids}
    found: dict[str, LedgerCase] = {}
    for tenant in sorted({case.opening.subject for case in chosen}):
        for case in of_tenant(connection, tenant)[2]:
            if case.status == "final" and not ids.isdisjoint(case.in_force.data.evidence.enforcement_ids):
                found[case.in_force.id] = case
    return [case for event_id, case in sorted(found.items()) if event_id not in ids]


def of_tenant(connection: Connection, tenant: str) -> tuple[list[Enforcement], list[Review], list[LedgerCase]]:
    """A tenant's events in the order of their decision times, its reviews, and its cases.

    The topics' order may differ: after a migration, entries come from before and after it, under any prefixes.
    """
    query = (
        select(LISTED.c.kind, LISTED.c.value)
        .where(LISTED.c.tenant_id == without_nul(tenant))
        .order_by(LISTED.c.topic, LISTED.c.partition, LISTED.c.number)
    )
    rows = connection.execute(query).all()
    events = {event.id: event for kind, value in rows if kind != "review" for event in [event_of(value)]}
    reviews = once(review_of(value) for kind, value in rows if kind == "review")
    ordered = sorted(events.values(), key=lambda event: event.data.decided_ms)
    return ordered, reviews, cases_of(ordered, reviews)


def decision_delay_ms(connection: Connection) -> int | None:
    """The median delay between event time and publication of recent decisions; None if there are none.

    A decision is published once the watermark passes its time, so a verdict takes as long.
    """
    delays: list[int] = []
    for topic, partition in POSITIONS.known(connection):
        newest = (
            select(ENTRIES.c.timestamp_ms - ENTRIES.c.decided_ms)
            .where(ENTRIES.c.topic == topic, ENTRIES.c.partition == partition, ENTRIES.c.decided_ms.is_not(None))
            .where(ENTRIES.c.kind != "review")
            .order_by(ENTRIES.c.number.desc())
            .limit(_NEWEST)
        )
        delays += connection.execute(newest).scalars()
    return max(0, round(median(delays))) if delays else None


def events_of_review(connection: Connection, review: Review) -> list[Enforcement]:
    """The events that a review caused."""
    e, case = LISTED.c, case_of(connection, review.enforcement_id)
    ids = [without_nul(event_id) for event_id in (case.ids if case else ())]
    query = (
        select(e.value)
        .where(e.tenant_id == without_nul(review.tenant_id), e.kind != "review")
        # Of several reviews in the evidence the first is indexed; such an event supersedes one of the case.
        .where(or_(e.review_id == without_nul(review.review_id), e.supersedes.in_(ids)))
        .order_by(e.number)
    )
    events = [event_of(value) for value in connection.execute(query).scalars()]
    return list({event.id: event for event in events if review.review_id in event.data.evidence.review_ids}.values())


def banned(connection: Connection, tenant_id: str) -> bool:
    """Whether a final ban of the tenant is in force, as far as the ledger knows. It does not know of owners."""
    e, later = LISTED.c, LISTED.alias("later").c
    query = select(e.event_id).where(
        e.tenant_id == without_nul(tenant_id), e.kind == "ban", e.status == "final", e.event_id.is_not(None)
    )
    for column in (later.supersedes, later.reverses):
        query = query.where(~select(column).where(column == e.event_id).exists())
    return connection.execute(query.limit(1)).first() is not None


def _with_ids(connection: Connection, ids: Sequence[str]) -> list[LedgerCase]:
    events = _events(connection, LISTED.c.event_id, ids)
    changes: list[Enforcement] = []
    named = dict.fromkeys(ids)
    latest = list(ids)
    while later := [event for event in _events(connection, LISTED.c.supersedes, latest) if event.id not in named]:
        changes += later
        latest = list(dict.fromkeys(event.id for event in later))
        named |= dict.fromkeys(latest)
    closings = _events(connection, LISTED.c.reverses, list(named))
    return cases_of([*events, *changes, *closings], _reviews(connection, list(named)))


def _events(connection: Connection, column: ColumnElement[Any], ids: Sequence[str]) -> list[Enforcement]:
    found = []
    for some in _chunks(ids):
        query = select(LISTED.c.value).where(column.in_(some), LISTED.c.kind != "review")
        found += [event_of(value) for value in connection.execute(query).scalars()]
    return found


def _reviews(connection: Connection, ids: Sequence[str]) -> list[Review]:
    found = []
    for some in _chunks(ids):
        query = select(LISTED.c.value).where(LISTED.c.about.in_(some)).order_by(LISTED.c.number)
        found += [review_of(value) for value in connection.execute(query).scalars()]
    return found


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]
