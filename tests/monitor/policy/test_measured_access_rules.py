"""Ratios are evidence, not proof: what rules of measures decide alone, under review and in shadow."""

from access_rule_records import (
    DAY,
    HOUR,
    SHORT_CALLS,
    THREE_STRIKES,
    blind_call,
    bursts,
    decided,
    in_order,
    judged,
    the_only,
    warned,
)

from oracle.product import run


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
    events = run([calls], None, windows=False)["enforcement"]
    warnings = [e for e in events if e["kind"] == "warning"]
    rules = {e["rule_id"] for e in warnings}
    assert len(warnings) > len(rules), "such traffic is warned repeatedly"
    assert len(rules) < 3, "by few rules"
    assert not [e for e in events if e["kind"] in {"termination", "ban"}], "and each rule counts once"
    complaints = [warned(6 * DAY + n * HOUR, f"p{n}") for n in range(3)]
    events = run([calls, complaints], None, windows=False)["enforcement"]
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
