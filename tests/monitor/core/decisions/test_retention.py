"""What is forgotten after the retention, and what is kept."""

import pytest

from helpers.shard_harness import ShardHarness, escalation

KEPT = {"defaults": {"retention": "60m", "review_within": "30m"}}


@pytest.mark.parametrize(("again", "decides"), [(61, False), (61 + 1 / 60_000, True)])
def test_a_complaints_id_is_forgotten_once_retention_has_passed_since_its_last_record(
    again: float, decides: bool
) -> None:
    harness = ShardHarness(**KEPT)
    harness.complaint(0, "received")
    harness.complaint(1)
    harness.complaint(again)
    assert len(harness.until(120)) == (2 if decides else 1)
    assert harness.output.duplicates == (0 if decides else 1)


def test_a_duplicate_does_not_prolong_remembering() -> None:
    harness = ShardHarness(**KEPT)
    harness.finding(0)
    harness.finding(50)
    harness.finding(61)
    assert len(harness.until(70)) == 2


def test_a_forgotten_complaint_cannot_reverse_its_decision_and_its_violation_stays() -> None:
    harness = ShardHarness(escalations=[escalation(at_least=2, window="60m")], **KEPT)
    harness.complaint(0)
    (warning,) = harness.until(1)
    harness.complaint(70, "dismissed")
    harness.complaint(500, name="p2")
    events = harness.until(501)
    assert [e.data.violations_on_record for e in events] == [2]
    harness.review(502, "overturn", warning)
    assert [e.data.kind for e in harness.until(503)] == ["reversal"]


def test_a_ban_in_force_stays_and_a_closed_case_is_deleted() -> None:
    harness = ShardHarness(**KEPT)
    harness.complaint(0, category="fraud")
    harness.likely_ban(0)
    ban, pending = sorted(harness.until(1), key=lambda e: e.data.status)
    (lapse,) = harness.until(30)
    harness.tenant(90, "still remembered")
    harness.review(90, "overturn", pending, "v1")
    harness.until(90.5)
    assert harness.rejected() == ["nothing_to_change"]
    harness.review(91, "overturn", pending, "v2")
    harness.review(91, "overturn", lapse, "v3")
    harness.application(92, "宠物用品")
    assert [e.data.rule_id for e in harness.until(93)] == ["banned_applicant"]
    assert harness.rejected() == ["unknown_enforcement", "unknown_enforcement"]
    harness.review(94, "overturn", ban, "v4")
    assert [e.data.kind for e in harness.until(95)] == ["reversal"]


def test_a_refused_application_is_forgotten_and_a_pending_one_is_not_before_it_lapses() -> None:
    harness = ShardHarness(**KEPT)
    harness.application(0)
    harness.application(0, "小额贷款中介", name="n2")
    final, pending = sorted(harness.until(1), key=lambda e: e.data.status)
    harness.review(29, "uphold", pending, "v1")
    harness.until(30)
    harness.review(61, "overturn", final, "v2")
    harness.review(61, "overturn", pending, "v3")
    assert [e.data.kind for e in harness.until(62)] == ["reversal"]
    assert harness.rejected() == ["unknown_enforcement"]


def test_a_copy_of_the_newest_tenant_record_stays_a_duplicate_when_its_version_is_forgotten() -> None:
    harness = ShardHarness(**KEPT)
    harness.tenant(0, "as it was")
    harness.finding(100)
    harness.until(101)
    harness.tenant(0, "with another content", owner_id="o1")
    harness.until(102)
    assert harness.output.duplicates == 1


def test_a_record_causes_others_to_be_forgotten_at_its_own_time() -> None:
    """A closed case is known to a review at the last moment of its retention, and no millisecond later."""
    for late, rejection in ((0.0, "nothing_to_change"), (1 / 60_000, "unknown_enforcement")):
        harness = ShardHarness(**KEPT)
        harness.finding(0)
        (warning,) = harness.until(1)
        harness.review(2, "overturn", warning, "v1")
        harness.until(3)
        harness.review(62 + late, "overturn", warning, "v2")
        harness.until(63)
        assert harness.rejected() == [rejection]


def test_closed_cases_and_old_ids_are_deleted() -> None:
    harness = ShardHarness(**KEPT)
    for minute in range(0, 1_000, 2):
        harness.finding(minute, "suspected", name=f"f{minute}")
        harness.finding(minute + 1, "dismissed", name=f"f{minute}")
        harness.complaint(minute, name=f"p{minute}")
        harness.complaint(minute + 1, "dismissed", name=f"p{minute}")
        harness.application(minute, name=f"n{minute}")
    harness.until(1_000)
    tenant_record = harness.shard.tenant_records.of(0)
    kept = (tenant_record.findings, tenant_record.complaints, tenant_record.seen, tenant_record.cases)
    assert all(len(what) <= 70 for what in kept)
    assert len(tenant_record.case_of) <= 4 * 70
    assert not tenant_record.violations
