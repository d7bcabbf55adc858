"""Escalations as time lines: what they count, use, and lead to."""

from typing import Any

import pytest

from helpers.shard_harness import ShardHarness, StoredShardHarness, escalation, rule, summaries
from helpers.shard_samples import MINUTE, T0
from schemas.outputs import Enforcement, Measure


def warned(harness: ShardHarness, *minutes: float) -> None:
    """Warnings by a verified complaint at each of these minutes."""
    for minute in minutes:
        harness.complaint(minute, name=f"w{minute}")


def test_an_escalation_says_what_it_has_counted() -> None:
    harness = ShardHarness(escalations=[escalation(freeze=True)])
    warned(harness, 1, 2, 3)
    *warnings, referral = harness.until(4)
    assert summaries([referral]) == [("termination", "pending_review", "strikes", 3)]
    data = referral.data
    assert (data.behaviour, data.clause, data.tier, data.window) == ("repeat_violation", None, "major", None)
    assert data.measure == Measure("violations", 3, None, 3, 3, None)
    assert data.evidence.enforcement_ids == tuple(sorted(e.id for e in warnings))
    assert (data.actions, data.refunds, data.violations_on_record) == ((), "frozen", 3)
    assert set(data.proposed_actions) == {"terminate_service", "record_violation", "forbid_refunds"}
    assert data.review_by_ms == T0 + 3 * MINUTE + 7 * 24 * 60 * MINUTE


@pytest.mark.parametrize(("freeze", "refunds"), [(True, "frozen"), (False, "unaffected"), (None, "frozen")])
def test_a_pending_escalation_freezes_refunds_unless_the_policy_excludes_it(freeze: bool | None, refunds: str) -> None:
    changes: dict[str, Any] = {} if freeze is None else {"freeze": freeze}
    harness = ShardHarness(escalations=[escalation(at_least=1, **changes)])
    warned(harness, 1)
    assert harness.until(2)[1].data.refunds == refunds


@pytest.mark.parametrize(("first", "escalates"), [(0, False), (1 / 60_000, True)])
def test_the_escalations_window_is_open_at_its_beginning(first: float, escalates: bool) -> None:
    """(t - window, t]."""
    harness = ShardHarness(escalations=[escalation(at_least=2, window="60m")])
    warned(harness, first, 60)
    assert (len(harness.until(61)) == 3) == escalates


def test_each_escalation_uses_violations_for_itself() -> None:
    harness = ShardHarness(escalations=[escalation("two", at_least=2), escalation("three", at_least=3, tier="severe")])
    warned(harness, 1, 2, 3, 4)
    said = [(kind, rule_id, m) for kind, _, rule_id, m in summaries(harness.until(5)) if kind != "warning"]
    assert said == [("termination", "two", 2), ("ban", "three", 3), ("termination", "two", 4)]


def test_more_violations_than_asked_for_are_all_used_and_named() -> None:
    """The fourth was recorded during a termination, whose end triggers nothing; the fifth counts five."""
    harness = ShardHarness(escalations=[escalation(at_least=2)])
    warned(harness, 1)
    harness.complaint(2, name="stop", category="harassment")  # itself a violation, and it stops escalations
    warned(harness, 3, 4)
    harness.complaint(5, "dismissed", name="stop", category="harassment")
    assert "strikes" not in {rule_id for *_, rule_id, _ in summaries(harness.until(6))}
    warned(harness, 7)
    referral = harness.until(8)[1]
    assert referral.data.measure == Measure("violations", 4, None, 4, 2, None)
    assert len(referral.data.evidence.enforcement_ids) == 4


def test_a_referral_with_spare_violations_is_withdrawn_only_when_too_few_are_left() -> None:
    harness = ShardHarness(escalations=[escalation(at_least=2)])
    warned(harness, 1)
    harness.complaint(2, name="stop", category="harassment")
    warned(harness, 3)
    harness.complaint(5, "dismissed", name="stop", category="harassment")
    warned(harness, 7)
    referral = harness.until(8)[-1]
    harness.complaint(9, "dismissed", name="w1")
    assert [e.data.kind for e in harness.until(10)] == ["reversal"]
    harness.complaint(11, "dismissed", name="w3")
    reversal, fall = harness.until(12)
    assert fall.data.reverses == referral.id
    assert (fall.data.decided_ms, fall.data.evidence) == (reversal.data.decided_ms, reversal.data.evidence)
    assert (fall.data.window, fall.data.measure, fall.data.actions, fall.data.status) == (None, None, (), "final")
    assert fall.data.violations_on_record == 1


def test_violations_of_an_unsupported_referral_become_unused_and_those_of_an_overturned_one_do_not() -> None:
    fallen, overturned = ShardHarness(escalations=[escalation()]), ShardHarness(escalations=[escalation()])
    for harness in (fallen, overturned):
        warned(harness, 1, 2, 3)
        referral = harness.until(4)[-1]
        if harness is fallen:
            harness.complaint(5, "dismissed", name="w1")
        else:
            harness.review(5, "overturn", referral)
        warned(harness, 6)
        decided = [rule_id for *_, rule_id, minute in summaries(harness.until(7)) if minute == 6]
        assert decided == (["blind_calling", "strikes"] if harness is fallen else ["blind_calling"])


def test_an_upheld_referral_does_not_fall_with_its_violations() -> None:
    harness = ShardHarness(escalations=[escalation()])
    warned(harness, 1, 2, 3)
    harness.review(5, "uphold", harness.until(4)[-1])
    final = harness.until(6)[0]
    harness.complaint(7, "dismissed", name="w1")
    harness.complaint(8, "dismissed", name="w2")
    assert [e.data.reverses == final.id for e in harness.until(9)] == [False, False]


def test_an_escalations_own_violation_is_on_record_but_counts_for_none() -> None:
    harness = ShardHarness(
        escalations=[escalation(at_least=2, mode="enforce"), escalation("all", at_least=3, tier="severe")]
    )
    warned(harness, 1, 2)
    final = harness.until(3)[-1]
    assert final.data.violations_on_record == 3
    harness.review(4, "overturn", final)
    harness.until(5)
    warned(harness, 6)
    *_, ban = harness.until(7)
    assert ban.data.measure == Measure("violations", 3, None, 3, 3, None)


def test_an_upheld_decision_is_a_violation_at_the_time_of_its_review() -> None:
    harness = ShardHarness(escalations=[escalation(at_least=2, window="30m")], rules=[rule("ask", mode="review")])
    harness.short_calls(4)
    (pending,) = harness.until(5)
    harness.review(40, "uphold", pending)
    warned(harness, 60)
    said = summaries(harness.until(61))
    assert ("warning", "final", "ask", 40) in said
    assert ("termination", "pending_review", "strikes", 60) in said


def ahead(event: Enforcement) -> list[tuple[str, int]]:
    """How far the event says that each escalation is."""
    return [(each.rule_id, each.violations) for each in event.data.escalations_ahead]


def affected(event: Enforcement) -> list[tuple[str, str, int]]:
    """The decisions of escalations that the event affects, and what is left of each."""
    return [(each.enforcement_id, each.status, each.violations) for each in event.data.escalations_affected]


def test_a_violation_says_how_far_each_escalation_is() -> None:
    harness = ShardHarness(
        escalations=[
            escalation("two", at_least=2, window="30m"),
            escalation("three", at_least=3, tier="severe", window="30d"),
        ]
    )
    warned(harness, 1, 20, 35, 70)
    events = [event for event in harness.until(71) if event.data.kind == "warning"]
    assert [ahead(event) for event in events] == [
        [("two", 1), ("three", 1)],
        [("two", 2), ("three", 2)],
        [("two", 1), ("three", 3)],  # `two` has used the first two
        [("two", 1), ("three", 1)],  # its window has moved on; `three` has used the first three
    ]
    first = events[0].data.escalations_ahead[1]
    assert (first.kind, first.mode, first.at_least, first.window_ms) == ("ban", "review", 3, 30 * 24 * 60 * MINUTE)


def test_only_a_recorded_violation_says_so_and_only_while_escalations_decide() -> None:
    harness = ShardHarness(escalations=[escalation(at_least=2)])
    harness.complaint(1, name="stop", category="harassment")
    warned(harness, 2)
    stop, warning = harness.until(3)
    assert (ahead(stop), ahead(warning)) == ([], [])
    harness.complaint(4, "dismissed", name="stop", category="harassment")
    (reversal,) = harness.until(5)
    assert ahead(reversal) == []
    warned(harness, 6)
    warning, referral = harness.until(7)
    assert (ahead(warning), ahead(referral)) == ([("strikes", 2)], [])


def test_a_reversal_says_what_is_left_of_the_escalations_that_used_the_violation() -> None:
    harness = ShardHarness(escalations=[escalation()])
    warned(harness, 1, 2, 3)
    referral = harness.until(4)[-1]
    harness.review(5, "uphold", referral)
    final = harness.until(6)[0]
    harness.complaint(7, "dismissed", name="w1")
    harness.complaint(8, "dismissed", name="w2")
    assert [affected(event) for event in harness.until(9)] == [[(final.id, "final", 2)], [(final.id, "final", 1)]]
    harness.review(10, "overturn", final)
    harness.complaint(11, "dismissed", name="w3")
    assert [affected(event) for event in harness.until(12)] == [[], []], "it is no longer in force"


def test_a_pending_escalation_is_affected_before_it_is_reversed() -> None:
    harness = ShardHarness(escalations=[escalation()])
    warned(harness, 1, 2, 3)
    referral = harness.until(4)[-1]
    harness.complaint(5, "dismissed", name="w2")
    reversal, fall = harness.until(6)
    assert (affected(reversal), affected(fall)) == ([(referral.id, "pending_review", 2)], [])
    assert fall.data.reverses == referral.id


def test_a_final_escalation_is_still_tracked_after_a_restart() -> None:
    harness = StoredShardHarness(escalations=[escalation()])
    warned(harness, 1, 2, 3)
    harness.review(5, "uphold", harness.until(4)[-1])
    final = harness.until(6)[0]
    harness.restart()
    harness.complaint(7, "dismissed", name="w1")
    assert [affected(event) for event in harness.until(8)] == [[(final.id, "final", 2)]]
