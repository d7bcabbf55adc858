"""Decisions that wait for a review: they lapse, are upheld or overturned, and are reversed."""

import pytest
from access_rule_records import (
    DAY,
    HOUR,
    MINUTE,
    SHORT_CALLS,
    T0,
    bursts,
    call,
    clock,
    complaint,
    decided,
    finding,
    judged,
    review,
    the_only,
)

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
