"""Alerts and decisions for the notifier's tests, with only the relevant fields."""

from typing import Any

from schemas.outputs import (
    AffectedEscalation,
    Alert,
    Enforcement,
    EnforcementData,
    Evidence,
    Measure,
    PolicyRef,
    Reason,
    Status,
)

SAID = Reason("原因", "the reason")


def alert(
    id_: str, state: str, at_ms: int, *, tenant: str = "acme", rule: str = "short-calls", severity: str = "warning"
) -> Alert:
    """An alert."""
    measure = Measure("short_call_ratio", 60, 100, 0.6, 0.25, None) if state == "firing" else None
    return Alert(id_, tenant, rule, severity, state, measure, at_ms, at_ms, None, SAID)  # type: ignore[arg-type]


def decision(id_: str, kind: str, at_ms: int, *, tenant: str = "acme", **fields: Any) -> Enforcement:
    """A decision; by default a final warning for blind calling."""
    pending = fields.pop("pending", False)
    tier = {"termination": "major", "ban": "severe"}.get(kind, "minor")
    data = {
        "tenant_id": tenant,
        "kind": kind,
        "status": "pending_review" if pending else "final",
        "behaviour": "blind_calling",
        "clause": 6,
        "tier": tier,
        "actions": () if pending or kind in ("reversal", "lapse") else ("record_violation",),
        "proposed_actions": (),
        "refunds": "frozen" if kind in ("termination", "ban") else "unaffected",
        "rule_id": "short-calls",
        "policy": PolicyRef("p", "1", ""),
        "decided_ms": at_ms,
        "review_by_ms": at_ms + 7 * 86_400_000 if pending else None,
        "window": None,
        "measure": None,
        "evidence": Evidence(),
        "violations_on_record": 1,
        "reverses": None,
        "supersedes": None,
        "reason": SAID,
    } | fields
    return Enforcement(id=id_, subject=tenant, time="", data=EnforcementData(**data))


def escalation(id_: str, at_ms: int, used: list[str], **fields: Any) -> Enforcement:
    """A decision of the built-in escalation, which has used these violations."""
    mine = {
        "behaviour": "repeat_violation",
        "rule_id": "repeated-violations",
        "clause": None,
        "measure": Measure("violations", len(used), None, len(used), 3, None),
        "evidence": Evidence(enforcement_ids=tuple(used)),
    }
    return decision(id_, "termination", at_ms, **mine | fields)


def left(id_: str, violations: int, pending: bool = False) -> tuple[AffectedEscalation, ...]:
    """What a reversal says of a decision of the built-in escalation, of whose violations these are left."""
    status: Status = "pending_review" if pending else "final"
    return (AffectedEscalation("repeated-violations", id_, status, violations, 3),)
