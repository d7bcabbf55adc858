"""The decision lifecycle as time lines: section 5 of the contract on terminations, reviews, lapses, admission."""

from typing import Any

import pytest

from helpers.shard_harness import ShardHarness, escalation, rule, summaries
from helpers.shard_samples import MINUTE, T0
from monitor.text.timestamps import rfc3339

# Active terminations and bans


def test_during_a_termination_rules_and_escalations_decide_nothing_and_records_continue() -> None:
    harness = ShardHarness(rules=[rule("one"), rule("seen", mode="shadow")], escalations=[escalation(at_least=1)])
    harness.complaint(1, category="harassment")
    harness.short_calls(4)
    harness.complaint(7, name="p2")
    assert summaries(harness.until(9)) == [
        ("termination", "final", "verified_harassment_complaint", 1),
        ("warning", "final", "blind_calling", 7),
    ]
    assert summaries(harness.output.shadow) == [("warning", "final", "seen", 5)]
    assert [alert.state for alert in harness.output.alerts] == ["firing", "firing"]


def test_a_pending_ban_stops_nothing() -> None:
    harness = ShardHarness(rules=[rule("one")])
    harness.likely_ban(1)
    harness.short_calls(4)
    assert summaries(harness.until(5))[1:] == [("warning", "final", "one", 5)]


def test_rules_decide_again_when_the_last_of_two_stops_is_reversed() -> None:
    harness = ShardHarness(rules=[rule("one", cooldown="10m")])
    harness.complaint(1, category="harassment")
    harness.complaint(2, category="fraud", name="p2")
    harness.short_calls(*range(3, 40))
    harness.complaint(11, "dismissed", category="harassment")
    assert [kind for kind, *_ in summaries(harness.until(20))] == ["termination", "ban", "reversal"]
    harness.complaint(21, "dismissed", category="fraud", name="p2")
    assert summaries(harness.until(30))[1:] == [("warning", "final", "one", 25)]


def test_an_escalation_that_terminates_at_once_stops_those_after_it() -> None:
    harness = ShardHarness(
        escalations=[escalation("first", at_least=1, mode="enforce"), escalation("second", at_least=1)]
    )
    harness.complaint(1, name="w1")
    assert summaries(harness.until(2)) == [
        ("warning", "final", "blind_calling", 1),
        ("termination", "final", "first", 1),
    ]


# Pending, lapse, review


def test_an_upheld_decision_keeps_measure_window_and_evidence_and_names_the_review() -> None:
    harness = ShardHarness(rules=[rule("ask", mode="review", behaviour="in_call_abuse", freeze=False)])
    harness.short_calls(4)
    (pending,) = harness.until(5)
    assert (pending.data.refunds, pending.data.actions) == ("unaffected", ())
    harness.review(6, "uphold", pending)
    (final,) = harness.until(7)
    before, after = pending.data, final.data
    assert (after.measure, after.window, after.evidence.call_ids) == (
        before.measure,
        before.window,
        before.evidence.call_ids,
    )
    assert after.evidence.review_ids == ("v1",)
    assert (after.refunds, after.actions, after.proposed_actions) == ("frozen", before.proposed_actions, ())
    assert (after.supersedes, after.reverses, after.review_by_ms) == (pending.id, None, None)
    assert final.id != pending.id


@pytest.mark.parametrize(("freeze", "refunds"), [(True, "frozen"), (False, "unaffected"), (None, "unaffected")])
def test_a_pending_measured_decision_freezes_only_where_its_rule_says_so(freeze: bool | None, refunds: str) -> None:
    changes: dict[str, Any] = {} if freeze is None else {"freeze": freeze}
    harness = ShardHarness(rules=[rule("ask", mode="review", behaviour="in_call_abuse", **changes)])
    harness.short_calls(4)
    (pending,) = harness.until(5)
    assert pending.data.refunds == refunds
    harness.review(6, "overturn", pending)
    assert harness.until(7)[0].data.refunds == ("released" if freeze else "unaffected")


def test_a_minor_tier_never_freezes() -> None:
    harness = ShardHarness(rules=[rule("ask", mode="review", freeze=True)])
    harness.short_calls(4)
    assert harness.until(5)[0].data.refunds == "unaffected"


def test_a_policy_may_exclude_a_behaviour_from_the_freeze_while_pending() -> None:
    harness = ShardHarness(behaviours={"undeclared_prohibited_business": {"freeze": False}})
    harness.likely_ban(1)
    (pending,) = harness.until(2)
    harness.review(3, "uphold", pending)
    (final,) = harness.until(4)
    assert (pending.data.refunds, final.data.refunds) == ("unaffected", "frozen")


def test_a_lapse_has_the_contracts_fields() -> None:
    harness = ShardHarness(defaults={"review_within": "30m"})
    harness.likely_ban(1)
    (pending,) = harness.until(30.9)
    (lapse,) = harness.until(31)
    data = lapse.data
    assert summaries([lapse]) == [("lapse", "final", "undeclared_prohibited_business", 31)]
    assert (data.reverses, data.refunds, data.actions, data.proposed_actions) == (pending.id, "released", (), ())
    assert (data.clause, data.tier, data.behaviour) == (3, "severe", "undeclared_prohibited_business")
    assert (data.window, data.measure) == (None, None)
    assert not any(getattr(data.evidence, name) for name in data.evidence.__struct_fields__)
    assert lapse.time == rfc3339(T0 + 31 * MINUTE)


def test_at_one_instant_lapses_come_first_then_windows_then_records() -> None:
    """The lapse lets the review rule decide at that very end; the record that terminates the tenant
    comes after both.
    """
    harness = ShardHarness(rules=[rule("ask", mode="review")], defaults={"review_within": "15m"})
    harness.short_calls(*range(1, 30))
    harness.complaint(20, category="harassment")
    assert summaries(harness.until(21)) == [
        ("warning", "pending_review", "ask", 5),
        ("lapse", "final", "ask", 20),
        ("warning", "pending_review", "ask", 20),
        ("termination", "final", "verified_harassment_complaint", 20),
    ]


def test_records_wait_until_the_watermark_is_past_them_and_windows_do_not() -> None:
    harness = ShardHarness(rules=[rule("one")])
    harness.short_calls(4)
    harness.complaint(5)
    assert summaries(harness.until(5)) == [("warning", "final", "one", 5)]
    assert summaries(harness.until(5 + 1 / 60_000)) == [("warning", "final", "blind_calling", 5)]


def test_at_one_instant_records_come_by_type_then_id_then_status() -> None:
    """The application is decided a millisecond after the ban of the complaint; dismissed comes after verified."""
    harness = ShardHarness()
    harness.review(1, "overturn", "cwe-unknown")
    harness.finding(1)
    harness.complaint(1, "dismissed", name="p9", category="fraud")
    harness.complaint(1, "verified", name="p9", category="fraud")
    harness.complaint(1, "verified", name="p10", category="fraud")
    harness.application(1, "宠物用品")
    harness.application(2, "宠物用品", name="n2")
    said = summaries(harness.until(3))
    assert [(kind, rule_id) for kind, _, rule_id, _ in said] == [
        ("ban", "verified_fraud_complaint"),
        ("ban", "verified_fraud_complaint"),
        ("reversal", "verified_fraud_complaint"),
        ("warning", "no_consent"),
        ("admission_rejected", "banned_applicant"),
    ]
    assert harness.rejected() == ["unknown_enforcement"]


@pytest.mark.parametrize("verdict", ["uphold", "overturn"])
def test_reviews_of_reversals_lapses_and_settled_cases_are_rejected(verdict: str) -> None:
    harness = ShardHarness(defaults={"review_within": "10m"})
    harness.likely_ban(0)
    harness.finding(0, name="f2")
    pending, warning = sorted(harness.until(1), key=lambda e: e.data.kind)
    harness.review(2, "overturn", warning, "v0")
    (reversal,) = harness.until(3)
    (lapse,) = harness.until(11)
    for number, event in enumerate((reversal, lapse, pending, warning)):
        harness.review(12 + number, verdict, event, f"v{number + 1}")
    assert harness.until(20) == []
    assert harness.rejected() == ["not_reviewable", "not_reviewable", "nothing_to_change", "nothing_to_change"]


def test_a_final_decision_cannot_be_upheld_but_can_be_overturned_once() -> None:
    harness = ShardHarness()
    harness.finding(1)
    (warning,) = harness.until(2)
    harness.review(3, "uphold", warning, "v1")
    harness.review(4, "overturn", warning, "v2")
    harness.review(5, "overturn", warning, "v3")
    (reversal,) = harness.until(6)
    assert (reversal.data.reverses, reversal.data.refunds) == (warning.id, "unaffected")
    assert (reversal.data.violations_on_record, reversal.data.evidence.review_ids) == (0, ("v2",))
    assert harness.rejected() == ["nothing_to_change", "nothing_to_change"]


def test_a_review_before_its_decision_is_rejected_and_not_remembered() -> None:
    harness = ShardHarness()
    known = ShardHarness()
    known.finding(5)
    (warning,) = known.until(6)
    harness.review(1, "overturn", warning)
    harness.finding(5)
    harness.review(7, "overturn", warning)
    assert [e.data.kind for e in harness.until(8)] == ["warning", "reversal"]
    assert (harness.rejected(), harness.output.duplicates) == (["unknown_enforcement"], 0)


def test_a_review_that_comes_again_is_a_duplicate_though_it_would_change_nothing() -> None:
    harness = ShardHarness()
    harness.likely_ban(1)
    (pending,) = harness.until(2)
    harness.review(3, "uphold", pending)
    harness.review(4, "uphold", pending)
    assert [e.data.status for e in harness.until(5)] == ["final"]
    assert (harness.rejected(), harness.output.duplicates) == ([], 1)


@pytest.mark.parametrize("pending", [True, False])
def test_a_dismissal_reverses_a_decision_pending_upheld_or_final(pending: bool) -> None:
    harness = ShardHarness()
    harness.likely_ban(1)
    (decision,) = harness.until(2)
    if not pending:
        harness.review(3, "uphold", decision)
        (decision,) = harness.until(4)
    harness.finding(5, "dismissed", behaviour="undeclared_business")
    harness.finding(6, "confirmed", behaviour="undeclared_business", actual_business="贷款")
    (reversal,) = harness.until(7)
    assert (reversal.data.kind, reversal.data.reverses, reversal.data.refunds) == ("reversal", decision.id, "released")
    assert reversal.data.evidence.finding_ids == ("f1",)


def test_a_dismissal_after_a_lapse_or_an_overturn_reverses_nothing_twice() -> None:
    harness = ShardHarness(defaults={"review_within": "10m"})
    harness.likely_ban(1)
    harness.finding(1, name="f2")
    warning = next(e for e in harness.until(2) if e.data.kind == "warning")
    harness.review(3, "overturn", warning)
    assert len(harness.until(12)) == 2
    harness.finding(13, "dismissed")
    harness.finding(13, "dismissed", name="f2")
    assert harness.until(14) == []


# Admission


def test_both_refusals_when_both_hold_and_no_violation() -> None:
    harness = ShardHarness()
    harness.complaint(1, category="fraud")
    harness.application(2, "小额贷款", scenario="贷款")
    _, *rejections = harness.until(3)
    assert sorted(summaries(rejections)) == [
        ("admission_rejected", "final", "banned_applicant", 2),
        ("admission_rejected", "final", "prohibited_business_application", 2),
    ]
    assert {e.data.violations_on_record for e in rejections} == {1}
    assert {(e.data.actions, e.data.refunds, e.data.tier) for e in rejections} == {
        (("reject_numbers",), "unaffected", None)
    }


def test_a_changed_application_is_checked_again_and_a_repeated_one_is_not() -> None:
    harness = ShardHarness()
    harness.application(1, "宠物用品")
    harness.application(2, "贷款")
    harness.application(2, "贷款")
    assert summaries(harness.until(3)) == [("admission_rejected", "final", "prohibited_business_application", 2)]
    assert harness.output.duplicates == 1


# Names


def test_the_newest_tenant_record_names_the_tenant_in_reasons() -> None:
    harness = ShardHarness()
    harness.tenant(1, "Alpha")
    harness.tenant(3, "Gamma")
    harness.finding(2, name="f1")
    harness.finding(4, name="f2")
    first, second = harness.until(5)
    assert "Alpha" in first.data.reason.en
    assert "Gamma" in second.data.reason.en


def test_an_instant_is_written_to_the_millisecond() -> None:
    assert rfc3339(T0 + 7) == "2026-03-02T00:00:00.007Z"
    assert rfc3339(631_152_000_000) == "1990-01-01T00:00:00.000Z"
    assert rfc3339(4_102_444_799_999) == "2099-12-31T23:59:59.999Z"


class Unwalkable(dict[str, Any]):
    """A dictionary that permits look-ups and no iteration."""

    def values(self) -> Any:
        raise AssertionError("all of a tenant's record was walked through")

    items = __iter__ = values


def test_a_violation_more_or_less_does_not_walk_through_all_of_a_long_record() -> None:
    harness = ShardHarness(escalations=[escalation(at_least=2)])
    for n in range(6):
        harness.complaint(n, name=f"p{n}")
    assert len(harness.until(6)) == 6 + 3
    tenant_record = harness.shard.tenant_records.of(0)
    tenant_record.violations, tenant_record.cases = (
        Unwalkable(tenant_record.violations),
        Unwalkable(tenant_record.cases),
    )
    harness.complaint(7, name="p6")
    harness.complaint(8, "dismissed", name="p0")  # of the first escalation one violation is left, which is unused again
    harness.complaint(9, name="p7")
    events = summaries(harness.until(10))
    assert [kind for kind, *_ in events] == ["warning", "reversal", "reversal", "warning", "termination"]
