"""Decisions of one instant that differ only in their cause: each has its own id, and none is lost."""

from helpers.shard_harness import ShardHarness, StoredShardHarness, escalation, rule
from helpers.shard_samples import MINUTE, T0


def test_two_escalations_set_off_at_one_instant_are_both_decided() -> None:
    """By two measured rules, whose violations have no record that distinguishes them."""
    harness = ShardHarness(
        rules=[rule("one"), rule("other", behaviour="no_consent")], escalations=[escalation(at_least=1, mode="review")]
    )
    harness.short_calls(4)
    decided = [event for event in harness.until(5) if event.data.rule_id == "strikes"]
    assert len({event.id for event in decided}) == len(decided) == 2
    named = [event.data.evidence.enforcement_ids for event in decided]
    violations = {event.id for event in harness.output.enforcement if event.data.rule_id in ("one", "other")}
    assert {name for (name,) in named} == violations


def test_the_second_of_two_escalations_of_one_instant_can_be_overturned_alone_after_a_restart() -> None:
    harness = StoredShardHarness(
        rules=[rule("one"), rule("other", behaviour="no_consent")], escalations=[escalation(at_least=1, mode="review")]
    )
    harness.short_calls(4)
    first, second = (event for event in harness.until(5) if event.data.rule_id == "strikes")
    harness.restart()
    harness.review(6, "overturn", second)
    (reversal,) = harness.until(7)
    assert reversal.data.reverses == second.id != first.id


def test_two_versions_of_an_application_taken_as_of_one_instant_are_both_refused() -> None:
    """Both arrived too late, and count at the late line."""
    harness = ShardHarness()
    harness.application(5, updated_ms=T0 + MINUTE)
    harness.application(5, updated_ms=T0 + 2 * MINUTE)
    harness.application(5, updated_ms=T0 + MINUTE)  # a duplicate
    decided = harness.until(6)
    assert len({event.id for event in decided}) == len(decided) == 2
    assert {event.data.kind for event in decided} == {"admission_rejected"}
