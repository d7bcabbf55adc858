"""Which reviews change nothing, and why. `record_handlers` rejects them; `callwarden reviews` does not send them."""

from enum import Enum
from typing import NamedTuple

from monitor.core.decisions.consequences import OPEN_BEHAVIOURS
from schemas.outputs import Kind


class ReviewRejection(Enum):
    """Why a review changes nothing. The value is the reason of the rejected record; `reason` inserts the id."""

    UNKNOWN = "unknown_enforcement: enforcement_id {!r}: expected a decision on this tenant"
    CLOSING_EVENT = "not_reviewable: enforcement_id {!r} is a reversal or a lapse"
    WAITS = "not_reviewable: {!r} is an application that waits: expected approve or reject"
    DOES_NOT_WAIT = "not_reviewable: {!r} is not an application that waits: expected uphold or overturn"
    CLOSED = "nothing_to_change: decision {!r} was reversed or has lapsed"
    FINAL = "nothing_to_change: decision {!r} is final already"
    KIND_NOT_OPEN = (
        "kind_not_open: decision {!r}: expected kind only with uphold, and of a decision about the behaviours of "
        "clauses 1, 2, 3 and 5"
    )
    BANNED = "banned: application {!r}: the tenant or its owner is banned, and no new service is opened"

    def reason(self, enforcement_id: str) -> str:
        """The reason of the rejected record: one line that begins with its code word."""
        return self.value.format(enforcement_id)


class ReviewedCase(NamedTuple):
    """The state of a case before a review: pending or ``final``; closed if ``closing_id`` has reversed or lapsed it.

    ``kind`` is that of the event in force. ``barred``: the tenant or its owner is banned.
    """

    final: bool
    closing_id: str | None
    kind: Kind
    behaviour: str
    barred: bool = False


class RequestedReview(NamedTuple):
    """What a review asks for: its ``verdict`` on ``enforcement_id``, and the ``kind`` that it names, if any."""

    enforcement_id: str
    verdict: str
    kind: str | None = None


def review_rejection(case: ReviewedCase | None, review: RequestedReview) -> ReviewRejection | None:
    """Why a review changes nothing; None if it takes effect. ``case`` is the one that the review names.

    The case is pending only before its deadline: at the deadline it lapses, and lapses come before reviews.
    """
    if case is None:
        return ReviewRejection.UNKNOWN
    if case.closing_id is not None and review.enforcement_id == case.closing_id:
        return ReviewRejection.CLOSING_EVENT
    if review.verdict in ("approve", "reject"):
        return _approval_rejection(case, review)
    if case.closing_id is not None:
        return ReviewRejection.CLOSED
    if case.kind == "admission_review":
        return ReviewRejection.WAITS
    if review.kind is not None and (review.verdict != "uphold" or case.behaviour not in OPEN_BEHAVIOURS):
        return ReviewRejection.KIND_NOT_OPEN
    if review.verdict == "uphold" and case.final and review.kind in (None, case.kind):
        return ReviewRejection.FINAL
    return None


def _approval_rejection(case: ReviewedCase, review: RequestedReview) -> ReviewRejection | None:
    if case.closing_id is not None or case.kind != "admission_review":
        return ReviewRejection.DOES_NOT_WAIT
    if review.kind is not None:
        return ReviewRejection.KIND_NOT_OPEN
    if review.verdict == "approve" and case.barred:
        return ReviewRejection.BANNED
    return None
