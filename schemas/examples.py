"""One valid, invented example of every record, for the exported documents."""

from typing import Final

from msgspec import Struct

from schemas.actions import Action
from schemas.evidence import EvidencePlaces, RecordPlace
from schemas.inputs import Application, Cdr, Complaint, Finding, Review, Tenant
from schemas.measures import RuleMeasure, TenantHour
from schemas.outputs import (
    Alert,
    Enforcement,
    EnforcementData,
    Evidence,
    JudgedWindow,
    Measure,
    PolicyRef,
    Reason,
    Rejected,
    Window,
)
from schemas.owners import OwnerBan

_DAY_MS = 86_400_000
_NOON = 1_795_579_200_000  # 2026-11-25T04:00:00Z, noon in Shanghai
_DECISION = "cwe-5c0ffee15c0ffee15c0ffee15c0ffee1"

# The Wilson bound is that of 200 of 1,031 at a confidence of 0.95.
_MEASURE = Measure("short_call_ratio", 200, 1031, 200 / 1031, 0.15, 0.174541983955)
_REASON = Reason(
    zh="1031 通接通电话中有 200 通不超过 6 秒：19.4 %，可以确信高于 15 %",
    en="200 of 1,031 answered calls lasted at most 6 s: 19.4 %, surely above 15 %",
)

EXAMPLES: Final[dict[str, Struct]] = {
    "cdr": Cdr(
        call_id="c-20261125-000017",
        tenant_id="acme",
        direction="outbound",
        caller="+862100000001",
        callee="+862100000002",
        start_ms=_NOON,
        ring_ms=_NOON + 3_200,
        answer_ms=_NOON + 9_100,
        end_ms=_NOON + 13_600,
        outcome="answered",
        hangup_by="callee",
        answered_by="human",
        campaign_id="autumn",
        sip_code=200,
        q850=16,
        attestation="A",
    ),
    "complaint": Complaint(
        complaint_id="k-81",
        tenant_id="acme",
        category="harassment",
        status="verified",
        channel="carrier",
        complainant="p-4f1c",
        call_id="c-20261125-000017",
        reported_ms=_NOON + 600_000,
        updated_ms=_NOON + _DAY_MS,
    ),
    "finding": Finding(
        finding_id="f-12",
        tenant_id="acme",
        behaviour="undeclared_business",
        status="confirmed",
        declared_business="售后回访",
        actual_business="植发推广",
        call_id="c-20261125-000017",
        inspector="qa-3",
        updated_ms=_NOON + 7_200_000,
    ),
    "tenant": Tenant(
        tenant_id="acme",
        name="Acme 客服",
        declared_businesses=["售后回访"],
        numbers=["+862100000001"],
        updated_ms=_NOON - _DAY_MS,
        owner_id="licence-7c1e",
    ),
    "application": Application(
        application_id="a-5",
        tenant_id="acme",
        declared_business="售后回访",
        scenario="安装完成后的满意度回访",
        updated_ms=_NOON - 2 * _DAY_MS,
    ),
    "review": Review(
        review_id="r-3",
        enforcement_id=_DECISION,
        tenant_id="acme",
        verdict="overturn",
        reviewer="ops-7",
        reason="Test calls of our own, agreed with the tenant.",
        updated_ms=_NOON + 2 * _DAY_MS,
    ),
    "enforcement": Enforcement(
        id=_DECISION,
        subject="acme",
        time="2026-11-25T04:05:00Z",
        data=EnforcementData(
            tenant_id="acme",
            kind="warning",
            status="final",
            behaviour="blind_calling",
            clause=6,
            tier="minor",
            actions=("warn", "record_violation"),
            proposed_actions=(),
            refunds="unaffected",
            rule_id="short-calls-day",
            policy=PolicyRef(id="house-rules", version="2026-11", sha256="0a" * 32),
            decided_ms=_NOON + 300_000,
            review_by_ms=None,
            window=Window(_NOON + 300_000 - _DAY_MS, _NOON + 300_000),
            measure=_MEASURE,
            evidence=Evidence(call_ids=("c-20261125-000016", "c-20261125-000017")),
            violations_on_record=1,
            reverses=None,
            supersedes=None,
            reason=_REASON,
        ),
    ),
    "alert": Alert(
        alert_id="cwa-5c0ffee25c0ffee25c0ffee25c0ffee2",
        tenant_id="acme",
        rule_id="short-calls-day",
        severity="warning",
        state="firing",
        measure=_MEASURE,
        since_ms=_NOON + 300_000,
        updated_ms=_NOON + 300_000,
        enforcement_id=_DECISION,
        reason=_REASON,
    ),
    "owner_ban": OwnerBan(
        owner_id="licence-7c41",
        tenant_id="acme",
        enforcement_id=_DECISION,
        clause=1,
        tier="severe",
        decided_ms=_NOON + 300_000,
        lifted_ms=None,
    ),
    "evidence": EvidencePlaces(
        enforcement_id=_DECISION,
        places=(RecordPlace("callwarden.cdr", 3, 1_204_551), RecordPlace("callwarden.cdr", 3, 1_204_569)),
    ),
    "measures": TenantHour(
        tenant_id="acme",
        hour_ms=_NOON,
        worst="short-calls",
        share=0.691,
        rules=(
            RuleMeasure("short-calls", 27, 96, 0.28125, 0.172794, 0.25, 30),
            RuleMeasure("callee-called-all-day", 4, None, 4, None, 30),
        ),
    ),
    "action": Action(
        action_id="cwc-5c0ffee35c0ffee35c0ffee35c0ffee3",
        action="case_claimed",
        actor="local:li",
        roles=["reviewer"],
        at_ms=_NOON + 900_000,
        tenant_id="acme",
        enforcement_id=_DECISION,
    ),
    "window": JudgedWindow(
        tenant_id="acme",
        rule_id="short-calls-day",
        metric="short_call_ratio",
        window_ms=_DAY_MS,
        end_ms=_NOON + 300_000,
        numerator=200,
        denominator=1031,
        value=200 / 1031,
    ),
    "rejected": Rejected(
        file="calls.jsonl",
        line=4711,
        reason="missing_field: the record has no type; expected one of cdr, complaint, finding, tenant, application, "
        "review",
        raw='{"call_id": "c-1"}',
    ),
}
"""The examples by the name of the record's schema."""
