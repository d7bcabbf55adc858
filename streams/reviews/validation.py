"""Verdicts: whether one is valid, by the worker's rules, and the record that carries it. Pure functions."""

from typing import Literal, NamedTuple

from monitor.core.decisions.consequences import OPEN_BEHAVIOURS
from monitor.core.decisions.review_rejection import RequestedReview, ReviewedCase, ReviewRejection, review_rejection
from monitor.core.tenants.ids import review_id
from monitor.policy.model import OpenKind
from monitor.text.masking import mask_id, mask_text
from monitor.text.record_ids import ids_of
from monitor.text.timestamps import instant
from schemas import codec
from schemas.inputs import Review
from streams.consumers.ledger.queries.cases import LedgerCase

Verdict = Literal["uphold", "overturn", "approve", "reject"]


class ReviewRefused(ValueError):
    """A verdict that cannot be given. The message says why."""


class GivenVerdict(NamedTuple):
    """A verdict, and the ``kind`` that an uphold chooses, if any. ``barred``: the tenant is banned."""

    verdict: Verdict
    kind: OpenKind | None = None
    barred: bool = False


def rejection_reason(case: LedgerCase | None, named: str, given: GivenVerdict, now_ms: int) -> str | None:
    """Why the worker would reject this verdict on the decision ``named``; None if it would accept it.

    `review_rejection` decides; the sentences here add what the ledger knows of the case.
    """
    closing = case.closing if case else None
    reviewed = None
    if case is not None:
        data = case.in_force.data
        closing_id = closing.id if closing else None
        reviewed = ReviewedCase(case.status == "final", closing_id, data.kind, data.behaviour, given.barred)
    rejection = review_rejection(reviewed, RequestedReview(named, given.verdict, given.kind))
    if case is None or rejection is ReviewRejection.UNKNOWN:
        return f"{mask_id(named)}: no such decision in the ledger; expected an id as `callwarden reviews list` shows it"
    if closing is not None and rejection is ReviewRejection.CLOSING_EVENT:
        return f"{named} is a {closing.data.kind} of {case.in_force.id} and cannot be reviewed"
    if closing is not None and rejection in (ReviewRejection.CLOSED, ReviewRejection.DOES_NOT_WAIT):
        what = "lapsed" if closing.data.kind == "lapse" else "was reversed"
        who = _by(case, case.review_behind(closing))
        return f"{named} {what} at {instant(closing.data.decided_ms)}{who}; there is nothing to change"
    if rejection is not None:
        return _sentence(rejection, case, named)
    until_ms = case.in_force.data.review_by_ms
    if case.status == "pending" and until_ms is not None and now_ms >= until_ms:
        return f"{named} could be reviewed until {instant(until_ms)}: it lapses"
    return None


def _sentence(rejection: ReviewRejection, case: LedgerCase, named: str) -> str:
    """Why a verdict on a case that stands changes nothing."""
    data = case.in_force.data
    match rejection:
        case ReviewRejection.WAITS:
            return f"{named} is an application that waits; expected `reviews approve` or `reject`"
        case ReviewRejection.DOES_NOT_WAIT if data.behaviour == "application_review":
            who = _by(case, case.review_behind(case.in_force))
            what = "approved" if data.kind == "admission_approved" else "rejected"
            return f"{named} is {what} already{who}; it can be overturned, and then applied for again"
        case ReviewRejection.DOES_NOT_WAIT:
            return f"{named} is not an application that waits; expected `reviews uphold` or `overturn`"
        case ReviewRejection.KIND_NOT_OPEN:
            return (
                f"{named} is about {data.behaviour}; expected --kind only with an uphold of a decision by clause 1, 2, "
                "3 or 5 of the access rules"
            )
        case ReviewRejection.BANNED:
            return f"{named}: the tenant is banned, and no new service is opened; expected no approval"
        case _:
            upheld = f", upheld{_by(case, case.review_behind(case.in_force))}" if case.changes else ""
            other = ", or its kind changed by `reviews uphold --kind`" if data.behaviour in OPEN_BEHAVIOURS else ""
            return f"{named} is final already{upheld}; it can be overturned{other}"


def review_of(case: LedgerCase, given: GivenVerdict, reviewer: str, reason: str, now_ms: int) -> Review:
    """The record of a verdict on the decision in force. Raises ReviewRefused if a text is empty or too long.

    Telephone numbers in the texts are masked here, except ids of the case: the record is kept in topics and ledger
    permanently.
    """
    in_force, ids = case.in_force, ids_of(*case.events)
    fields = {
        "type": "review",
        "review_id": review_id(in_force.subject, in_force.id, given.verdict, given.kind),
        "enforcement_id": in_force.id,
        "tenant_id": in_force.subject,
        "verdict": given.verdict,
        "reviewer": mask_text(reviewer, ids),
        "reason": mask_text(reason, ids),
        "updated_ms": now_ms,
        "kind": given.kind,
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
