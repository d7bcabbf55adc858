"""Hand-made output directories of a replay, for the tests of the report: a realistic one and a hostile one."""

import json
import random
from pathlib import Path
from typing import Any

import msgspec

from monitor.policy.load import loads, to_plain
from monitor.policy.model import Policy
from schemas.inputs import Cdr
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

START = 1_767_225_600_000  # 2026-01-01T00:00:00Z
HOUR = 3_600_000
DAY = 24 * HOUR
NUMBER = "+8613812345678"
REF = PolicyRef("access-rules", "2026-11", "ab" * 32)

ACTIONS: dict[str, tuple[Any, ...]] = {
    "minor": ("warn", "record_violation"),
    "major": ("terminate_service", "record_violation", "forbid_refunds"),
    "severe": ("ban_account", "record_violation", "forbid_refunds", "reserve_legal_action"),
}
KINDS: dict[str, Any] = {"minor": "warning", "major": "termination", "severe": "ban"}
RULES: list[dict[str, Any]] = [
    {"id": "short-calls-day", "behaviour": "blind_calling", "metric": "short_call_ratio", "above": 0.15,
     "window": "24h", "step": "1h", "min_denominator": 100, "confidence": 0.95,
     "also": [{"metric": "attempts", "at_least": 50}]},
    {"id": "invalid-numbers", "behaviour": "blind_calling", "metric": "invalid_number_ratio", "above": 0.2,
     "window": "24h", "step": "1h", "min_denominator": 100, "confidence": 0.95, "mode": "review"},
    {"id": "callees-too-often", "behaviour": "blind_calling", "metric": "callee_over_limit", "above": 20,
     "window": "24h", "step": "1h"},
    {"id": "consent", "behaviour": "no_consent", "metric": "consent_coverage", "below": 0.8, "window": "7d",
     "step": "1h", "min_denominator": 100, "confidence": 0.95, "mode": "shadow"},
]  # fmt: skip


def policy(**changes: Any) -> Policy:
    """The access rules with these rules; ``changes`` are sections of the policy file."""
    return loads(json.dumps({"id": "house-rules", "version": "2026-11", "rules": RULES} | changes), "policy.json")


def decision(n: int, tenant: str, tier: str, at_ms: int, /, **changes: Any) -> Enforcement:
    """Decision number ``n``; ``changes`` are fields of its data."""
    pending = changes.get("status") == "pending_review"
    fields: dict[str, Any] = {
        "tenant_id": tenant,
        "kind": KINDS[tier],
        "status": "final",
        "behaviour": "blind_calling",
        "clause": 6,
        "tier": tier,
        "actions": () if pending else ACTIONS[tier],
        "proposed_actions": ACTIONS[tier] if pending else (),
        "refunds": "unaffected" if tier == "minor" else "frozen",
        "rule_id": "short-calls-day",
        "policy": REF,
        "decided_ms": at_ms,
        "review_by_ms": at_ms + 7 * DAY if pending else None,
        "window": Window(at_ms - DAY, at_ms),
        "measure": Measure("short_call_ratio", 200, 1031, 200 / 1031, 0.15, 0.174512345678),
        "evidence": Evidence(call_ids=tuple(f"{tenant[-4:]}-call-{i}" for i in range(20))),
        "violations_on_record": 1,
        "reverses": None,
        "supersedes": None,
        "reason": Reason(
            zh="过去 24 小时 1,031 个接通中有 200 个通话不超过 6 秒：19.4 %，可确信高于 15 %（条款 6，明显盲呼）。",
            en="200 of 1,031 answered calls in 24 h lasted at most 6 s: 19.4 %, surely above 15 % (clause 6).",
        ),
    }
    fields.update(changes)
    return Enforcement(
        id=f"cwe-{n:07x}e" + "a" * 24, subject=tenant, time="2026-01-01T00:00:00.000Z", data=EnforcementData(**fields)
    )


def lifelike(out: Path, tenants: int = 14, windows: bool = True, seed: int = 7) -> Path:
    """A replay of five days: warnings, bans, a pending one, a reversal, shadow decisions, refusals, late calls."""
    rng = random.Random(seed)
    events, shadow, alerts = [], [], []
    ids = ["dialler-blind", "dialler-sequential", "fraud-slow", "harasser", "acme-collections", *(
        f"tenant-{n:03}" for n in range(tenants - 5)
    )]  # fmt: skip
    for n, tenant in enumerate(ids[:3]):
        for day in range(1, 4):
            at = START + day * DAY + n * HOUR
            events.append(decision(len(events), tenant, "minor", at, violations_on_record=day))
            alerts.append(alert(tenant, "short-calls-day", at - 5 * HOUR, at + 3 * HOUR, events[-1].id))
    at = START + 3 * DAY + 2 * HOUR
    no_measure: dict[str, Any] = {"window": None, "measure": None}
    events.append(
        decision(
            100, "fraud-slow", "severe", at, behaviour="verified_fraud_complaint", clause=1, **no_measure,
            rule_id="verified_fraud_complaint", evidence=Evidence(complaint_ids=("complaint-77",)),
            reason=Reason(zh="投诉 complaint-77（诈骗）已核实：条款 1，严重违规。",
                          en="Complaint complaint-77 (fraud) was verified: clause 1, severe."),
        )
    )  # fmt: skip
    events.append(
        decision(101, "harasser", "major", at + HOUR, behaviour="verified_harassment_complaint", clause=2, **no_measure,
                 rule_id="verified_harassment_complaint", evidence=Evidence(complaint_ids=("complaint-12",)))
    )  # fmt: skip
    events.append(
        decision(102, "harasser", "major", at + 9 * HOUR, kind="reversal", behaviour="verified_harassment_complaint",
                 clause=2, **no_measure, actions=(), refunds="released", reverses=events[-1].id,
                 rule_id="verified_harassment_complaint", violations_on_record=0,
                 evidence=Evidence(complaint_ids=("complaint-12",)))
    )  # fmt: skip
    events.append(
        decision(103, "dialler-blind", "major", START + 3 * DAY, status="pending_review", behaviour="repeat_violation",
                 clause=None, rule_id="three-strikes", window=None, refunds="unaffected",
                 measure=Measure("violations", 3, None, 3.0, 3.0, None), violations_on_record=3,
                 evidence=Evidence(enforcement_ids=tuple(e.id for e in events[:3])))
    )  # fmt: skip
    events.append(
        decision(104, "acme-collections", "minor", START + DAY + 5, kind="admission_rejected", tier=None, clause=None,
                 behaviour="prohibited_business_application", rule_id="prohibited_business_application", **no_measure,
                 status="final", actions=("reject_numbers",), evidence=Evidence(application_ids=("app-1",)),
                 reason=Reason(zh="申请的业务“催收”属于禁止接入业务。", en="The business applied for is prohibited."))
    )  # fmt: skip
    for tenant in ids[5:9]:
        shadow.append(decision(200 + len(shadow), tenant, "minor", START + 2 * DAY, rule_id="consent", clause=7,
                               behaviour="no_consent"))  # fmt: skip
        alerts.append(alert(tenant, "consent", START + 2 * DAY, None, None))
    late = [call(f"late-{n}", ids[n % 5], START + n * HOUR) for n in range(9)]
    rejected = [
        Rejected("calls.jsonl", 10 + n, reason, raw)
        for n, (reason, raw) in enumerate(
            [
                (
                    "invalid_record: $.end_ms: expected int, got str",
                    f'{{"type":"cdr","caller":"{NUMBER}","end_ms":"x"}}',
                ),
                ("not_json: truncated", f'{{"type":"cdr","caller":"{NUMBER[:9]}'),
                ("not_json: truncated", "\\u0031\\u0033\\u0038\\u0031\\u0032\\u0033\\u0034\\u0035"),
                ("future_event", '{"type":"cdr","callee":"alice-the-pseudonym","end_ms":9999999999999}'),
            ]
        )
    ]
    judged = [line for tenant in ids for line in _judged(rng, tenant)] if windows else []
    return write(out, events, alerts, shadow, late, rejected, judged if windows else None)


def hostile(out: Path, payload: str = "") -> Path:
    """A replay whose every text is ``payload``, or by default a mixture of hostile texts."""
    text = payload or (
        "<script>window.hacked=1</script>\"'><img src=x onerror=window.hacked=1>{{7*7}}{% raw %}</style>"
        "\u202eRTL\u2066 \x00\x1b[31m &lt; ]]> --> 😀 " + NUMBER + " "
    )
    name = text[:128]
    long = (text * 40)[:4096]
    bad = Reason(zh=long, en=long)
    evidence = Evidence(call_ids=(name, NUMBER), complaint_ids=(name,))
    events = [
        decision(n, f"{name[:120]}{n}", tier, START + n * HOUR, reason=bad, evidence=evidence, rule_id=name)
        for n, tier in enumerate(("minor", "major", "severe"))
    ]
    events.append(
        decision(9, NUMBER, "severe", START + 5 * HOUR, status="pending_review", reason=bad, evidence=evidence)
    )
    events.append(decision(10, "+8613900005678", "minor", START + 5 * HOUR, reason=bad))
    alerts = [alert(name, name, START, None, None, bad)]
    late = [call(name, name, START, caller="</script><b>", callee="95588")]
    rejected = [Rejected(name, 1, long, long), Rejected("f", 2, f"{name}: x", long)]
    judged = [
        JudgedWindow(tenant, "short-calls-day", "short_call_ratio", DAY, START + n * HOUR, n, 200, n / 200)
        for n in range(50)
        for tenant in (name, NUMBER)
    ]
    return write(out, events, alerts, events, late, rejected, judged)


def alert(
    tenant: str, rule: str, since_ms: int, until_ms: int | None, decided: str | None, reason: Reason | None = None
) -> Alert:
    """One alert, firing where ``until_ms`` is None."""
    return Alert(
        alert_id=f"{tenant}/{rule}/{since_ms}",
        tenant_id=tenant,
        rule_id=rule,
        severity="warning",
        state="firing" if until_ms is None else "resolved",
        measure=Measure("short_call_ratio", 40, 180, 40 / 180, 0.15, 0.17),
        since_ms=since_ms,
        updated_ms=until_ms or since_ms,
        enforcement_id=decided,
        reason=reason or Reason(zh="短呼占比越过阈值。", en="The share of short calls is beyond its threshold."),
    )


def call(call_id: str, tenant: str, end_ms: int, caller: str = NUMBER, callee: str = "+8675583765566") -> Cdr:
    """One answered call."""
    return Cdr(call_id=call_id, tenant_id=tenant, direction="outbound", caller=caller, callee=callee,
               start_ms=end_ms - 9000, answer_ms=end_ms - 4000, end_ms=end_ms, outcome="answered")  # fmt: skip


def _judged(rng: random.Random, tenant: str) -> list[JudgedWindow]:
    bad = tenant.startswith(("dialler", "fraud"))
    lines = []
    for hour in range(1, 5 * 24):
        answered = int(400 + 300 * rng.random())
        for rule in RULES:
            share = (0.19 if bad else 0.06) + 0.03 * rng.random()
            if "below" in rule:
                share = 1 - share * (2 if tenant.startswith("tenant") else 0.3)
            count = rule["metric"] == "callee_over_limit"
            n = int(answered * share * (0.1 if count else 1))
            lines.append(
                JudgedWindow(tenant, rule["id"], rule["metric"], DAY, START + hour * HOUR, n,
                             None if count else answered, float(n) if count else n / answered)
            )  # fmt: skip
    return lines


def write(
    out: Path,
    events: list[Enforcement],
    alerts: list[Alert] = [],  # noqa: B006 - read, never changed; so are those below
    shadow: list[Enforcement] = [],  # noqa: B006
    late: list[Cdr] = [],  # noqa: B006
    rejected: list[Rejected] = [],  # noqa: B006
    windows: list[JudgedWindow] | None = None,
) -> Path:
    """Write the directory as a replay does."""
    out.mkdir(parents=True, exist_ok=True)
    events.sort(key=lambda e: (e.data.decided_ms, e.subject, e.id))
    files: dict[str, list[Any]] = {
        "enforcement": events, "alerts": alerts, "shadow": shadow, "late": late, "rejected": rejected,
    }  # fmt: skip
    if windows is not None:
        files["windows"] = sorted(windows, key=lambda w: (w.end_ms, w.tenant_id, w.rule_id))
    for name, records in files.items():
        (out / f"{name}.jsonl").write_bytes(b"".join(msgspec.json.encode(r) + b"\n" for r in records))
    accepted = 48_211
    summary = {
        "read": accepted + len(rejected) + 17 + len(late), "accepted": accepted, "rejected": len(rejected),
        "duplicates": 17, "late": len(late), "enforcement": len(events), "alerts": len(alerts), "tenants": 14,
    }  # fmt: skip
    (out / "summary.json").write_bytes(msgspec.json.encode(summary))
    (out / "policy.json").write_bytes(msgspec.json.encode(to_plain(policy())))
    return out
