"""Records of one tenant, and the decisions that a replay of them makes under the access rules."""

import itertools
from typing import Any

from oracle.product import run

T0 = 1_772_409_600_000  # 2026-03-02T00:00:00Z
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
RECORDED = {"record_violation"}
THREE_STRIKES = {"id": "three-strikes", "count": "violations", "at_least": 3, "window": "30d", "tier": "major"}
SHORT_CALLS = {
    "id": "short-calls",
    "behaviour": "blind_calling",
    "metric": "short_call_ratio",
    "above": 0.5,
    "window": "1h",
    "step": "1h",
}
CATALOGUE = [
    {"key": "loans", "zh": "贷款", "en": "loans", "terms": ["贷款", "cash loan"], "unless": ["贷款知识"]},
]
_serial = itertools.count()


def complaint(category: str, at: int, status: str = "verified", name: str = "p1", **more: Any) -> dict[str, Any]:
    return {
        "type": "complaint",
        "complaint_id": name,
        "tenant_id": "acme",
        "category": category,
        "status": status,
        "reported_ms": T0,
        "updated_ms": T0 + at,
        **more,
    }


def finding(behaviour: str, at: int, status: str = "confirmed", name: str = "f1", **more: Any) -> dict[str, Any]:
    return {
        "type": "finding",
        "finding_id": name,
        "tenant_id": "acme",
        "behaviour": behaviour,
        "status": status,
        "updated_ms": T0 + at,
        **more,
    }


def application(business: str, at: int, name: str = "n1", **more: Any) -> dict[str, Any]:
    return {
        "type": "application",
        "application_id": name,
        "tenant_id": "acme",
        "declared_business": business,
        "updated_ms": T0 + at,
        **more,
    }


def review(verdict: str, enforcement_id: str, at: int, name: str = "v1") -> dict[str, Any]:
    return {
        "type": "review",
        "review_id": name,
        "enforcement_id": enforcement_id,
        "tenant_id": "acme",
        "verdict": verdict,
        "reviewer": "ops-1",
        "reason": "looked into it",
        "updated_ms": T0 + at,
    }


def call(end: int, talk: int = 60_000) -> dict[str, Any]:
    return {
        "type": "cdr",
        "call_id": f"c{next(_serial)}",
        "tenant_id": "acme",
        "direction": "outbound",
        "caller": "+8619000000001",
        "callee": "+8613800000001",
        "start_ms": T0 + end - talk - 2_000,
        "answer_ms": T0 + end - talk,
        "end_ms": T0 + end,
        "outcome": "answered",
    }


def blind_call(end: int, callee: str, outcome: str) -> dict[str, Any]:
    made = {**call(end, 1_000), "callee": callee, "outcome": outcome}
    if outcome != "answered":
        del made["answer_ms"]
    return made


def clock(at: int) -> dict[str, Any]:
    """A record that decides nothing and advances time."""
    return {"type": "tenant", "tenant_id": "clock", "declared_businesses": [], "numbers": [], "updated_ms": T0 + at}


def judged(*records: dict[str, Any], **policy: Any) -> dict[str, Any]:
    """The whole output of a replay of the records."""
    whole = {
        "id": "test",
        "version": "1",
        "extends": "access-rules",
        "rules": [],
        "escalations": [],
        "overrides": [],
        "exemptions": [],
        "prohibited_businesses": CATALOGUE,
        **policy,
    }
    return run([[*records]], whole)


def decided(*records: dict[str, Any], **policy: Any) -> list[dict[str, Any]]:
    """The decisions of a replay of the records, in order."""
    events: list[dict[str, Any]] = judged(*records, **policy)["enforcement"]
    return events


def the_only(events: list[dict[str, Any]]) -> dict[str, Any]:
    assert len(events) == 1, events
    return events[0]


def in_order(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By time, and at one instant the warning before the decision that it triggered."""
    return sorted(events, key=lambda e: (e["decided_ms"], e["kind"] != "warning"))


def bursts(days: int) -> list[dict[str, Any]]:
    return [call(d * DAY + n * MINUTE, 2_000) for d in range(days) for n in range(1, 11)]


def warned(at: int, name: str, **more: Any) -> dict[str, Any]:
    return complaint("number_leak", at, name=name, **more)
