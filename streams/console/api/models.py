"""The answers of `/v1`. A field is only ever added."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from streams.console.queries.cursors import LONGEST


class CaseListQuery(BaseModel):
    """The filters of `/v1/cases`."""

    model_config = ConfigDict(extra="forbid")

    tenant_id: str | None = Field(None, min_length=1, max_length=128)
    rule_id: str | None = Field(None, min_length=1, max_length=256)
    status: Literal["pending", "final", "reversed", "lapsed"] | None = None
    tier: Literal["minor", "major", "severe"] | None = None
    from_ms: int | None = Field(None, ge=0, lt=2**53, description="Decided at this time or later, epoch ms UTC.")
    until_ms: int | None = Field(None, ge=0, lt=2**53, description="Decided before this time, epoch ms UTC.")
    after: str | None = Field(None, max_length=LONGEST, description="`next` of the preceding answer.")
    limit: int = Field(50, ge=1, le=200, description="At most so many items.")


class ApiProblem(BaseModel):
    """The body of every answer other than 200: problem details of RFC 9457."""

    type: str = Field(description="`urn:callwarden:problem:` and the name of the problem, which does not change.")
    status: int
    title: str
    detail: str


class TenantItem(BaseModel):
    """A tenant and how it stands."""

    tenant_id: str
    name: str | None = Field(description="The company, as the newest tenant record names it; numbers masked.")
    owner_id: str | None
    declared_businesses: list[str]
    standing: str = Field(description="banned, terminated, pending, warned, refused, clear or watched.")
    violations: int = Field(description="Violations on record.")
    pending: int = Field(description="Decisions and applications that wait for a review.")
    alerts: int = Field(description="Alerts that fire now.")


class CaseItem(BaseModel):
    """A decision, what became of it, and its event in force."""

    case_id: str = Field(description="The id of the decision that opened it.")
    status: str = Field(description="pending, final, reversed or lapsed.")
    event: dict[str, Any] = Field(description="The enforcement event in force, in CloudEvents 1.0.")


class SignatureItem(BaseModel):
    """A signature of a review: the name of the key, and what verifying it found."""

    key: str | None = Field(description="Null if there is no valid header.")
    state: Literal["verified", "unchecked", "unknown_key", "wrong", "unsigned"] = Field(
        description="unchecked: the console has no file of review keys."
    )


class ReviewItem(BaseModel):
    """A review that names the case, also one without effect; numbers in its texts masked."""

    review_id: str
    enforcement_id: str
    verdict: str
    kind: str | None
    reviewer: str
    reason: str
    updated_ms: int
    signatures: list[SignatureItem] = Field(
        description="Several if it was sent more than once; empty if it is not signed and the console has no keys."
    )


class VerdictItem(BaseModel):
    """A verdict that was given in the console."""

    review_id: str
    verdict: str
    kind: str | None
    reason: str
    subject: str = Field(description="The user who gave it.")
    given_ms: int
    state: str = Field(
        description="approval, waiting, sent, effective, rejected, withdrawn, cancelled or declined; see the guide."
    )
    why: str | None = Field(description="Why it was rejected or withdrawn.")


class RecordItem(BaseModel):
    """A record that the decision in force names."""

    state: str = Field(description="wanted, kept, expired or unreadable.")
    topic: str
    partition: int
    offset: int
    fields: dict[str, Any] | None = Field(description="Its fields if it is kept, numbers masked; else null.")


class CaseDetail(CaseItem):
    """A case with its events, reviews, verdicts of the console (at most 100), and the records that it names."""

    tenant_id: str
    assignee: str | None = Field(description="The user that it is assigned to.")
    events: list[dict[str, Any]] = Field(description="Its enforcement events in CloudEvents 1.0, the oldest first.")
    reviews: list[ReviewItem]
    verdicts: list[VerdictItem]
    records: list[RecordItem]


class TenantDetail(TenantItem):
    """A tenant, its cases that are pending or in force (at most 200), and the other tenants of its owner."""

    open_cases: list[CaseItem]
    siblings: list[TenantItem]


class TenantPage(BaseModel):
    """Tenants by id."""

    items: list[TenantItem]
    next: str | None = Field(description="The `after` of the next page; null at the end.")


class CasePage(BaseModel):
    """Cases, the newest decision first."""

    items: list[CaseItem]
    next: str | None = Field(description="The `after` of the next page; null at the end.")


class DecisionPage(BaseModel):
    """Enforcement events, the newest first, reversals and lapses included."""

    items: list[dict[str, Any]] = Field(description="Enforcement events in CloudEvents 1.0.")
    next: str | None = Field(description="The `after` of the next page; null at the end.")


class MeasureItem(BaseModel):
    """What one rule measured in one window."""

    rule_id: str
    metric: str
    numerator: int
    denominator: int | None = Field(description="Null for counts.")
    value: float | None
    bound: float | None = Field(description="What the threshold is compared with; null without confidence.")
    threshold: float
    min_denominator: int | None = Field(
        description="The smallest denominator with which the rule can be in breach; null for counts, and where only a "
        "decision or an alert says what was measured."
    )


class MeasuredItem(BaseModel):
    """What the rules measured in the windows that end at one time."""

    at_ms: int = Field(description="The end of the windows, epoch ms UTC.")
    measures: list[MeasureItem]


class MeasuresPage(BaseModel):
    """What was measured at the ends of hours and at decisions and alerts, the newest first."""

    items: list[MeasuredItem]
    next: str | None = Field(description="The `after` of the next page; null at the end.")
