"""What the page of a case shows: the case, what was found before and since, its siblings, verdicts and notes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, or_, select

from monitor.core.decisions.consequences import OPEN_BEHAVIOURS, STOPS
from monitor.policy.metrics import METRICS
from schemas import codec
from schemas.inputs import Review
from schemas.outputs import Alert, Enforcement, Measure
from streams.console.cases.history import case_of, decision_delay_ms, signed_reviews
from streams.console.cases.queue import QueuedCase, rows_of
from streams.console.evidence.recordings import kept_calls
from streams.console.evidence.records import NamedRecord, records_of
from streams.console.tables import ALERTS, APPLICATIONS, CASES, EVENTS, NOTES, TENANTS, VERDICTS
from streams.consumers.ledger.queries.cases import LedgerCase
from streams.consumers.record_decoding import alert_of, event_of
from streams.reviews.signers import ReviewSigner, signers_in

AROUND: Final = 25
"""The most decisions and alerts before the case, and the most since."""
_MOST: Final = 100
_SIBLINGS: Final = 20


class HistoryLine(NamedTuple):
    """A decision, a shadow decision or an alert of the tenant."""

    at_ms: int
    what: Literal["decision", "shadow", "alert"]
    event: Enforcement | None
    alert: Alert | None
    case_id: str | None
    status: str | None


class OtherReview(NamedTuple):
    """A review by another program, its bytes, and whether a decision is known to rest on it."""

    review: Review
    value: bytes
    has_effect: bool


class MeasureBar(NamedTuple):
    """A measure drawn: positions of value, threshold and bound from 0 to 100."""

    value: float
    threshold: float
    bound: float | None


@dataclass(frozen=True, slots=True)
class CaseView:
    """Everything that a page of a case shows. ``signed``: the records of its reviews, with their signatures.

    ``calls``: those that its complaints and findings name, by id, as far as they are kept.
    """

    row: Row[Any]
    case: LedgerCase
    tenant: Row[Any] | None
    applications: list[Row[Any]]
    before: list[HistoryLine]
    since: list[HistoryLine]
    siblings: list[QueuedCase]
    verdicts: list[Row[Any]]
    notes: list[Row[Any]]
    records: list[NamedRecord]
    calls: dict[str, dict[str, Any]]
    signed: list[tuple[bytes, bytes | None]]
    delay_ms: int | None

    @property
    def event(self) -> Enforcement:
        """The event in force."""
        return self.case.in_force

    @property
    def verdict(self) -> Row[Any] | None:
        """The verdict that waits or was sent, if any."""
        return next((each for each in self.verdicts if each.number == self.row.verdict), None)

    @property
    def businesses(self) -> list[str]:
        """What the tenant has declared."""
        return msgspec.json.decode(self.tenant.businesses, type=list[str]) if self.tenant is not None else []

    @property
    def reviews(self) -> tuple[Review, ...]:
        """The reviews that name the case, also those without effect."""
        return self.case.reviews

    @property
    def other_reviews(self) -> tuple[OtherReview, ...]:
        """Those that are not of a verdict that was given here.

        Anybody can make a review with the id of another one, so no decision is known to rest on either of them.
        """
        ours = {each.value for each in self.verdicts}
        named = {name for event in self.case.events for name in event.data.evidence.review_ids}
        named -= {each.review_id for each in self.verdicts}
        count = Counter(review.review_id for review in self.reviews)
        return tuple(
            OtherReview(review, value, review.review_id in named and count[review.review_id] == 1)
            for review in self.reviews
            if (value := codec.encode(review)) not in ours
        )

    def signers(self, keys: Mapping[str, str] | None) -> dict[bytes, tuple[ReviewSigner, ...]]:
        """The keys that signed the reviews, by the bytes of each, which are also those of a verdict that was sent.

        ``keys``: the public keys by name; None if they are not known.
        """
        found = signers_in(self.signed, self.reviews, keys)
        return {codec.encode(review): signers for review, signers in zip(self.reviews, found, strict=True)}

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that an uphold may choose; empty if it has no choice."""
        return tuple(sorted(STOPS, reverse=True)) if self.event.data.behaviour in OPEN_BEHAVIOURS else ()

    @property
    def waits(self) -> bool:
        """Whether a verdict on it can be given that makes it final."""
        return bool(self.row.status == "pending")

    @property
    def stands(self) -> bool:
        """Whether it can be overturned."""
        return bool(self.row.status in ("pending", "final"))

    @property
    def bar(self) -> MeasureBar | None:
        """The measure, drawn."""
        return measure_bar(self.event.data.measure)


def case_view(connection: Connection, case_id: str) -> CaseView | None:
    """The view of a case by the id of its first event; None if it is not known."""
    row = connection.execute(select(CASES).where(CASES.c.id == case_id)).one_or_none()
    case = case_of(connection, case_id) if row is not None else None
    if row is None or case is None:
        return None
    tenant = connection.execute(select(TENANTS).where(TENANTS.c.tenant_id == row.tenant_id)).one_or_none()
    lines = _history(connection, row)
    records = records_of(connection, row.in_force_id)
    return CaseView(
        row=row,
        case=case,
        tenant=tenant,
        applications=_applications(connection, case),
        before=[line for line in lines if line.at_ms <= row.decided_ms][:AROUND],
        since=[line for line in lines if line.at_ms > row.decided_ms][-AROUND:],
        siblings=_siblings(connection, row),
        verdicts=list(
            connection.execute(
                select(VERDICTS).where(VERDICTS.c.case_id == case_id).order_by(VERDICTS.c.number.desc()).limit(_MOST)
            )
        ),
        notes=list(
            connection.execute(
                select(NOTES).where(NOTES.c.case_id == case_id).order_by(NOTES.c.number.desc()).limit(_MOST)
            )
        ),
        records=records,
        calls=_calls_of(connection, row.tenant_id, records),
        signed=signed_reviews(connection, case),
        delay_ms=decision_delay_ms(connection),
    )


def measure_bar(measure: Measure | None) -> MeasureBar | None:
    """Where value, threshold and bound are on an axis from 0; None without a value."""
    if measure is None or measure.value is None:
        return None
    shown = [float(each) for each in (measure.value, measure.threshold, measure.bound) if each is not None]
    unit = METRICS[measure.metric].unit if measure.metric in METRICS else ""
    top = max([*shown, 1e-9]) * 1.15
    if unit == "ratio":
        top = min(1.0, top) if max(shown) <= 1 else top

    def at(value: float) -> float:
        return round(100 * max(0.0, value) / top, 2)

    bound = None if measure.bound is None else at(measure.bound)
    return MeasureBar(at(float(measure.value)), at(float(measure.threshold)), bound)


def _history(connection: Connection, row: Row[Any]) -> list[HistoryLine]:
    """What was found about the tenant around the case, the newest first."""
    e, a = EVENTS.c, ALERTS.c
    found: list[HistoryLine] = []
    statuses, at = CASES.c.status, row.decided_ms
    for order, there in ((e.decided_ms.desc(), e.decided_ms <= at), (e.decided_ms, e.decided_ms > at)):
        query = (
            select(e.value, e.shadow, e.case_id, statuses)
            .join_from(EVENTS, CASES, CASES.c.id == e.case_id, isouter=True)
            .where(e.tenant_id == row.tenant_id, there, or_(e.shadow.is_(True), e.case_id != row.id))
            .order_by(order)
            .limit(AROUND)
        )
        for value, shadow, case_id, status in connection.execute(query):
            event = event_of(value)
            at_ms = event.data.decided_ms
            if shadow:
                found.append(HistoryLine(at_ms, "shadow", event, None, None, None))
            else:
                found.append(HistoryLine(at_ms, "decision", event, None, case_id, status))
    for order, there in ((a.since_ms.desc(), a.since_ms <= at), (a.since_ms, a.since_ms > at)):
        alerts = select(a.value).where(a.tenant_id == row.tenant_id, there).order_by(order).limit(AROUND)
        for value in connection.execute(alerts).scalars():
            alert = alert_of(value)
            found.append(HistoryLine(alert.since_ms, "alert", None, alert, alert.enforcement_id, alert.state))
    return sorted(found, key=lambda line: line.at_ms, reverse=True)


def _calls_of(connection: Connection, tenant_id: str, records: Sequence[NamedRecord]) -> dict[str, dict[str, Any]]:
    """The calls that these complaints and findings name, if a decision of the tenant has their records."""
    found = [each.fields for each in records if each.fields is not None]
    own = {each["call_id"]: each for each in found if each["type"] == "cdr"}
    named = {each["call_id"] for each in found if each["type"] != "cdr" and each.get("call_id")}
    return {call_id: own[call_id] for call_id in named & own.keys()} | kept_calls(
        connection, tenant_id, named - own.keys()
    )


def _siblings(connection: Connection, row: Row[Any]) -> list[QueuedCase]:
    """The tenant's other cases of the same rule: those that wait, soonest to lapse first, then the newest of others."""
    c = CASES.c
    same = (c.tenant_id == row.tenant_id, c.rule_id == row.rule_id, c.id != row.id)
    found: list[Row[Any]] = []
    # In the order of the index of causes: to sort them would read all of them.
    for queue, order in (("cases", c.order_ms), ("admissions", c.order_ms), (None, c.order_ms.desc())):
        query = select(CASES).where(*same, c.queue.is_(None) if queue is None else c.queue == queue).order_by(order)
        found += connection.execute(query.limit(_SIBLINGS - len(found)))
    return rows_of(connection, found)


def _applications(connection: Connection, case: LedgerCase) -> list[Row[Any]]:
    ids = case.in_force.data.evidence.application_ids
    a = APPLICATIONS.c
    query = select(APPLICATIONS).where(a.tenant_id == case.opening.subject, a.application_id.in_(ids))
    return list(connection.execute(query)) if ids else []
