"""Input records: call, complaint, finding, tenant, application, review.

An optional field may be null, ``""`` or absent, which all mean null: read it with ``field or None``. Unknown fields
are ignored; the decoder rejects wrong types and missing fields (`schemas.codec`). The field descriptions are
exported into the JSON Schemas (`schemas.json_schema`).
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

# 1990-01-01T00:00:00Z and 2100-01-01T00:00:00Z: every time is in the years 1990 to 2099.
MIN_MS = 631_152_000_000
END_MS = 4_102_444_800_000

Id = Annotated[str, Meta(min_length=1, max_length=128)]
OptId = Annotated[str, Meta(max_length=128)] | None
Text = Annotated[str, Meta(max_length=4096)]
OptText = Annotated[str, Meta(max_length=4096)] | None
MAX_ITEMS = 1_000
"""The maximum length of a list in a record."""
Texts = Annotated[list[Text], Meta(max_length=MAX_ITEMS)]
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


def _doc(text: str) -> Meta:
    return Meta(description=text)


_TENANT = _doc("The platform's id of the tenant, the customer whose calls these are; the key of every input topic.")
_UPDATED = _doc("When the record got this status, epoch ms UTC. The event time.")


class Cdr(Struct, tag_field="type", tag="cdr", gc=False):
    """One finished call leg: a call detail record.

    Valid when ``start_ms <= ring_ms <= answer_ms <= end_ms`` for those present, and ``answer_ms`` is present exactly
    when ``outcome`` is ``answered``. Talk time is ``end_ms - answer_ms``.
    """

    call_id: Annotated[Id, _doc("Unique per tenant: the key by which a repeated call is recognised and dropped.")]
    tenant_id: Annotated[Id, _TENANT]
    direction: Annotated[
        Direction, _doc("Seen from the tenant: outbound, the tenant calls; inbound, the tenant is called.")
    ]
    caller: Annotated[Party, _doc("The calling number: E.164, or a pseudonym.")]
    callee: Annotated[Party, _doc("The called number: E.164, or a pseudonym.")]
    start_ms: Annotated[Ms, _doc("When the attempt began, epoch ms UTC.")]
    end_ms: Annotated[Ms, _doc("When the leg was released, epoch ms UTC. The event time.")]
    outcome: Annotated[
        Outcome,
        _doc("How the attempt ended. policy_blocked: refused by the platform before it reached the network."),
    ]
    ring_ms: Annotated[Ms | Literal[""] | None, _doc("When the callee's side began to ring, epoch ms UTC.")] = None
    answer_ms: Annotated[
        Ms | Literal[""] | None,
        _doc("When the call was answered, epoch ms UTC; present exactly when outcome is answered."),
    ] = None
    hangup_by: Annotated[Literal["caller", "callee", "system", ""] | None, _doc("Who released the call.")] = None
    answered_by: Annotated[
        Literal["human", "machine", ""] | None, _doc("Whether a person or a machine, such as voice mail, answered.")
    ] = None
    agent_id: Annotated[OptId, _doc("The tenant's agent or robot on the call.")] = None
    campaign_id: Annotated[OptId, _doc("The tenant's campaign to which the call belongs.")] = None
    recording_id: Annotated[OptId, _doc("The recording of the call.")] = None
    consent_id: Annotated[OptId, _doc("The evidence that the callee agreed to be called.")] = None
    source: Annotated[OptText, _doc("Where the record came from, in the platform's words.")] = None
    sip_code: Annotated[
        Annotated[int, Meta(ge=100, le=699)] | Literal[""] | None,
        _doc("The final SIP response, as the network gave it. It decides nothing: it lets a mapping be checked."),
    ] = None
    q850: Annotated[
        Annotated[int, Meta(ge=0, le=127)] | Literal[""] | None,
        _doc("The Q.850 cause, as the network gave it. It decides nothing: it lets a mapping be checked."),
    ] = None
    attestation: Annotated[
        Literal["A", "B", "C", ""] | None, _doc("The STIR/SHAKEN attestation of the caller number. It decides nothing.")
    ] = None


class Complaint(Struct, tag_field="type", tag="complaint", gc=False):
    """A complaint about a tenant in one status; the same ``complaint_id`` comes again when its status changes.

    It decides when ``verified``; one that was ``dismissed`` first never does. The same id and status is a duplicate.
    """

    complaint_id: Annotated[Id, _doc("Unique per tenant; with status the key by which a repeated one is dropped.")]
    tenant_id: Annotated[Id, _TENANT]
    category: Annotated[Category, _doc("What is complained of; it names the clause that a verified one breaks.")]
    status: Annotated[
        Literal["received", "verified", "dismissed"],
        _doc("received: not yet looked into; verified: found true; dismissed: found untrue; final."),
    ]
    reported_ms: Annotated[Ms, _doc("When the complaint was made, epoch ms UTC.")]
    updated_ms: Annotated[Ms, _UPDATED]
    channel: Annotated[OptText, _doc("Who passed it on, such as a carrier, a regulator or a hotline.")] = None
    complainant: Annotated[OptId, _doc("A pseudonym of the person who complained, by which distinct ones count.")] = (
        None
    )
    caller: Annotated[OptId, _doc("The number complained of.")] = None
    call_id: Annotated[OptId, _doc("The call complained of.")] = None
    occurred_ms: Annotated[Ms | Literal[""] | None, _doc("When what is complained of happened, epoch ms UTC.")] = None


class Finding(Struct, tag_field="type", tag="finding", gc=False):
    """A result of quality inspection in one status; the same ``finding_id`` comes again when its status changes.

    It decides when ``confirmed``; one that was ``dismissed`` first never does. The same id and status is a duplicate.
    """

    finding_id: Annotated[Id, _doc("Unique per tenant; with status the key by which a repeated one is dropped.")]
    tenant_id: Annotated[Id, _TENANT]
    behaviour: Annotated[
        Literal["undeclared_business", "in_call_abuse", "blind_calling", "no_consent"],
        _doc("What was found, in the words of the access rules."),
    ]
    status: Annotated[
        Literal["suspected", "confirmed", "dismissed"],
        _doc("suspected: not yet confirmed; confirmed: it holds; dismissed: it does not hold; final."),
    ]
    updated_ms: Annotated[Ms, _UPDATED]
    declared_business: Annotated[OptText, _doc("The business that the tenant had declared.")] = None
    actual_business: Annotated[
        OptText, _doc("The business that was found; it is looked up in the catalogue of prohibited businesses.")
    ] = None
    catalogue_row: Annotated[
        OptId,
        _doc(
            "The key of the catalogue's row that the inspector chose. Only with behaviour undeclared_business; an "
            "unknown key is rejected when the finding is judged."
        ),
    ] = None
    call_id: Annotated[OptId, _doc("The call on which it was found.")] = None
    inspector: Annotated[OptText, _doc("Who found it.")] = None


class Tenant(Struct, tag_field="type", tag="tenant", gc=False):
    """What a tenant has declared; the newest by ``updated_ms`` as written stands. It names the tenant in reasons.

    It is refused when it declares a prohibited business that the preceding record did not, or newly names a banned
    owner. A tenant belongs to every owner that one of its records has named.
    """

    tenant_id: Annotated[Id, _TENANT]
    declared_businesses: Annotated[
        Texts, _doc("The businesses that the tenant declared; looked up in the catalogue of prohibited businesses.")
    ]
    numbers: Annotated[Texts, _doc("The numbers that the tenant was given.")]
    updated_ms: Annotated[Ms, _doc("When this became so, epoch ms UTC. The event time; the newest stands.")]
    name: Annotated[OptText, _doc("The tenant's name, for reasons.")] = None
    owner_id: Annotated[
        OptId,
        _doc(
            "The owner of the tenant: a pseudonym of the registrant's licence or identity, the same for all "
            "tenants of one customer. A ban of one of them follows the customer to the others."
        ),
    ] = None


class Application(Struct, tag_field="type", tag="application", gc=False):
    """A tenant's request for numbers; rejected when what it declares is prohibited or the tenant is banned."""

    application_id: Annotated[
        Id, _doc("Unique per tenant; with updated_ms the key by which a repeated one is dropped.")
    ]
    tenant_id: Annotated[Id, _TENANT]
    declared_business: Annotated[Text, _doc("The business for which numbers are asked.")]
    updated_ms: Annotated[Ms, _doc("When the application was made or changed, epoch ms UTC. The event time.")]
    scenario: Annotated[OptText, _doc("The calls that will be made, in the applicant's words.")] = None


class Review(Struct, tag_field="type", tag="review", gc=False):
    """The ops team's verdict: it makes a pending decision final, changes a kind, reverses a decision, or decides an
    application that waits.
    """

    review_id: Annotated[Id, _doc("Unique per tenant; with verdict the key by which a repeated one is dropped.")]
    enforcement_id: Annotated[Id, _doc("The id of the enforcement event; of an upheld one either of its two ids.")]
    tenant_id: Annotated[Id, _TENANT]
    verdict: Annotated[
        Literal["uphold", "overturn", "approve", "reject"],
        _doc(
            "uphold: a pending decision becomes final; overturn: a pending or final one is reversed; approve, reject: "
            "an application that waits is decided."
        ),
    ]
    reviewer: Annotated[Text, _doc("Who decided.")]
    reason: Annotated[Text, _doc("Why, in the reviewer's words.")]
    updated_ms: Annotated[
        Ms, _doc("When the verdict was given, epoch ms UTC. The event time, and decided_ms of what follows.")
    ]
    kind: Annotated[
        Literal["termination", "ban", ""] | None,
        _doc(
            "Only with uphold, for the behaviours of clauses 1, 2, 3 and 5: what a pending decision becomes, or a "
            "final one is changed to. Left out: the kind stays."
        ),
    ] = None


Record = Cdr | Complaint | Finding | Tenant | Application | Review
