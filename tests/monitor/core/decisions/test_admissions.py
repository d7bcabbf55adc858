"""Admission as time lines: section 5 of the contract, Admission."""

from helpers.shard_harness import ShardHarness, StoredShardHarness, summaries
from helpers.shard_samples import MINUTE, T0
from monitor.core.decisions.pending_record import PendingRecord
from monitor.core.record_ref import RecordRef
from schemas.inputs import Tenant

REFUSED = ("admission_rejected", "final", "prohibited_business_application")
REFERRED = ("admission_rejected", "pending_review", "prohibited_business_application")


# Declared businesses


def test_a_business_is_refused_when_it_is_declared_and_not_again_with_each_record() -> None:
    harness = StoredShardHarness()
    harness.tenant(5, "Alpha", declared_businesses=["parcels", "贷款"])
    (refused,) = harness.until(6)
    assert summaries([refused]) == [(*REFUSED, 5)]
    assert not any(refused.data.evidence.__getattribute__(kind) for kind in refused.data.evidence.__struct_fields__)
    assert refused.data.reason.en == (
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
    """So that one transaction does not match them together with thousands of other records."""
    tenant = Tenant("acme", ["x" * 4_096] * 1_000, [], T0)
    waiting = PendingRecord.of(tenant, T0, RecordRef(0, 0, 0, 0), b"")
    assert waiting.weight > 100_000
