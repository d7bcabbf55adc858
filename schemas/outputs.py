"""Output records: the enforcement event (CloudEvents 1.0, structured JSON), the alert, and the lines of a replay.

The field descriptions are exported into the JSON Schemas (`schemas.json_schema`).
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Kind = Literal[
    "warning",
    "termination",
    "ban",
    "admission_rejected",
    "admission_review",
    "admission_approved",
    "reversal",
    "lapse",
]
Status = Literal["final", "pending_review"]
TierName = Literal["minor", "major", "severe"]
Action = Literal[
    "warn",
    "record_violation",
    "terminate_service",
    "ban_account",
    "forbid_refunds",
    "reserve_legal_action",
    "reject_numbers",
    "approve_numbers",
]
Refunds = Literal["frozen", "released", "unaffected"]


def _doc(text: str) -> Meta:
    return Meta(description=text)


_TENANT = _doc("The platform's id of the tenant.")
_RULE = _doc("The id of the rule or escalation; for decisions of records the behaviour's name.")
_METRIC = _doc("The metric's name in the contract's table.")
_NUMERATOR = _doc("What was counted; for metrics in seconds a sum or a median in ms.")
_DENOMINATOR = _doc("Out of how many; null for counts.")


class Reason(Struct, frozen=True, gc=False):
    """One sentence in each language, with the numbers in it."""

    zh: Annotated[str, _doc("In Chinese.")]
    en: Annotated[str, _doc("In English.")]


class PolicyRef(Struct, frozen=True):
    """The policy under which it was decided."""

    id: Annotated[str, _doc("The policy's id.")]
    version: Annotated[str, _doc("The policy's version.")]
    sha256: Annotated[str, _doc("SHA-256 of the resolved policy, in hexadecimal.")]


class Window(Struct, frozen=True, gc=False):
    """A span of event time, ``[start_ms, end_ms)``."""

    start_ms: Annotated[int, _doc("The first instant inside, epoch ms UTC.")]
    end_ms: Annotated[int, _doc("The first instant after, epoch ms UTC.")]


class Measure(Struct, frozen=True, gc=False):
    """What was measured: the value is numerator / denominator; a metric in seconds divides by 1000 as well.

    The numerator of median_talk_s is the median in ms: its value is that in seconds, whatever the denominator.
    """

    metric: Annotated[str, _METRIC]
    numerator: Annotated[int, _NUMERATOR]
    denominator: Annotated[int | None, _DENOMINATOR]
    # A count is an int and must still be one after storage: a regenerated event is the same bytes.
    value: Annotated[int | float | None, _doc("The value as judged; null where there is none.")]
    threshold: Annotated[int | float, _doc("The rule's threshold, in the unit of the value.")]
    bound: Annotated[
        float | None,
        _doc(
            "The one-sided Wilson bound, beyond the threshold too, with 12 significant digits; null without confidence."
        ),
    ]


class Evidence(Struct, frozen=True, gc=False):
    """Ids, each list the newest 20 by event time then id, sorted by code point."""

    call_ids: Annotated[
        tuple[str, ...], _doc("Calls of the numerator, or of the denominator outside it for `below`.")
    ] = ()
    complaint_ids: Annotated[tuple[str, ...], _doc("Complaints.")] = ()
    finding_ids: Annotated[tuple[str, ...], _doc("Findings of quality inspection.")] = ()
    application_ids: Annotated[tuple[str, ...], _doc("Applications for numbers.")] = ()
    review_ids: Annotated[tuple[str, ...], _doc("Reviews.")] = ()
    enforcement_ids: Annotated[
        tuple[str, ...], _doc("Earlier decisions, such as the violations that an escalation used.")
    ] = ()


class EscalationAhead(Struct, frozen=True, gc=False):
    """An escalation, and how many of the violations that it takes the tenant has."""

    rule_id: Annotated[str, _doc("The id of the escalation.")]
    kind: Annotated[Kind, _doc("The kind of the decision that it will make.")]
    mode: Annotated[Literal["review", "enforce"], _doc("review: its decision will be pending_review; enforce: final.")]
    violations: Annotated[int, _doc("The violations that count towards it now, this one included.")]
    at_least: Annotated[int, _doc("How many it takes. If there are as many now, its decision follows this event.")]
    window_ms: Annotated[int, _doc("The length of the time in which they must lie, in ms.")]


class AffectedEscalation(Struct, frozen=True, gc=False):
    """A decision of an escalation that used the violation taken back."""

    rule_id: Annotated[str, _doc("The id of the escalation.")]
    enforcement_id: Annotated[str, _doc("The id of its decision in force.")]
    status: Annotated[
        Status, _doc("pending_review: it is reversed, too, if too few are left. final: it stays in force.")
    ]
    violations: Annotated[int, _doc("How many of the violations that it used are left unreversed, as it counts them.")]
    at_least: Annotated[int, _doc("How many it takes.")]


class EnforcementData(Struct, frozen=True):
    """One decision on one tenant."""

    tenant_id: Annotated[str, _TENANT]
    kind: Annotated[Kind, _doc("What it is; reversal and lapse take an earlier decision back.")]
    status: Annotated[Status, _doc("pending_review: waits for a review until review_by_ms and is no violation yet.")]
    behaviour: Annotated[str, _doc("The behaviour, in the words of the access rules.")]
    clause: Annotated[int | None, _doc("The clause of the access rules, 1 to 7; null for what no clause names.")]
    tier: Annotated[TierName | None, _doc("minor 违规, major 较重违规, severe 严重违规; null for applications.")]
    actions: Annotated[tuple[Action, ...], _doc("What is in force from now on; empty while pending.")]
    proposed_actions: Annotated[tuple[Action, ...], _doc("What will be in force when a review upholds it.")]
    refunds: Annotated[
        Refunds,
        _doc(
            "frozen: a hold on refunds and cancellations of orders is added under the event's id; released: one is "
            "taken away."
        ),
    ]
    rule_id: Annotated[str, _RULE]
    policy: PolicyRef
    decided_ms: Annotated[int, _doc("The event time at which it was decided, epoch ms UTC.")]
    review_by_ms: Annotated[
        int | None,
        _doc(
            "When a pending decision lapses without a review, epoch ms UTC; else null. An application that waits "
            "does not lapse."
        ),
    ]
    window: Annotated[Window | None, _doc("The window that a measured rule judged; else null.")]
    measure: Annotated[Measure | None, _doc("What was measured; null for decisions of records, reversals and lapses.")]
    evidence: Evidence
    violations_on_record: Annotated[int, _doc("The tenant's unreversed violations, this one included.")]
    reverses: Annotated[str | None, _doc("The id of the decision that this takes back; else null.")]
    supersedes: Annotated[
        str | None,
        _doc(
            "The id of the decision that this one replaces: a pending one that is decided now, or a final one whose "
            "kind changes; else null."
        ),
    ]
    reason: Reason
    escalations_ahead: Annotated[
        tuple[EscalationAhead, ...],
        _doc("How far each escalation is; empty unless a violation is recorded and escalations decide."),
    ] = ()
    escalations_affected: Annotated[
        tuple[AffectedEscalation, ...],
        _doc("The decisions of escalations for which one violation less counts now; empty unless one is taken back."),
    ] = ()


class Enforcement(Struct, frozen=True):
    """An enforcement event in the CloudEvents 1.0 envelope, structured mode.

    Billing's holds need ``subject``, ``id``, ``refunds``, ``reverses`` and ``supersedes`` alone. Handling an id twice
    changes nothing.
    """

    id: Annotated[str, _doc("Deterministic: the same facts give the same id on any machine, after any crash.")]
    subject: Annotated[str, _TENANT]
    time: Annotated[str, _doc("decided_ms as an RFC 3339 time in UTC.")]
    data: EnforcementData
    specversion: Annotated[Literal["1.0"], _doc("The version of CloudEvents.")] = "1.0"
    source: Annotated[Literal["/callwarden"], _doc("The same on any machine.")] = "/callwarden"
    type: Annotated[Literal["callwarden.enforcement.v1"], _doc("The event's type and version.")] = (
        "callwarden.enforcement.v1"
    )
    datacontenttype: Annotated[Literal["application/json"], _doc("The media type of data.")] = "application/json"


class Alert(Struct, frozen=True, tag_field="type", tag="alert"):
    """An early sign about one rule and tenant: it may be taken back, and may come more than once."""

    alert_id: Annotated[str, _doc("From tenant, rule and since_ms: firing and resolved of one alert share it.")]
    tenant_id: Annotated[str, _TENANT]
    rule_id: Annotated[str, _doc("The id of the measured rule.")]
    severity: Annotated[
        Literal["info", "warning", "critical"],
        _doc("info: a shadow rule; critical: a tier above minor; else warning."),
    ]
    state: Annotated[Literal["firing", "resolved"], _doc("Whether the rule is in breach.")]
    measure: Annotated[Measure | None, _doc("What was measured; null when there is no value any more.")]
    since_ms: Annotated[int, _doc("The window end at which it began to fire, which may be to come; epoch ms UTC.")]
    updated_ms: Annotated[int, _doc("When it came into this state, in event time, epoch ms UTC.")]
    enforcement_id: Annotated[str | None, _doc("The decision that followed, once there is one; else null.")]
    reason: Reason


class JudgedWindow(Struct, frozen=True):
    """A line of ``windows.jsonl``: what one rule saw of one tenant at one window end."""

    tenant_id: Annotated[str, _TENANT]
    rule_id: Annotated[str, _doc("The id of the measured rule.")]
    metric: Annotated[str, _METRIC]
    window_ms: Annotated[int, _doc("The window's length in ms.")]
    end_ms: Annotated[int, _doc("The window's end, epoch ms UTC, not inside it.")]
    numerator: Annotated[int, _NUMERATOR]
    denominator: Annotated[int | None, _DENOMINATOR]
    value: Annotated[float | None, _doc("The value, as in the measure of a decision; null where the denominator is 0.")]


class Rejected(Struct, frozen=True, omit_defaults=True):
    """A line of ``rejected.jsonl``: an input line that was not taken, and why."""

    file: Annotated[str, _doc("The file as it was named on the command line.")]
    line: Annotated[int, _doc("The line's number in it, from 1.")]
    reason: Annotated[str, _doc("Why; it begins with a stable code word and a colon.")]
    raw: Annotated[str, _doc("The line as it came; base64 where raw_encoding says so.")]
    raw_encoding: Annotated[
        Literal["utf-8", "base64"], _doc("base64 where the bytes are not UTF-8; else left out.")
    ] = "utf-8"
