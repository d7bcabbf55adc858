"""The API's models, from which its OpenAPI document is generated."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from streams.consumers.billing.holds import RefundHold


class Words(BaseModel):
    """The sentence of the decision; null where its event has none."""

    zh: Annotated[str | None, Field(description="In Chinese.")]
    en: Annotated[str | None, Field(description="In English.")]


class HoldAnswer(BaseModel):
    """A decision that freezes the tenant's refunds. Fields that its event lacks are null."""

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


class Answer(BaseModel):
    """Whether refunds may be paid to a tenant, and what forbids it."""

    refundable: Annotated[bool, Field(description="True exactly when no hold is left.")]
    holds: Annotated[list[HoldAnswer], Field(description="The holds that are left, the oldest first.")]
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
    """No reliable answer now. It never says that refunds are frozen, or that they are not."""

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
    return {"refundable": not holds, "holds": [hold_of(hold) for hold in holds], "since_ms": min(since, default=None)}
