"""Which tenants are decided differently under another policy, and how correct each policy is: computed by hand."""

import gzip
from pathlib import Path

import msgspec
import pytest
import zstandard

from monitor.whatif.backtest import (
    PolicyOutcome,
    Truth,
    changes,
    decisions_of,
    scores,
    truths_of_labels,
    truths_of_reviews,
    verdicts,
)
from schemas.inputs import Cdr, Record, Review
from schemas.outputs import Enforcement, EnforcementData, Evidence, Kind, PolicyRef, Reason, Status, TierName

H = 3_600_000
T0 = 1_772_409_600_000
REF = PolicyRef("p", "1", "0" * 64)


def at(hours: float) -> int:
    return T0 + round(hours * H)


def event(
    id: str,
    tenant: str,
    hours: float,
    rule: str,
    tier: TierName | None = "minor",
    kind: Kind = "warning",
    status: Status = "final",
    reverses: str | None = None,
    supersedes: str | None = None,
) -> Enforcement:
    data = EnforcementData(
        tenant_id=tenant,
        kind=kind,
        status=status,
        behaviour="blind_calling",
        clause=6,
        tier=tier,
        actions=(),
        proposed_actions=(),
        refunds="unaffected",
        rule_id=rule,
        policy=REF,
        decided_ms=at(hours),
        review_by_ms=None,
        window=None,
        measure=None,
        evidence=Evidence(),
        violations_on_record=0,
        reverses=reverses,
        supersedes=supersedes,
        reason=Reason(f"因{rule}", f"because of {rule} at {hours}"),
    )
    return Enforcement(id=id, subject=tenant, time="2026-03-02T00:00:00Z", data=data)


def judged(enforcement: list[Enforcement], shadow: list[Enforcement] | None = None) -> PolicyOutcome:
    return PolicyOutcome(REF, tuple(decisions_of(enforcement, shadow or [])))


def test_a_tenant_whose_rule_vanishes_and_another_appears_is_named_with_both_reasons() -> None:
    before = judged([event("1", "a", 1, "short"), event("2", "b", 1, "short")])
    after = judged(
        [event("2", "b", 1, "short"), event("3", "a", 5, "blocked", "major", "termination")],
        [event("4", "a", 2, "consent")],
    )
    (change,) = changes(before, after)
    assert change.tenant_id == "a"
    assert change.before == {"final": "minor", "pending": None, "shadow": None}
    assert change.after == {"final": "major", "pending": None, "shadow": "minor"}
    assert [(r.rule_id, r.channel, r.appears, r.first.reason.en) for r in change.rules] == [
        ("blocked", "final", True, "because of blocked at 5"),
        ("short", "final", False, "because of short at 1"),
        ("consent", "shadow", True, "because of consent at 2"),
    ]


def test_the_first_decision_of_a_rule_is_the_one_shown() -> None:
    (change,) = changes(judged([]), judged([event("2", "a", 9, "short"), event("1", "a", 3, "short")]))
    assert [rule.first.id for rule in change.rules] == ["1"]


def test_the_same_tier_by_another_rule_is_no_change() -> None:
    assert changes(judged([event("1", "a", 1, "short")]), judged([event("2", "a", 1, "blocked")])) == []


def test_the_gravest_change_comes_first() -> None:
    after = judged(
        [
            event("1", "a", 1, "r", "minor", status="pending_review"),
            event("2", "b", 1, "r", "minor"),
            event("3", "c", 1, "r", "severe", "ban"),
        ],
        [event("4", "d", 1, "r", "severe")],
    )
    assert [change.tenant_id for change in changes(judged([]), after)] == ["c", "b", "a", "d"]


def test_a_reversed_decision_gives_no_tier() -> None:
    taken_back = [event("1", "a", 1, "short"), event("2", "a", 2, "short", kind="reversal", reverses="1")]
    assert changes(judged([]), judged(taken_back)) == []


def test_a_reversal_of_an_upheld_decision_takes_the_pending_one_back_too() -> None:
    events = [
        event("1", "a", 1, "r", "severe", "ban", "pending_review"),
        event("2", "a", 2, "r", "severe", "ban", supersedes="1"),
        event("3", "a", 3, "r", "severe", "reversal", reverses="2"),
    ]
    assert [(d.id, d.taken_back) for d in decisions_of(events, [])] == [("1", True), ("2", True)]


def test_a_lapse_reverses_no_other_decision() -> None:
    events = [
        event("1", "a", 1, "r", status="pending_review"),
        event("2", "a", 169, "r", kind="lapse", reverses="1"),
    ]
    assert [(d.channel, d.taken_back) for d in decisions_of(events, [])] == [("pending", False)]


def test_an_application_that_was_rejected_is_a_tier_of_its_own() -> None:
    rejected = [event("1", "a", 1, "prohibited_business_application", None, "admission_rejected")]
    (change,) = changes(judged([]), judged(rejected))
    assert change.after["final"] == "admission"


TRUTHS = {
    "bad1": Truth("dialler", True, at(0)),
    "bad2": Truth("dialler", True, at(10)),
    "bad3": Truth("dialler", True, at(0)),
    "bad4": Truth("forger", True, at(0)),
    "good1": Truth("courier", False, None),
    "good2": Truth("courier", False, None),
}
# bad1 is found after 2 h, bad2 after 5 h (and was accused 1 h too early), bad3 only by a reviewer, bad4 in shadow;
# good1 is accused and the decision reversed.
DECIDED = judged(
    [
        event("1", "bad1", 2, "short"),
        event("2", "bad1", 30, "short"),
        event("3", "bad2", 9, "invalid"),
        event("4", "bad2", 15, "short"),
        event("5", "bad3", 8, "zero", status="pending_review"),
        event("6", "good1", 3, "short"),
        event("7", "good1", 4, "short", kind="reversal", reverses="6"),
        event("8", "stranger", 4, "short"),
    ],
    [event("9", "bad4", 24, "consent"), event("10", "good2", 1, "consent")],
)


def test_time_to_detection_runs_from_the_wrong_to_the_first_decision_after_it() -> None:
    overall = scores(DECIDED, TRUTHS, "final").overall
    assert (overall.bad, overall.right, overall.wrong, overall.taken_back) == (4, 2, 2, 1)
    assert overall.precision == 2 / 4
    assert overall.recall == 2 / 4
    assert overall.median_hours == pytest.approx(3.5)
    assert overall.p90_hours == pytest.approx(5.0)


def test_pending_and_shadow_decisions_count_only_where_they_are_asked_for() -> None:
    referred = scores(DECIDED, TRUTHS, "referred").overall
    assert (referred.right, referred.wrong) == (3, 2)
    assert referred.median_hours == pytest.approx(5.0)
    shown = scores(DECIDED, TRUTHS, "shown").overall
    assert (shown.right, shown.wrong) == (4, 3)
    assert shown.recall == 1
    assert shown.precision == pytest.approx(4 / 7)
    assert shown.p90_hours == pytest.approx(24.0)


def test_scores_by_kind_and_by_rule() -> None:
    result = scores(DECIDED, TRUTHS, "shown")
    tenants, dialler = result.kinds["dialler"]
    assert (tenants, dialler.bad, dialler.right, dialler.wrong) == (3, 3, 3, 1)
    tenants, courier = result.kinds["courier"]
    assert (tenants, courier.bad, courier.right, courier.wrong, courier.taken_back) == (2, 0, 0, 2, 1)
    assert courier.recall is None
    assert set(result.rules) == {"short", "invalid", "zero", "consent"}
    assert (result.rules["short"].right, result.rules["short"].wrong) == (2, 1)
    assert result.rules["short"].precision == pytest.approx(2 / 3)
    assert (result.rules["invalid"].right, result.rules["invalid"].wrong) == (0, 1)
    assert result.rules["invalid"].median_hours is None


def test_the_90th_percentile_is_by_nearest_rank() -> None:
    truths = {f"t{i}": Truth("k", True, at(0)) for i in range(1, 11)}
    made = judged([event(str(i), f"t{i}", i, "r") for i in range(1, 11)])
    overall = scores(made, truths, "final").overall
    assert (overall.median_hours, overall.p90_hours) == (5.5, 9.0)


def test_nothing_decided_has_no_precision() -> None:
    overall = scores(judged([]), TRUTHS, "final").overall
    assert (overall.precision, overall.recall, overall.median_hours) == (None, 0, None)


def test_reviews_are_labels_and_one_upheld_makes_a_tenant_bad() -> None:
    truths = truths_of_reviews(
        [
            *(("a", "overturn"), ("b", "uphold"), ("b", "overturn"), ("c", "overturn"), ("c", "uphold")),
            *(("d", "approve"), ("d", "reject"), ("a", "approve")),  # of applications
        ]
    )
    assert {tenant: truth.bad for tenant, truth in truths.items()} == {"a": False, "b": True, "c": True}
    overall = scores(judged([event("1", "a", 1, "r"), event("2", "b", 1, "r")]), truths, "final").overall
    assert (overall.right, overall.wrong, overall.median_hours) == (1, 1, None)
    assert (overall.precision, overall.recall) == (0.5, 0.5)


def lines(*records: Record) -> bytes:
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


def test_reviews_are_read_from_plain_and_packed_files_among_other_lines(tmp_path: Path) -> None:
    call = Cdr("c", "a", "outbound", "1", "2", T0, T0, "busy", source='"verdict"')
    data = lines(call, Review("r", "e", "a", "uphold", "ops", "ok", T0)) + b'{"type":"review","verdict":\xff\n\n'
    (tmp_path / "a.jsonl").write_bytes(data)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(data))
    (tmp_path / "c.jsonl.zst").write_bytes(zstandard.compress(data))
    assert list(verdicts(sorted(tmp_path.iterdir()))) == [("a", "uphold")] * 3


def test_a_bad_tenant_without_records_of_its_offence_is_not_expected(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(
        '{"tenant_id":"a","kind":"k","honest":false,"bad_from_ms":null,"found_by":"m","tier":"minor"}\n'
        '{"tenant_id":"b","kind":"k","honest":false,"bad_from_ms":1772409600000,"found_by":"m","tier":"minor"}\n\n'
        '{"tenant_id":"c","kind":"h","honest":true,"bad_from_ms":null,"found_by":null,"tier":null}\n'
    )
    assert truths_of_labels(path) == {"b": Truth("k", True, T0), "c": Truth("h", False, None)}


def test_a_line_that_is_no_label_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"tenant_id":"a","kind":"k","honest":"no","bad_from_ms":null,"found_by":null,"tier":null}\n')
    with pytest.raises(ValueError, match=r"labels\.jsonl:1: .*honest"):
        truths_of_labels(path)
