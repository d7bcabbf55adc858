"""Reservations: a verdict is stored before it is sent, so that a second reviewer is shown the first one's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, exists, or_, select, update

from monitor.policy.model import OpenKind
from monitor.text.masking import mask_text
from monitor.text.record_ids import ids_of
from monitor.text.timestamps import instant
from schemas import codec
from streams.consumers import record_decoding
from streams.consumers.ledger import journal
from streams.consumers.ledger.entries import without_nul
from streams.consumers.ledger.queries.cases import LedgerCase
from streams.consumers.ledger.queries.lookup import banned, case_of
from streams.consumers.ledger.tables import CLAIMS, ENTRIES, LISTED
from streams.consumers.sql_common import insert_new
from streams.reviews.signatures import SignedValue, SigningKey, sign
from streams.reviews.validation import GivenVerdict, ReviewRefused, Verdict, rejection_reason, review_of

_UNSENT = CLAIMS.c.sent_ms.is_(None), CLAIMS.c.withdrawn.is_(None)


@dataclass(frozen=True, slots=True)
class Reservation:
    """A verdict on the decision in force. ``value`` is its record, the same bytes each time it is sent.

    ``sent_ms`` None: not known to be sent. ``withdrawn``: why it is no longer valid. ``signature`` is the header that
    signs it, if it is signed.
    """

    enforcement_id: str
    tenant_id: str
    review_id: str
    verdict: Verdict
    reviewer: str
    reason: str
    claimed_ms: int
    value: bytes
    sent_ms: int | None = None
    withdrawn: str | None = None
    signature: bytes | None = None

    @property
    def signed_value(self) -> SignedValue:
        """The record as it is sent."""
        return SignedValue(self.value, self.signature)

    @property
    def kind(self) -> OpenKind | None:
        """The kind that an uphold chooses, if any."""
        return record_decoding.review_of(self.value).kind or None


class ReviewedBy(NamedTuple):
    """The reviewer and the reason, and the key that signs the verdict, if any."""

    reviewer: str
    reason: str
    key: SigningKey | None = None


class Replace(NamedTuple):
    """Which verdicts may be replaced: those that the reviewer has ``seen``, by the id in force, once they are spent."""

    seen: Mapping[str, Reservation]
    patience_ms: int
    """How long after it was sent a verdict may still take effect."""

    def spent_ms(self, claim: Reservation) -> int | None:
        """When a sent verdict counts as without effect, epoch ms; None if it was not sent."""
        return None if claim.sent_ms is None else max(claim.sent_ms, claim.claimed_ms) + self.patience_ms

    def replaces(self, claim: Reservation, now_ms: int) -> bool:
        """Whether that verdict may be replaced now."""
        seen, spent_ms = self.seen.get(claim.enforcement_id), self.spent_ms(claim)
        meant = seen is not None and (seen.claimed_ms, seen.review_id) == (claim.claimed_ms, claim.review_id)
        return meant and spent_ms is not None and now_ms >= spent_ms


class AlreadyReserved(ReviewRefused):
    """The case is reserved already; ``claim`` is that reservation. ``spent_ms``: when it may be replaced, epoch ms.
    ``ids``: those that its texts may repeat."""

    def __init__(self, claim: Reservation, spent_ms: int | None = None, ids: Sequence[str] = ()) -> None:
        on_its_way = (
            "it was sent, and no decision has followed yet"
            if claim.sent_ms
            else "it is not sent yet: a running `callwarden ledger run` sends it"
        )
        if spent_ms is not None:
            on_its_way += f"; --replace can replace it from {instant(spent_ms)} on, once you have seen it"
        super().__init__(
            f"{claim.enforcement_id}: {mask_text(claim.reviewer, ids)} decided to {claim.verdict} it"
            f"{f' as a {claim.kind}' if claim.kind else ''}, "
            f"{instant(claim.claimed_ms)} ({mask_text(claim.reason, ids)}); {on_its_way}"
        )
        self.claim = claim


def claim(
    connection: Connection,
    named: str,
    verdict: Verdict,
    by: ReviewedBy,
    now_ms: int,
    *,
    again: Replace | None = None,
    kind: OpenKind | None = None,
) -> Reservation:
    """Reserve the case of that id, in the caller's transaction. Raises ReviewRefused if the worker would reject it.

    Raises AlreadyReserved if another verdict holds it, unless ``again`` allows to replace that.
    """
    journal.lock(connection)
    case = case_of(connection, named)
    given = _given(connection, case, verdict, kind)
    if why := rejection_reason(case, named, given, now_ms):
        raise ReviewRefused(why)
    assert case is not None
    record = review_of(case, given, by.reviewer, by.reason, now_ms)
    value = codec.encode(record)
    mine = Reservation(
        case.in_force.id,
        record.tenant_id,
        record.review_id,
        verdict,
        record.reviewer,
        record.reason,
        claimed_ms=now_ms,
        value=value,
        signature=None if by.key is None else sign(value, by.key),
    )
    row = {name: getattr(mine, name) for name in Reservation.__slots__} | {"tenant_id": without_nul(mine.tenant_id)}
    unless_taken = insert_new(connection, CLAIMS).values(row).returning(CLAIMS.c.enforcement_id)
    recorded = journal.ClaimMade(**{name: row[name] for name in journal.ClaimMade.__struct_fields__})
    if connection.execute(unless_taken).first():
        journal.append(connection, [recorded], now_ms)
        return mine
    theirs = claim_on(connection, mine.enforcement_id)
    assert theirs is not None
    if theirs.withdrawn or (again and again.replaces(theirs, now_ms)):
        if connection.execute(update(CLAIMS).where(*_same(theirs)).values(row)).rowcount == 1:
            journal.append(connection, [recorded], now_ms)
            return mine
        theirs = claim_on(connection, mine.enforcement_id) or theirs
    raise AlreadyReserved(theirs, again and again.spent_ms(theirs), ids_of(*case.events))


def _given(connection: Connection, case: LedgerCase | None, verdict: Verdict, kind: OpenKind | None) -> GivenVerdict:
    barred = verdict == "approve" and case is not None and banned(connection, case.opening.subject)
    return GivenVerdict(verdict, kind, barred)


def claim_on(connection: Connection, enforcement_id: str) -> Reservation | None:
    """The reservation on the decision of that id, which must be the one in force."""
    row = connection.execute(select(CLAIMS).where(CLAIMS.c.enforcement_id == enforcement_id)).one_or_none()
    return Reservation(**row._mapping) if row else None


def claims_on(connection: Connection, cases: Sequence[LedgerCase]) -> dict[str, Reservation]:
    """The valid reservations on these cases, by the id in force."""
    found = (claim_on(connection, case.in_force.id) for case in cases if case.stands)
    return {one.enforcement_id: one for one in found if one and not one.withdrawn}


def all_unsent(connection: Connection) -> list[Reservation]:
    """The reservations that are not known to be sent, oldest first."""
    query = select(CLAIMS).where(*_UNSENT).order_by(CLAIMS.c.claimed_ms)
    return [Reservation(**row._mapping) for row in connection.execute(query).all()]


def unsent(
    connection: Connection, claims: Sequence[Reservation], now_ms: int
) -> tuple[list[Reservation], list[Reservation]]:
    """The reservations to send, and those withdrawn now because the case was decided otherwise meanwhile.

    The ledger must be up to the topics' ends: reservations found in it were sent, and are marked so.
    """
    waiting, withdrawn = [], []
    for one in claims:
        if not connection.execute(select(CLAIMS.c.enforcement_id).where(*_same(one), *_UNSENT)).first():
            continue
        if _arrived(connection, one):
            mark_sent(connection, [one], one.claimed_ms)
            continue
        # A verdict that was in time when it was reserved may still be in time for the worker.
        case = case_of(connection, one.enforcement_id)
        given = _given(connection, case, one.verdict, one.kind)
        if why := rejection_reason(case, one.enforcement_id, given, one.claimed_ms):
            withdraw(connection, one, why.en, now_ms)
            withdrawn.append(replace(one, withdrawn=why.en))
        else:
            waiting.append(one)
    return waiting, withdrawn


def unanswered(connection: Connection, since_ms: int) -> list[Reservation]:
    """The reservations since then that were sent and have no outcome in the ledger."""
    answered = exists().where(
        or_(
            (LISTED.c.review_id == CLAIMS.c.review_id) & (LISTED.c.tenant_id == CLAIMS.c.tenant_id),
            LISTED.c.reverses == CLAIMS.c.enforcement_id,
            LISTED.c.supersedes == CLAIMS.c.enforcement_id,
        )
    )
    query = select(CLAIMS).where(
        CLAIMS.c.sent_ms.is_not(None), CLAIMS.c.withdrawn.is_(None), CLAIMS.c.claimed_ms >= since_ms, ~answered
    )
    return [Reservation(**row._mapping) for row in connection.execute(query).all()]


def mark_sent(connection: Connection, claims: Sequence[Reservation], now_ms: int) -> None:
    """Mark the reservations as sent."""
    journal.lock(connection)
    sent = []
    for one in claims:
        query = update(CLAIMS).where(*_same(one), CLAIMS.c.sent_ms.is_(None)).values(sent_ms=now_ms)
        if connection.execute(query).rowcount == 1:
            sent.append(journal.ClaimSent(one.enforcement_id, one.claimed_ms, now_ms))
    journal.append(connection, sent, now_ms)


def withdraw(connection: Connection, claim: Reservation, why: str, now_ms: int) -> None:
    """Mark the reservation as withdrawn, so that another can be made."""
    journal.lock(connection)
    if connection.execute(update(CLAIMS).where(*_same(claim)).values(withdrawn=without_nul(why))).rowcount == 1:
        withdrawn = journal.ClaimWithdrawn(claim.enforcement_id, claim.claimed_ms, without_nul(why))
        journal.append(connection, [withdrawn], now_ms)


def _same(claim: Reservation) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return CLAIMS.c.enforcement_id == claim.enforcement_id, CLAIMS.c.claimed_ms == claim.claimed_ms


def _arrived(connection: Connection, claim: Reservation) -> bool:
    same = (LISTED.c[name] == ENTRIES.c[name] for name in ("topic", "partition", "number"))
    query = (
        select(ENTRIES.c.value, ENTRIES.c.signature)
        .join(LISTED, and_(*same))
        .where(LISTED.c.event_id == claim.review_id, LISTED.c.kind == "review")
    )
    return any(SignedValue(*row) == claim.signed_value for row in connection.execute(query))
