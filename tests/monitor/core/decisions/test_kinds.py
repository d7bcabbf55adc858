"""Termination or ban, by policy and by review: section 5 of the contract, Reviews."""

from typing import Any

import pytest

from helpers.shard_harness import ShardHarness, StoredShardHarness, rule, summaries
from helpers.shard_samples import MINUTE, T0
from schemas.outputs import Enforcement

TERMINATION = ("terminate_service", "record_violation", "forbid_refunds")
BAN = ("ban_account", "record_violation", "forbid_refunds")
LEGAL = ("reserve_legal_action",)


def chosen(kind: str, behaviour: str = "verified_fraud_complaint") -> dict[str, Any]:
    """A policy that chooses a kind."""
    return {"behaviours": {behaviour: {"kind": kind}}}


def of_fraud(harness: ShardHarness, minute: float = 1, category: str = "fraud") -> Enforcement:
    """The decision of a verified complaint."""
    harness.complaint(minute, category=category)
    (event,) = harness.until(minute + 1)
    return event


def test_a_policy_chooses_the_kind_and_neither_tier_nor_id_change() -> None:
    default, other = of_fraud(ShardHarness()), of_fraud(ShardHarness(**chosen("termination")))
    assert (default.data.kind, default.data.actions) == ("ban", BAN + LEGAL)
    assert (other.data.kind, other.data.actions) == ("termination", TERMINATION + LEGAL)
    assert (other.id, other.data.tier, other.data.refunds) == (default.id, "severe", "frozen")


@pytest.mark.parametrize("mode", ["review", "shadow"])
def test_a_measured_rule_has_the_chosen_kind(mode: str) -> None:
    found = []
    for sections in ({}, chosen("ban", "in_call_abuse")):
        harness = ShardHarness(rules=[rule("one", behaviour="in_call_abuse", mode=mode)], **sections)
        harness.short_calls(4)
        harness.until(5)
        (event,) = harness.output.shadow if mode == "shadow" else harness.output.enforcement
        found.append((event.data.kind, event.id, event.data.proposed_actions or event.data.actions))
    assert [kind for kind, _, _ in found] == ["termination", "ban"]
    assert [actions for _, _, actions in found] == [TERMINATION, BAN]
    assert found[0][1] == found[1][1]


def test_a_review_chooses_the_kind_of_a_pending_decision() -> None:
    harness = StoredShardHarness()
    harness.likely_ban(1)
    (pending,) = harness.until(2)
    harness.review(3, "uphold", pending, kind="termination")
    (final,) = harness.until(4)
    assert (final.data.kind, final.data.actions) == ("termination", TERMINATION + LEGAL)
    assert (final.data.supersedes, final.data.violations_on_record) == (pending.id, 1)
    assert final.data.reason.en.endswith("; upheld on review as a termination of service by “ops”")
    harness.restart()
    harness.application(5, "parcels")
    assert harness.until(6) == []  # terminated, not banned


def test_a_review_changes_the_kind_of_a_final_decision_and_it_stays_one_violation() -> None:
    harness = StoredShardHarness()
    first = of_fraud(harness, category="harassment")
    events = [first]
    for minute, kind in ((3, "ban"), (5, "termination"), (7, "ban")):
        harness.review(minute, "uphold", first, f"v{minute}", kind=kind)
        (event,) = harness.until(minute + 1)
        assert (event.data.kind, event.data.status, event.data.supersedes) == (kind, "final", events[-1].id)
        assert (event.data.violations_on_record, event.data.refunds) == (1, "frozen")
        events.append(event)
        harness.restart()
    assert events[-1].data.evidence.review_ids == ("v3", "v5", "v7")
    assert len({event.id for event in events}) == 4
    assert events[-1].data.reason.en.count("on review") == 1  # not longer with each review
    harness.application(9, "parcels")
    assert [e.data.behaviour for e in harness.until(10)] == ["banned_applicant"]
    (violation,) = harness.shard.tenant_records.of(0).violations.values()
    assert (violation.id, violation.decided_ms) == (events[-1].id, T0 + MINUTE)
    harness.review(11, "overturn", events[1], "v11")
    harness.application(12, "parcels", "n2")
    (reversal,) = harness.until(13)
    assert (reversal.data.reverses, reversal.data.violations_on_record) == (events[-1].id, 0)


def test_the_same_kind_again_changes_nothing() -> None:
    harness = ShardHarness()
    ban = of_fraud(harness)
    harness.review(3, "uphold", ban, kind="ban")
    harness.review(4, "uphold", ban, kind="")
    assert harness.until(5) == []
    assert harness.rejected() == ["nothing_to_change", "nothing_to_change"]


def test_a_kind_is_only_for_what_the_access_rules_leave_open() -> None:
    harness = ShardHarness(escalations=[])
    harness.finding(1)
    harness.application(1)
    harness.likely_ban(1, "f2")
    rejected, warning, pending = harness.until(2)
    assert pending.data.kind == "ban"
    harness.review(3, "uphold", warning, "v1", kind="ban")
    harness.review(3, "overturn", warning, "v2", kind="ban")
    harness.review(3, "overturn", pending, "v3", kind="termination")
    harness.review(3, "uphold", rejected, "v4", kind="termination")
    assert harness.until(4) == []
    assert harness.rejected() == ["kind_not_open"] * 4


def test_the_evidence_has_the_newest_twenty_reviews() -> None:
    harness = StoredShardHarness()
    first = of_fraud(harness)
    for n in range(25):
        harness.review(3 + n, "uphold", first, f"v{99 - n}", kind="termination" if n % 2 == 0 else "ban")
    *_, last = harness.until(40)
    assert last.data.evidence.review_ids == tuple(sorted(f"v{99 - n}" for n in range(5, 25)))


def test_a_case_does_not_grow_with_each_change_of_its_kind() -> None:
    """Reviews may name it by its first id and by the newest ones; others are unknown."""
    harness = StoredShardHarness()
    first = of_fraud(harness)
    for n in range(60):
        harness.review(3 + n, "uphold", first, f"v{n}", kind="termination" if n % 2 == 0 else "ban")
    events = harness.until(70)
    assert len(events) == 60
    tenant_record = harness.shard.tenant_records.of(0)
    (case,) = tenant_record.cases.values()
    assert case.superseded_ids == tuple(event.id for event in events[-21:-1])
    assert tenant_record.case_of.keys() == {first.id, *(event.id for event in events[-21:])}
    harness.restart()
    assert harness.shard.tenant_records.of(0).case_of.keys() == {first.id, *(event.id for event in events[-21:])}
    harness.review(71, "overturn", events[-22], "w1")
    assert harness.until(72) == []
    assert harness.rejected() == ["unknown_enforcement"]
    harness.review(73, "overturn", events[-21], "w2")
    assert [event.data.reverses for event in harness.until(74)] == [events[-1].id]


def test_measured_rules_stay_silent_when_the_kind_changes() -> None:
    harness = StoredShardHarness(rules=[rule("one", behaviour="blind_calling")])
    ban = of_fraud(harness)
    harness.review(2, "uphold", ban, kind="termination")
    assert summaries(harness.until(3)) == [("termination", "final", "verified_fraud_complaint", 2)]
    harness.restart()
    harness.short_calls(4)
    assert harness.until(5) == []
