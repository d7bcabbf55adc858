"""Output records: the enforcement event (CloudEvents 1.0, structured JSON) and the alert."""

from typing import Literal

from msgspec import Struct

Kind = Literal["warning", "termination", "ban", "admission_rejected", "reversal", "lapse"]
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
]
Refunds = Literal["frozen", "released", "unaffected"]


class Reason(Struct, frozen=True):
    """One sentence in each language, with the numbers in it."""

    zh: str
    en: str


class PolicyRef(Struct, frozen=True):
    """The policy under which it was decided; ``sha256`` is that of the resolved policy."""

    id: str
    version: str
    sha256: str


class Window(Struct, frozen=True):
    """Event time ``[start_ms, end_ms)``."""

    start_ms: int
    end_ms: int


class Measure(Struct, frozen=True):
    """What was measured. ``denominator`` is null for counts, ``bound`` (12 significant digits) without confidence."""

    metric: str
    numerator: int
    denominator: int | None
    value: float | None
    threshold: float
    bound: float | None


class Evidence(Struct, frozen=True):
    """Ids, each list the newest 20 by event time then id, then sorted by code point."""

    call_ids: tuple[str, ...] = ()
    complaint_ids: tuple[str, ...] = ()
    finding_ids: tuple[str, ...] = ()
    application_ids: tuple[str, ...] = ()
    review_ids: tuple[str, ...] = ()
    enforcement_ids: tuple[str, ...] = ()


class EnforcementData(Struct, frozen=True):
    """One decision on one tenant."""

    tenant_id: str
    kind: Kind
    status: Status
    behaviour: str
    clause: int | None
    tier: TierName | None
    actions: tuple[Action, ...]
    proposed_actions: tuple[Action, ...]
    refunds: Refunds
    rule_id: str
    policy: PolicyRef
    decided_ms: int
    review_by_ms: int | None
    window: Window | None
    measure: Measure | None
    evidence: Evidence
    violations_on_record: int
    reverses: str | None
    supersedes: str | None
    reason: Reason


class Enforcement(Struct, frozen=True):
    """The CloudEvents envelope. Billing's holds need subject, id, refunds, reverses, supersedes alone."""

    id: str
    subject: str
    time: str
    data: EnforcementData
    specversion: Literal["1.0"] = "1.0"
    source: Literal["/callwarden"] = "/callwarden"
    type: Literal["callwarden.enforcement.v1"] = "callwarden.enforcement.v1"
    datacontenttype: Literal["application/json"] = "application/json"


class Alert(Struct, frozen=True, tag_field="type", tag="alert"):
    """An early sign about one rule and tenant; may be taken back. ``alert_id`` is from tenant, rule, ``since_ms``."""

    alert_id: str
    tenant_id: str
    rule_id: str
    severity: Literal["info", "warning", "critical"]
    state: Literal["firing", "resolved"]
    measure: Measure | None
    since_ms: int
    updated_ms: int
    enforcement_id: str | None
    reason: Reason


class JudgedWindow(Struct, frozen=True):
    """A line of ``windows.jsonl``: what one rule saw of one tenant at one window end."""

    tenant_id: str
    rule_id: str
    metric: str
    window_ms: int
    end_ms: int
    numerator: int
    denominator: int | None
    value: float | None


class Rejected(Struct, frozen=True, omit_defaults=True):
    """A line of ``rejected.jsonl``. ``raw`` is base64 where the bytes are not UTF-8 (``raw_encoding`` says so)."""

    file: str
    line: int
    reason: str
    raw: str
    raw_encoding: Literal["utf-8", "base64"] = "utf-8"
