"""Which reviews change nothing, and why. The evaluator rejects them; `callwarden reviews` does not send them."""

from enum import Enum
from typing import NamedTuple


class ReviewRefusal(Enum):
    """Why a review changes nothing. The value is the reason of the rejected record; `reason` inserts the id."""

    UNKNOWN = "unknown_enforcement: enforcement_id {!r}: expected a decision on this tenant"
    CLOSING_EVENT = "not_reviewable: enforcement_id {!r} is a reversal or a lapse"
    CLOSED = "nothing_to_change: decision {!r} was reversed or has lapsed"
    FINAL = "nothing_to_change: decision {!r} is final already"

    def reason(self, enforcement_id: str) -> str:
        """The reason of the rejected record: one line that begins with its code word."""
        return self.value.format(enforcement_id)


class ReviewedCase(NamedTuple):
    """The state of a case before a review: pending or ``final``; closed if ``closing_id`` has reversed or lapsed it."""

    final: bool
    closing_id: str | None


def review_refusal(case: ReviewedCase | None, enforcement_id: str, verdict: str) -> ReviewRefusal | None:
    """Why a review changes nothing; None if it takes effect. ``case`` is the one that ``enforcement_id`` names.

    The case is pending only before its deadline: at the deadline it lapses, and lapses come before reviews.
    """
    if case is None:
        return ReviewRefusal.UNKNOWN
    if case.closing_id is not None:
        return ReviewRefusal.CLOSING_EVENT if enforcement_id == case.closing_id else ReviewRefusal.CLOSED
    if verdict == "uphold" and case.final:
        return ReviewRefusal.FINAL
    return None
