"""Admission as time lines: section 5 of the contract, Admission."""

import pytest

from helpers.shard_harness import ShardHarness, StoredShardHarness, summaries
from helpers.shard_samples import MINUTE, T0, policy_of
from monitor.core.decisions.pending_record import PendingRecord
from monitor.core.record_ref import RecordRef
from schemas.inputs import Tenant
from schemas.outputs import Enforcement

REFUSED = ("admission_rejected", "final", "prohibited_business_application")
REFERRED = ("admission_rejected", "pending_review", "prohibited_business_application")


# Declared businesses


def test_a_business_is_refused_when_it_is_declared_and_not_again_with_each_record() -> None:
    harness = StoredShardHarness()
    harness.tenant(5, "Alpha", declared_businesses=["parcels", "贷款"])
    (rejected,) = harness.until(6)
    assert summaries([rejected]) == [(*REFUSED, 5)]
    assert not any(rejected.data.evidence.__getattribute__(kind) for kind in rejected.data.evidence.__struct_fields__)
    assert rejected.data.reason.en == (
        "The business “贷款” that tenant “acme” newly declared is the prohibited business “loans” (the same as the "
        "catalogue's term “贷款”)"
    )
    harness.restart()
    harness.tenant(7, "Beta", declared_businesses=["贷款", "pets"])
    assert harness.until(8) == []
    harness.tenant(9, "Beta", declared_businesses=["pets"])
    harness.tenant(10, "Beta", declared_businesses=["贷款"])
    assert summaries(harness.until(11)) == [(*REFUSED, 10)]


def test_of_several_businesses_the_most_certain_decides_then_the_first() -> None:
    harness = ShardHarness()
    harness.tenant(5, "Alpha", declared_businesses=["小额贷款中介", "another 贷款 broker", "贷款"])
    harness.tenant(6, "Alpha", tenant_id="bravo", declared_businesses=["小额贷款中介", "another 贷款 broker"])
    certain, likely = harness.until(7)
    assert summaries([certain, likely]) == [(*REFUSED, 5), (*REFERRED, 6)]
    assert likely.data.reason.en.startswith("The business “小额贷款中介” that tenant “bravo” newly declared is likely")


def test_a_record_that_is_not_the_newest_declares_nothing() -> None:
    harness = ShardHarness()
    harness.tenant(5, "Alpha", updated_ms=T0 + 5 * MINUTE)
    harness.tenant(6, "Old", updated_ms=T0 + 4 * MINUTE, declared_businesses=["贷款"])
    assert harness.until(7) == []
    harness.tenant(8, "New", declared_businesses=["贷款"])
    assert summaries(harness.until(9)) == [(*REFUSED, 8)]


def test_two_records_taken_as_of_one_instant_are_both_refused() -> None:
    harness = ShardHarness()
    harness.tenant(5, "Alpha", updated_ms=T0 + MINUTE, declared_businesses=["贷款"])
    harness.tenant(5, "Alpha", updated_ms=T0 + 2 * MINUTE, declared_businesses=["贷款", "贷 款"])
    decided = harness.until(6)
    assert [event.data.kind for event in decided] == ["admission_rejected"] * 2
    assert decided[0].id != decided[1].id


def test_a_record_with_many_long_businesses_weighs_as_much_as_their_texts() -> None:
    """Otherwise one transaction would match them together with thousands of other records."""
    tenant = Tenant("acme", ["x" * 4_096] * 1_000, [], T0)
    waiting = PendingRecord.of(tenant, T0, RecordRef(0, 0, 0, 0), b"")
    assert waiting.weight > 100_000
    short = Tenant("acme", ["贷款"] * 1_000, [], T0)
    assert PendingRecord.of(short, T0, RecordRef(0, 0, 0, 0), b"").weight > 300, "each text is looked up by itself"


# Applications that wait

REVIEW = {"admissions": "review"}
WAITS = ("admission_review", "pending_review", "application_review")


def waiting(harness: ShardHarness, minute: float, name: str = "n1", business: str = "parcels") -> Enforcement:
    """An application that nothing rejects."""
    harness.application(minute, business, name)
    (event,) = harness.until(minute + 1)
    return event


@pytest.mark.parametrize(("verdict", "kind"), [("approve", "admission_approved"), ("reject", "admission_rejected")])
def test_an_application_that_nothing_refuses_waits_for_a_verdict(verdict: str, kind: str) -> None:
    harness = StoredShardHarness(**REVIEW)
    event = waiting(harness, 5)
    assert summaries([event]) == [(*WAITS, 5)]
    assert (event.data.actions, event.data.proposed_actions) == ((), ("approve_numbers",))
    assert (event.data.review_by_ms, event.data.refunds) == (None, "unaffected")
    harness.restart()
    assert harness.until(60 * 24 * 30) == []  # it does not lapse
    harness.review(60 * 24 * 30, verdict, event)
    (decided,) = harness.until(60 * 24 * 30 + 1)
    assert summaries([decided]) == [(kind, "final", "application_review", 60 * 24 * 30)]
    assert decided.data.actions == (("approve_numbers",) if verdict == "approve" else ("reject_numbers",))
    assert (decided.data.supersedes, decided.data.behaviour) == (event.id, "application_review")
    assert (decided.data.evidence.application_ids, decided.data.evidence.review_ids) == (("n1",), ("v1",))
    harness.restart()
    harness.review(60 * 24 * 31, "overturn", decided, "v2")
    (reversal,) = harness.until(60 * 24 * 31 + 1)
    assert (reversal.data.kind, reversal.data.reverses) == ("reversal", decided.id)


def test_a_likely_match_is_named_in_the_reason_and_a_certain_one_is_refused_at_once() -> None:
    harness = ShardHarness(**REVIEW)
    event = waiting(harness, 5, business="小额贷款中介")
    assert event.data.kind == "admission_review"
    assert event.data.reason.en.endswith(
        "; its declared business “小额贷款中介” is likely the prohibited business “loans” (it contains the catalogue's "
        "term “贷款”)"
    )
    assert summaries([waiting(harness, 7, "n2", "贷款")]) == [(*REFUSED, 7)]


def test_a_newer_version_reverses_the_one_that_waits_even_if_it_is_refused() -> None:
    harness = StoredShardHarness(**REVIEW)
    event = waiting(harness, 5)
    harness.restart()
    harness.application(7, "贷款")
    reversal, rejected = harness.until(8)
    assert (reversal.data.kind, reversal.data.reverses) == ("reversal", event.id)
    assert reversal.data.evidence.application_ids == ("n1",)
    assert summaries([rejected]) == [(*REFUSED, 7)]
    harness.application(9, "parcels", updated_ms=T0 + 6 * MINUTE)
    assert harness.until(10) == []  # an older version does not wait
    harness.application(11, "贷款", updated_ms=T0 + 4 * MINUTE)
    assert summaries(harness.until(12)) == [(*REFUSED, 11)]


@pytest.mark.parametrize("restarts", [False, True])
def test_one_that_waits_is_reversed_when_its_id_would_be_forgotten(restarts: bool) -> None:
    """A version that does not replace it extends that time."""
    harness = StoredShardHarness(**REVIEW, defaults={"retention": "100m"})
    event = waiting(harness, 5)
    harness.application(50, "parcels", updated_ms=T0 + MINUTE)
    assert harness.until(60) == []
    if restarts:
        harness.restart()
    assert harness.until(149) == []
    (reversal,) = harness.until(150)
    assert (reversal.data.kind, reversal.data.reverses) == ("reversal", event.id)
    assert reversal.data.decided_ms == T0 + 150 * MINUTE
    assert not reversal.data.evidence.application_ids
    harness.application(151, "parcels", updated_ms=T0 + 5 * MINUTE)
    assert summaries(harness.until(152)) == [(*WAITS, 151)]  # its id is forgotten


def test_no_application_is_approved_while_the_tenant_is_banned() -> None:
    harness = StoredShardHarness(**REVIEW)
    event = waiting(harness, 5)
    harness.complaint(7, category="fraud")
    (ban,) = harness.until(8)
    harness.review(9, "approve", event)
    assert harness.until(10) == []
    assert harness.rejected() == ["banned"]
    harness.application(11, "parcels", "n2")
    assert [e.data.behaviour for e in harness.until(12)] == ["banned_applicant"]
    harness.review(13, "overturn", ban, "v2")
    harness.review(14, "approve", event)  # a rejected review is not remembered
    assert [e.data.kind for e in harness.until(15)] == ["reversal", "admission_approved"]


def test_an_application_that_waits_is_not_upheld_and_nothing_else_is_approved() -> None:
    harness = ShardHarness(**REVIEW)
    event = waiting(harness, 5)
    rejected = waiting(harness, 7, "n2", "贷款")
    harness.finding(9)
    (warning,) = harness.until(10)
    for number, (verdict, of) in enumerate(
        [("uphold", event), ("overturn", event), ("approve", rejected), ("reject", warning)]
    ):
        harness.review(11, verdict, of, f"v{number}")
    harness.review(12, "approve", event, "v5", kind="ban")
    assert harness.until(13) == []
    assert harness.rejected() == ["not_reviewable"] * 4 + ["kind_not_open"]


def test_what_waits_is_decided_under_a_policy_that_lets_nothing_wait() -> None:
    """The contract's keys are of the policy that decided; a verdict needs none."""
    harness = StoredShardHarness(**REVIEW)
    event = waiting(harness, 5)
    harness.policy = policy_of(prohibited_businesses=[], admissions="refuse_only")
    harness.restart()
    harness.review(7, "approve", event)
    assert [e.data.kind for e in harness.until(8)] == ["admission_approved"]
