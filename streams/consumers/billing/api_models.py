"""The API's models, from which its OpenAPI document is generated."""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from streams.consumers.billing.holds import RefundHold


class Words(BaseModel):
    """The sentence of the decision; null where its event has none."""

    zh: Annotated[str | None, Field(description="In Chinese.")]
    en: Annotated[str | None, Field(description="In English.")]


class HoldAnswer(BaseModel):
    """A decision that forbids refunds and cancellations of orders. Fields that its event lacks are null."""

    id: Annotated[str, Field(description="The id of the enforcement event.")]
    clause: Annotated[int | None, Field(description="The clause of the access rules; null for an escalation.")]
    status: Annotated[str | None, Field(description="`final`, or `pending_review`: not reviewed yet.")]
    decided_ms: Annotated[int | None, Field(description="When it was decided, epoch ms UTC.")]
    since_ms: Annotated[
        int | None,
        Field(description="As `decided_ms`; if a review made it final, when the pending decision was decided."),
    ]
    review_by_ms: Annotated[
        int | None, Field(description="When a pending decision lapses without a review, epoch ms UTC; else null.")
    ]
    reason: Words


_BAN: Final[dict[str, Any]] = {
    "id": "cwe-16ac8f91c1efaa5d95c2de24c2af6082",
    "clause": 3,
    "status": "pending_review",
    "decided_ms": 1_772_438_400_000,
    "since_ms": 1_772_438_400_000,
    "review_by_ms": 1_773_043_200_000,
    "reason": {
        "zh": "报备业务为家政服务，实际业务疑似为禁止接入的保健品。",
        "en": "The declared business is housekeeping; the actual one is probably health products, a prohibited one.",
    },
}
_ALLOWED: Final[dict[str, Any]] = {"refundable": True, "cancellable": True, "holds": [], "since_ms": None}
_FORBIDDEN: Final[dict[str, Any]] = {
    "refundable": False,
    "cancellable": False,
    "holds": [_BAN],
    "since_ms": 1_772_438_400_000,
}
EXAMPLES: Final[dict[str, Any]] = {
    "forbidden": {"summary": "A hold is left: neither refund nor cancel.", "value": _FORBIDDEN},
    "allowed": {"summary": "No hold is left, or the tenant is unknown: no decision forbids either.", "value": _ALLOWED},
}
"""The examples of the OpenAPI document, by name."""


class Answer(BaseModel):
    """Whether the access rules allow refunds to a tenant and cancellations of its orders, and what forbids them."""

    refundable: Annotated[
        bool,
        Field(
            description="Whether money may be paid back to the tenant for the packages and seats that it ordered, used "
            "or not (退款). True exactly when no hold is left. True does not mean that a refund is owed."
        ),
    ]
    cancellable: Annotated[
        bool,
        Field(
            description="Whether the tenant may cancel a package or seats that it ordered before their term ends, used "
            "or not, with or without money back (退订). True exactly when no hold is left: always equal to "
            "`refundable`. It does not say whether the service runs, whether an order is renewed, or whether a hold "
            "can be removed."
        ),
    ]
    holds: Annotated[
        list[HoldAnswer],
        Field(description="The holds that are left, the oldest first. Each forbids both refunds and cancellations."),
    ]
    since_ms: Annotated[int | None, Field(description="The least `since_ms` of the holds; null where there is none.")]


class Problem(BaseModel):
    """Problem details (RFC 9457), in English and Chinese."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(description="Which problem it is: a URN that never changes.")]
    title: Annotated[str, Field(description="The problem's name.")]
    title_zh: Annotated[str, Field(description="The same in Chinese.")]
    status: Annotated[int, Field(description="The HTTP status.")]
    detail: Annotated[str, Field(description="What is wrong, and what was expected.")]
    detail_zh: Annotated[str, Field(description="The same in Chinese.")]


class NotNow(Problem):
    """No reliable answer now: neither `refundable` nor `cancellable`. Until there is one, do not refund or cancel."""

    as_of_ms: Annotated[
        int | None, Field(description="The answer includes all decisions written by then; null: unknown.")
    ]
    holds: Annotated[list[HoldAnswer] | None, Field(description="The holds at that time; null: unknown.")]


def hold_of(hold: RefundHold) -> dict[str, object]:
    """A hold as the API returns it."""
    return {
        "id": hold.id,
        "clause": hold.clause,
        "status": hold.status,
        "decided_ms": hold.decided_ms,
        "since_ms": hold.since_ms,
        "review_by_ms": hold.review_by_ms,
        "reason": {"zh": hold.reason_zh, "en": hold.reason_en},
    }


def answer_of(holds: list[RefundHold]) -> dict[str, object]:
    """The API's answer while these holds remain."""
    since = [hold.since_ms for hold in holds if hold.since_ms is not None]
    return {
        "refundable": not holds,
        "cancellable": not holds,
        "holds": [hold_of(hold) for hold in holds],
        "since_ms": min(since, default=None),
    }
