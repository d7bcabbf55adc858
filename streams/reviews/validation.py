"""Verdicts: whether one is valid, by the evaluator's rules, and the record that carries it. Pure functions."""

from typing import Literal

from monitor.core.decisions.review_refusal import RequestedReview, ReviewedCase, ReviewRefusal, review_refusal
from monitor.core.tenants.ids import review_id
from monitor.text.masking import mask_id, mask_text
from monitor.text.record_ids import ids_of
from monitor.text.timestamps import instant
from schemas import codec
from schemas.inputs import Review
from streams.consumers.ledger.queries.cases import LedgerCase

Verdict = Literal["uphold", "overturn"]


class ReviewRefused(ValueError):
    """A verdict that cannot be given. The message says why."""


def rejection_reason(case: LedgerCase | None, named: str, verdict: Verdict, now_ms: int) -> str | None:
    """Why the evaluator would reject this verdict on the decision ``named``; None if it would accept it.

    `review_refusal` decides; the sentences here add what the ledger knows of the case.
    """
    closing = case.closing if case else None
    reviewed = None
    if case is not None:
        data = case.in_force.data
        closing_id = closing.id if closing else None
        reviewed = ReviewedCase(case.status == "final", closing_id, data.kind, data.behaviour)
    refusal = review_refusal(reviewed, RequestedReview(named, verdict))
    if case is None or refusal is ReviewRefusal.UNKNOWN:
        return f"{mask_id(named)}: no such decision in the ledger; expected an id as `callwarden reviews list` shows it"
    if closing is not None and refusal is ReviewRefusal.CLOSING_EVENT:
        return f"{named} is a {closing.data.kind} of {case.in_force.id} and cannot be reviewed"
    if closing is not None and refusal is ReviewRefusal.CLOSED:
        what = "lapsed" if closing.data.kind == "lapse" else "was reversed"
        who = _by(case, case.review_behind(closing))
        return f"{named} {what} at {instant(closing.data.decided_ms)}{who}; there is nothing to change"
    if refusal is ReviewRefusal.FINAL:
        upheld = f", upheld{_by(case, case.review_behind(case.upheld))}" if case.upheld else ""
        return f"{named} is final already{upheld}; it can be overturned"
    until_ms = case.in_force.data.review_by_ms
    if case.status == "pending" and until_ms is not None and now_ms >= until_ms:
        return f"{named} could be reviewed until {instant(until_ms)}: it lapses"
    return None


def review_of(case: LedgerCase, verdict: Verdict, reviewer: str, reason: str, now_ms: int) -> Review:
    """The record of a verdict on the decision in force. Raises ReviewRefused if a text is empty or too long.

    Telephone numbers in the texts are masked here, except ids of the case: the record is kept in topics and ledger
    permanently.
    """
    in_force, ids = case.in_force, ids_of(*case.events)
    fields = {
        "type": "review",
        "review_id": review_id(in_force.subject, in_force.id, verdict),
        "enforcement_id": in_force.id,
        "tenant_id": in_force.subject,
        "verdict": verdict,
        "reviewer": mask_text(reviewer, ids),
        "reason": mask_text(reason, ids),
        "updated_ms": now_ms,
    }
    if not reviewer.strip() or not reason.strip():
        raise ReviewRefused("reviewer and reason are kept with the verdict; expected neither to be empty")
    try:
        record = codec.convert(fields)
    except codec.InvalidRecordError as error:
        raise ReviewRefused(str(error)) from None
    assert isinstance(record, Review)
    return record


def _by(case: LedgerCase, review: Review | None) -> str:
    if review is None:
        return ""
    ids = ids_of(review, *case.events)
    return f" by {mask_text(review.reviewer, ids)} ({mask_text(review.reason, ids)})"
