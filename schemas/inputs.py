"""Input records: call, complaint, finding, tenant, application, review.

An optional field may be null, ``""`` or left out, which all mean null: read it with ``field or None``.
Unknown fields are ignored, wrong types and missing fields are refused by the decoder (`schemas.codec`).
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

# 1990-01-01T00:00:00Z and 2100-01-01T00:00:00Z: every time lies in the years 1990 to 2099.
MIN_MS = 631_152_000_000
END_MS = 4_102_444_800_000

Id = Annotated[str, Meta(min_length=1, max_length=128)]
OptId = Annotated[str, Meta(max_length=128)] | None
Text = Annotated[str, Meta(max_length=4096)]
OptText = Annotated[str, Meta(max_length=4096)] | None
Party = Annotated[str, Meta(min_length=1, max_length=64)]
Ms = Annotated[int, Meta(ge=MIN_MS, lt=END_MS)]

Direction = Literal["outbound", "inbound"]
Outcome = Literal[
    "answered",
    "no_answer",
    "busy",
    "rejected",
    "invalid_number",
    "unreachable",
    "carrier_blocked",
    "policy_blocked",
    "cancelled",
    "failed",
]
Category = Literal["fraud", "harassment", "abuse", "no_consent", "number_leak", "prohibited_business", "other"]


class Cdr(Struct, tag_field="type", tag="cdr", gc=False):
    """One finished call leg. ``end_ms`` is its event time; ``call_id`` de-duplicates within the tenant."""

    call_id: Id
    tenant_id: Id
    direction: Direction
    caller: Party
    callee: Party
    start_ms: Ms
    end_ms: Ms
    outcome: Outcome
    ring_ms: Ms | Literal[""] | None = None
    answer_ms: Ms | Literal[""] | None = None
    hangup_by: Literal["caller", "callee", "system", ""] | None = None
    answered_by: Literal["human", "machine", ""] | None = None
    agent_id: OptId = None
    campaign_id: OptId = None
    recording_id: OptId = None
    consent_id: OptId = None
    source: OptText = None


class Complaint(Struct, tag_field="type", tag="complaint", gc=False):
    """A complaint in one status; the same ``complaint_id`` comes again when its status changes."""

    complaint_id: Id
    tenant_id: Id
    category: Category
    status: Literal["received", "verified", "dismissed"]
    reported_ms: Ms
    updated_ms: Ms
    channel: OptText = None
    complainant: OptId = None
    caller: OptId = None
    call_id: OptId = None
    occurred_ms: Ms | Literal[""] | None = None


class Finding(Struct, tag_field="type", tag="finding", gc=False):
    """A result of quality inspection in one status."""

    finding_id: Id
    tenant_id: Id
    behaviour: Literal["undeclared_business", "in_call_abuse", "blind_calling", "no_consent"]
    status: Literal["suspected", "confirmed", "dismissed"]
    updated_ms: Ms
    declared_business: OptText = None
    actual_business: OptText = None
    catalogue_row: OptId = None
    call_id: OptId = None
    inspector: OptText = None


class Tenant(Struct, tag_field="type", tag="tenant", gc=False):
    """What a tenant has declared; the newest stands. It decides nothing."""

    tenant_id: Id
    declared_businesses: list[Text]
    numbers: list[Text]
    updated_ms: Ms
    name: OptText = None


class Application(Struct, tag_field="type", tag="application", gc=False):
    """A request for numbers."""

    application_id: Id
    tenant_id: Id
    declared_business: Text
    updated_ms: Ms
    scenario: OptText = None


class Review(Struct, tag_field="type", tag="review", gc=False):
    """The ops team's verdict on a decision."""

    review_id: Id
    enforcement_id: Id
    tenant_id: Id
    verdict: Literal["uphold", "overturn"]
    reviewer: Text
    reason: Text
    updated_ms: Ms


Record = Cdr | Complaint | Finding | Tenant | Application | Review
