"""The access rules, clause by clause, as the product applies them: each test reads like the rule that it checks."""

import itertools
from typing import Any

import pytest

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


# The seven clauses


def test_clause_1_a_verified_fraud_complaint_bans_keeps_the_money_and_may_go_to_court() -> None:
    ban = the_only(decided(complaint("fraud", 0, "received"), complaint("fraud", HOUR)))
    assert (ban["clause"], ban["tier"], ban["kind"], ban["status"]) == (1, "severe", "ban", "final")
    assert set(ban["actions"]) == {"ban_account", "forbid_refunds", "reserve_legal_action"} | RECORDED
    assert ban["refunds"] == "frozen"
    assert ban["decided_ms"] == T0 + HOUR
    assert ban["evidence"]["complaint_ids"] == ["p1"]


def test_clause_2_a_verified_harassment_complaint_terminates_and_keeps_the_money() -> None:
    end = the_only(decided(complaint("harassment", 0)))
    assert (end["clause"], end["tier"], end["kind"], end["status"]) == (2, "major", "termination", "final")
    assert set(end["actions"]) == {"terminate_service", "forbid_refunds"} | RECORDED
    assert end["refunds"] == "frozen"


@pytest.mark.parametrize(
    "record",
    [
        complaint("prohibited_business", 0),
        finding("undeclared_business", 0, actual_business="贷款"),
        finding("undeclared_business", 0, catalogue_row="loans"),
    ],
    ids=["complaint", "finding-by-text", "finding-by-row"],
)
def test_clause_3_an_undeclared_business_out_of_the_catalogue_bans(record: dict[str, Any]) -> None:
    ban = the_only(decided(record))
    assert (ban["clause"], ban["tier"], ban["kind"], ban["status"]) == (3, "severe", "ban", "final")
    assert ban["behaviour"] == "undeclared_prohibited_business"
    assert ban["refunds"] == "frozen"


def test_clause_3_a_text_that_only_contains_a_prohibited_business_waits_for_a_review() -> None:
    pending = the_only(decided(finding("undeclared_business", 0, actual_business="小额贷款中介")))
    assert (pending["clause"], pending["kind"], pending["status"]) == (3, "ban", "pending_review")
    assert pending["actions"] == []
    assert "ban_account" in pending["proposed_actions"]


def test_clause_4_an_undeclared_business_outside_the_catalogue_warns_and_is_recorded() -> None:
    warning = the_only(decided(finding("undeclared_business", 0, actual_business="宠物用品")))
    assert (warning["clause"], warning["tier"], warning["kind"]) == (4, "minor", "warning")
    assert set(warning["actions"]) == {"warn"} | RECORDED
    assert warning["refunds"] == "unaffected"
    assert warning["violations_on_record"] == 1


@pytest.mark.parametrize("record", [complaint("abuse", 0), finding("in_call_abuse", 0)], ids=["complaint", "finding"])
def test_clause_5_abuse_in_calls_terminates(record: dict[str, Any]) -> None:
    end = the_only(decided(record))
    assert (end["clause"], end["tier"], end["kind"], end["refunds"]) == (5, "major", "termination", "frozen")


@pytest.mark.parametrize(
    ("clause", "record"),
    [
        (6, complaint("number_leak", 0)),
        (6, finding("blind_calling", 0)),
        (7, complaint("no_consent", 0)),
        (7, finding("no_consent", 0)),
    ],
    ids=["6-complaint", "6-finding", "7-complaint", "7-finding"],
)
def test_clauses_6_and_7_blind_calls_and_calls_without_consent_warn(clause: int, record: dict[str, Any]) -> None:
    warning = the_only(decided(record))
    assert (warning["clause"], warning["tier"], warning["kind"]) == (clause, "minor", "warning")
    assert set(warning["actions"]) == {"warn"} | RECORDED
    assert warning["refunds"] == "unaffected"


def test_clause_6_many_short_calls_warn() -> None:
    warning = the_only(decided(*[call(n * MINUTE, 2_000) for n in range(1, 11)], rules=[SHORT_CALLS]))
    assert (warning["clause"], warning["kind"], warning["rule_id"]) == (6, "warning", "short-calls")
    assert warning["measure"]["numerator"] == 10
    assert warning["window"] == {"start_ms": T0, "end_ms": T0 + HOUR}


# What does not decide


@pytest.mark.parametrize(
    "category", ["fraud", "harassment", "abuse", "no_consent", "number_leak", "prohibited_business"]
)
def test_an_unverified_complaint_decides_nothing(category: str) -> None:
    assert decided(complaint(category, 0, "received"), clock(DAY)) == []


def test_a_suspicion_decides_nothing() -> None:
    assert decided(finding("in_call_abuse", 0, "suspected"), clock(DAY)) == []


def test_a_complaint_of_another_kind_decides_nothing_even_verified() -> None:
    assert decided(complaint("other", 0), clock(DAY)) == []


def test_a_complaint_that_was_dismissed_first_never_decides() -> None:
    assert decided(complaint("fraud", 0, "dismissed"), complaint("fraud", HOUR, "verified")) == []


def test_a_complaint_decides_once_however_often_it_is_verified() -> None:
    the_only(decided(complaint("fraud", 0), complaint("fraud", HOUR), complaint("harassment", DAY)))


# The two-key rule: a ratio is evidence, not proof


def bursts(days: int) -> list[dict[str, Any]]:
    return [call(d * DAY + n * MINUTE, 2_000) for d in range(days) for n in range(1, 11)]


def test_ratios_alone_never_terminate_under_the_default_escalation() -> None:
    events = in_order(decided(*bursts(4), rules=[SHORT_CALLS], escalations=[THREE_STRIKES]))
    assert [(e["kind"], e["status"]) for e in events] == [
        ("warning", "final"),
        ("warning", "final"),
        ("warning", "final"),
        ("termination", "pending_review"),
        ("warning", "final"),
    ]


def test_ratios_alone_never_terminate_under_the_built_in_policy() -> None:
    """A blind dialler, for a week: short answered calls, dead numbers, one number after the other."""
    outcomes = ["answered"] * 4 + ["invalid_number"] * 2 + ["no_answer"] * 4
    calls = [
        blind_call(day * DAY + 4 * HOUR + n * 4_000, f"+86138{day * 1000 + n:08d}", outcomes[n % 10])
        for day in range(7)
        for n in range(200)
    ]
    events = run([calls], None)["enforcement"]
    warnings = [e for e in events if e["kind"] == "warning"]
    rules = {e["rule_id"] for e in warnings}
    assert len(warnings) > len(rules), "such traffic is warned repeatedly"
    assert len(rules) < 3, "by few rules"
    assert not [e for e in events if e["kind"] in {"termination", "ban"}], "and each rule counts once"
    complaints = [warned(6 * DAY + n * HOUR, f"p{n}") for n in range(3)]
    events = run([calls, complaints], None)["enforcement"]
    assert [e for e in events if e["kind"] == "termination"], "with other signs it is referred in the end"
    assert not [e for e in events if e["kind"] in {"termination", "ban"} and e["status"] == "final"]


def test_ratios_terminate_where_the_house_itself_says_so() -> None:
    enforced = {**THREE_STRIKES, "mode": "enforce"}
    events = in_order(decided(*bursts(4), rules=[SHORT_CALLS], escalations=[enforced]))
    assert [(e["kind"], e["status"]) for e in events] == [
        ("warning", "final"),
        ("warning", "final"),
        ("warning", "final"),
        ("termination", "final"),
    ], "and while it stands, measured rules decide nothing"
    assert events[3]["decided_ms"] == events[2]["decided_ms"]


def test_a_review_rule_of_a_graver_tier_only_proposes() -> None:
    rule = {**SHORT_CALLS, "behaviour": "in_call_abuse", "mode": "review"}
    pending = the_only(decided(*bursts(1), rules=[rule]))
    assert (pending["kind"], pending["status"], pending["actions"]) == ("termination", "pending_review", [])
    assert pending["refunds"] == "unaffected", "a measured rule freezes nothing unless it says so"


def test_a_shadow_rule_changes_nothing() -> None:
    out = judged(*bursts(3), rules=[{**SHORT_CALLS, "mode": "shadow"}], escalations=[THREE_STRIKES])
    assert out["enforcement"] == []
    assert [e["status"] for e in out["shadow"]] == ["final"] * 3


# Escalation of repeated violations


def warned(at: int, name: str, **more: Any) -> dict[str, Any]:
    return complaint("number_leak", at, name=name, **more)


def test_the_third_violation_within_thirty_days_refers_the_tenant_with_the_three_as_evidence() -> None:
    events = decided(warned(0, "p1"), warned(DAY, "p2"), warned(30 * DAY - 1, "p3"), escalations=[THREE_STRIKES])
    referral = the_only([e for e in events if e["kind"] == "termination"])
    warnings = [e for e in events if e["kind"] == "warning"]
    assert (referral["behaviour"], referral["clause"], referral["tier"]) == ("repeat_violation", None, "major")
    assert (referral["kind"], referral["status"]) == ("termination", "pending_review")
    assert sorted(referral["evidence"]["enforcement_ids"]) == sorted(w["id"] for w in warnings)
    measure = referral["measure"]
    assert (measure["metric"], measure["numerator"], measure["denominator"]) == ("violations", 3, None)
    assert (measure["threshold"], measure["bound"]) == (3, None)


def test_a_violation_exactly_thirty_days_old_no_longer_counts() -> None:
    events = decided(warned(0, "p1"), warned(DAY, "p2"), warned(30 * DAY, "p3"), escalations=[THREE_STRIKES])
    assert [e["kind"] for e in events] == ["warning"] * 3


def test_a_violation_is_used_by_an_escalation_once() -> None:
    records = [warned(n * DAY, f"p{n}") for n in range(6)]
    events = decided(*records, escalations=[THREE_STRIKES])
    assert [e["decided_ms"] for e in events if e["kind"] == "termination"] == [T0 + 2 * DAY, T0 + 5 * DAY]


def test_a_referral_is_withdrawn_with_one_of_its_violations_and_the_rest_count_again() -> None:
    events = decided(
        *[warned(n * DAY, f"p{n}") for n in range(3)],
        complaint("number_leak", 3 * DAY, "dismissed", "p1"),
        warned(4 * DAY, "p4"),
        escalations=[THREE_STRIKES],
    )
    first, second = (e for e in events if e["kind"] == "termination")
    reversed_ids = [e["reverses"] for e in events if e["kind"] == "reversal"]
    assert first["id"] in reversed_ids
    fall = next(e for e in events if e["reverses"] == first["id"])
    assert (fall["decided_ms"], fall["refunds"]) == (T0 + 3 * DAY, "released")
    assert fall["evidence"]["complaint_ids"] == ["p1"]
    assert second["decided_ms"] == T0 + 4 * DAY
    assert second["measure"]["numerator"] == 3


def test_violations_of_a_lapsed_referral_stay_used() -> None:
    events = decided(
        *[warned(n * HOUR, f"p{n}") for n in range(3)],
        warned(8 * DAY, "p4"),
        escalations=[THREE_STRIKES],
    )
    assert [e["kind"] for e in events if e["behaviour"] == "repeat_violation"] == ["termination", "lapse"]


# Pending, lapse, review

LIKELY = finding("undeclared_business", 0, actual_business="小额贷款中介")


def test_a_pending_decision_freezes_refunds_but_is_no_violation_yet() -> None:
    out = judged(LIKELY, clock(DAY))
    pending = the_only(out["enforcement"])
    assert pending["refunds"] == "frozen"
    assert pending["violations_on_record"] == 0
    assert pending["review_by_ms"] == T0 + 7 * DAY
    assert out["holds"] == [pending["id"]]


def test_without_a_review_within_seven_days_it_lapses_and_the_refunds_are_released() -> None:
    out = judged(LIKELY, clock(7 * DAY))
    pending, lapse = out["enforcement"]
    assert (lapse["kind"], lapse["status"], lapse["decided_ms"]) == ("lapse", "final", T0 + 7 * DAY)
    assert (lapse["reverses"], lapse["refunds"], lapse["actions"]) == (pending["id"], "released", [])
    assert out["holds"] == []


def test_one_millisecond_before_the_seven_days_it_still_waits() -> None:
    the_only(decided(LIKELY, clock(7 * DAY - 1)))


def pending_id() -> str:
    return str(the_only(decided(LIKELY))["id"])


def test_an_upheld_decision_becomes_final_at_the_time_of_the_review() -> None:
    old = pending_id()
    out = judged(LIKELY, review("uphold", old, HOUR))
    _, final = out["enforcement"]
    assert (final["kind"], final["status"], final["supersedes"]) == ("ban", "final", old)
    assert final["decided_ms"] == T0 + HOUR
    assert "ban_account" in final["actions"]
    assert (final["evidence"]["finding_ids"], final["evidence"]["review_ids"]) == (["f1"], ["v1"])
    assert final["violations_on_record"] == 1
    assert out["holds"] == [final["id"]]


def test_a_review_at_the_very_instant_of_the_lapse_comes_too_late() -> None:
    out = judged(LIKELY, review("uphold", pending_id(), 7 * DAY))
    assert [e["kind"] for e in out["enforcement"]] == ["ban", "lapse"]
    assert out["summary"]["rejected"] == 1


def test_an_overturned_pending_decision_is_reversed() -> None:
    old = pending_id()
    out = judged(LIKELY, review("overturn", old, HOUR))
    _, reversal = out["enforcement"]
    assert (reversal["kind"], reversal["reverses"], reversal["refunds"]) == ("reversal", old, "released")
    assert out["holds"] == []


@pytest.mark.parametrize("named", ["pending", "final"])
def test_an_upheld_decision_can_be_overturned_by_either_of_its_ids(named: str) -> None:
    old = pending_id()
    upheld = decided(LIKELY, review("uphold", old, HOUR))[1]["id"]
    name = old if named == "pending" else upheld
    out = judged(LIKELY, review("uphold", old, HOUR), review("overturn", name, 2 * HOUR, "v2"))
    reversal = out["enforcement"][-1]
    assert (reversal["kind"], reversal["reverses"]) == ("reversal", upheld)
    assert reversal["violations_on_record"] == 0
    assert out["holds"] == []


@pytest.mark.parametrize("verdict", ["uphold", "overturn"])
def test_a_review_of_an_unknown_decision_is_rejected(verdict: str) -> None:
    out = judged(review(verdict, "no-such-event", 0))
    assert (out["enforcement"], out["summary"]["rejected"]) == ([], 1)


def test_a_review_that_changes_nothing_is_rejected() -> None:
    ban = the_only(decided(complaint("fraud", 0)))["id"]
    out = judged(
        complaint("fraud", 0),
        review("uphold", ban, HOUR),
        review("overturn", ban, 2 * HOUR),
        review("overturn", ban, 3 * HOUR, "v3"),
    )
    assert [line for _, line in out["rejected"]] == [2, 4]


def test_a_review_cannot_concern_another_tenants_decision() -> None:
    ban = the_only(decided(complaint("fraud", 0)))["id"]
    out = judged(complaint("fraud", 0), {**review("overturn", ban, HOUR), "tenant_id": "other"})
    assert len(out["enforcement"]) == 1
    assert out["summary"]["rejected"] == 1


# Reversal


def test_an_overturned_termination_lets_measured_rules_decide_again() -> None:
    end = complaint("harassment", 0)
    bad = bursts(1) + [call(HOUR + n * MINUTE, 2_000) for n in range(1, 11)]
    assert [e["kind"] for e in decided(end, *bad, rules=[SHORT_CALLS])] == ["termination"]
    termination = the_only(decided(end))["id"]
    events = decided(end, *bad[:10], review("overturn", termination, 50 * MINUTE), *bad[10:], rules=[SHORT_CALLS])
    assert [e["kind"] for e in events] == ["termination", "reversal", "warning", "warning"]
    assert [e["violations_on_record"] for e in events] == [1, 0, 1, 2]


def test_a_complaint_that_is_dismissed_afterwards_takes_its_decision_back() -> None:
    out = judged(complaint("fraud", 0), complaint("fraud", DAY, "dismissed"))
    ban, reversal = out["enforcement"]
    assert (reversal["kind"], reversal["reverses"], reversal["refunds"]) == ("reversal", ban["id"], "released")
    assert reversal["evidence"]["complaint_ids"] == ["p1"]
    assert (reversal["clause"], reversal["tier"]) == (1, "severe")
    assert reversal["violations_on_record"] == 0
    assert out["holds"] == []


def test_one_reversal_leaves_the_other_hold_in_place() -> None:
    out = judged(complaint("fraud", 0), complaint("harassment", HOUR, name="p2"), complaint("fraud", DAY, "dismissed"))
    assert out["holds"] == [out["enforcement"][1]["id"]]


# Admission


def test_an_application_for_a_prohibited_business_is_rejected() -> None:
    no = the_only(decided(application("贷款", 0)))
    assert (no["kind"], no["status"], no["actions"]) == ("admission_rejected", "final", ["reject_numbers"])
    assert (no["clause"], no["tier"], no["refunds"]) == (None, None, "unaffected")
    assert no["evidence"]["application_ids"] == ["n1"]
    assert "贷款" in no["reason"]["zh"]


def test_the_scenario_counts_as_the_declared_business_does() -> None:
    the_only(decided(application("客服", 0, scenario="Cash Loan")))


def test_an_application_that_only_contains_a_prohibited_business_waits_and_may_be_upheld() -> None:
    pending = the_only(decided(application("小额贷款中介", 0)))
    assert (pending["status"], pending["actions"]) == ("pending_review", [])
    assert pending["proposed_actions"] == ["reject_numbers"]
    final = decided(application("小额贷款中介", 0), review("uphold", pending["id"], HOUR))[1]
    assert (final["status"], final["actions"], final["supersedes"]) == ("final", ["reject_numbers"], pending["id"])


def test_a_lawful_application_is_left_alone() -> None:
    assert decided(application("宠物用品", 0), application("贷款知识讲座", HOUR, "n2")) == []


def test_a_banned_tenant_is_not_admitted_again_and_a_terminated_one_is() -> None:
    banned = decided(complaint("fraud", 0), application("宠物用品", HOUR))
    assert [e["behaviour"] for e in banned] == ["verified_fraud_complaint", "banned_applicant"]
    assert banned[1]["kind"] == "admission_rejected"
    assert [e["kind"] for e in decided(complaint("harassment", 0), application("宠物用品", HOUR))] == ["termination"]


def test_an_application_is_no_violation() -> None:
    events = decided(
        *[application("贷款", n * HOUR, f"n{n}") for n in range(4)],
        warned(5 * HOUR, "p1"),
        escalations=[THREE_STRIKES],
    )
    assert {e["violations_on_record"] for e in events if e["kind"] == "admission_rejected"} == {0}
    assert events[-1]["violations_on_record"] == 1
    assert not [e for e in events if e["behaviour"] == "repeat_violation"]


# Reasons


def test_every_decision_gives_its_reason_in_both_languages_with_the_numbers_in_it() -> None:
    warning = the_only(decided(*bursts(1), rules=[SHORT_CALLS]))
    for language in ("zh", "en"):
        assert "10" in warning["reason"][language]
        assert "50" in warning["reason"][language]
