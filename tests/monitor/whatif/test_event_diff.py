"""Two lists of events: which are equal, which fields differ, and which only one list has."""

import random
from typing import Any

from monitor.whatif.event_diff import Event, FieldDifference, RuleComparison, compare

HOUR = 3_600_000


def event(name: str, at_ms: int = 10 * HOUR, tenant: str = "acme", **data: Any) -> Event:
    """A decision of a day's rule; ``changes`` replace fields."""
    window = {"start_ms": at_ms - 24 * HOUR, "end_ms": at_ms}
    base = {"kind": "warning", "tier": "minor", "rule_id": "short", "decided_ms": at_ms, "window": window}
    base |= {"measure": {"value": 0.5}, "reason": {"zh": "多", "en": "much"}, "policy": {"id": "p"}}
    return {"id": name, "subject": tenant, "data": base | data}


def test_the_same_events_in_any_order_are_no_difference() -> None:
    events = [event(f"e{n}", n * HOUR) for n in range(5)]
    found = compare(events, events[::-1])
    assert found.equal
    assert (found.same, found.by_rule) == (5, {("short", "minor"): RuleComparison(same=5)})


def test_a_field_that_differs_is_named_and_words_are_distinguished_from_decisions() -> None:
    more = {"measure": {"value": 0.75, "bound": 0.1}}
    words = {"reason": {"zh": "多", "en": "plenty"}}
    a = [event("e1"), event("e2", 11 * HOUR), event("e3", 12 * HOUR)]
    b = [event("e1", **words), event("e2", 11 * HOUR, **more, **words), event("e3", 12 * HOUR)]
    found = compare(a, b)
    assert [pair.differences for pair in found.changed] == [
        (FieldDifference("data.reason.en", "much", "plenty"),),
        (
            FieldDifference("data.measure.value", 0.5, 0.75),
            FieldDifference("data.measure.bound", None, 0.1),
            FieldDifference("data.reason.en", "much", "plenty"),
        ),
    ]
    assert [pair.wording for pair in found.changed] == [True, False]
    assert found.by_rule == {("short", "minor"): RuleComparison(same=1, wording=1, otherwise=1)}
    assert not found.equal


def test_evidence_in_another_order_is_wording_and_other_evidence_is_not() -> None:
    a, reordered, other = ({"call_ids": ids, "review_ids": []} for ids in (["c1", "c2"], ["c2", "c1"], ["c1", "c3"]))
    found = compare(
        [event("e1", evidence=a), event("e2", 11 * HOUR, evidence=a)],
        [event("e1", evidence=reordered), event("e2", 11 * HOUR, evidence=other)],
    )
    assert [pair.wording for pair in found.changed] == [True, False]


def test_a_reason_that_only_one_side_has_is_wording() -> None:
    (pair,) = compare([event("e1")], [event("e1", reason=None)]).changed
    assert pair.wording


def test_a_count_that_became_a_fraction_is_a_difference() -> None:
    """The bytes differ."""
    (pair,) = compare([event("e1", measure={"value": 3})], [event("e1", measure={"value": 3.0})]).changed
    assert pair.differences == (FieldDifference("data.measure.value", 3, 3.0),)


def test_what_is_ignored_is_no_difference() -> None:
    a, b = [event("e1")], [event("e1", policy={"id": "q"})]
    assert not compare(a, b).equal
    assert compare(a, b, {"data.policy"}).equal


def test_decisions_of_one_rule_on_the_same_calls_are_reported_together_the_nearest_first() -> None:
    a = [event("a1", 24 * HOUR), event("a2", 60 * HOUR), event("a3", 24 * HOUR, tenant="other")]
    b = [event("b1", 30 * HOUR), event("b2", 25 * HOUR), event("b3", 24 * HOUR, rule_id="another")]
    found = compare(a, b)
    (pair,) = found.moved
    assert (pair.a["id"], pair.b["id"]) == ("a1", "b2")
    assert [difference.path for difference in pair.differences] == [
        "data.decided_ms",
        "data.window.start_ms",
        "data.window.end_ms",
    ]
    assert [e["id"] for e in found.only_a] == ["a3", "a2"]
    assert [e["id"] for e in found.only_b] == ["b3", "b1"]
    assert found.by_rule == {
        ("another", "minor"): RuleComparison(only_b=1),
        ("short", "minor"): RuleComparison(otherwise=1, only_a=2, only_b=1),
    }


def test_windows_that_only_touch_are_about_other_calls() -> None:
    found = compare([event("a1", 24 * HOUR)], [event("b1", 48 * HOUR)])
    assert (len(found.moved), len(found.only_a), len(found.only_b)) == (0, 1, 1)
    assert len(compare([event("a1", 24 * HOUR)], [event("b1", 48 * HOUR - 1)]).moved) == 1


def test_other_decisions_without_a_window_are_about_the_same_at_the_same_instant_alone() -> None:
    a = [event("a1", 5, window=None, status="final"), event("a2", 9, window=None)]
    b = [event("b1", 5, window=None, status="pending_review"), event("b2", 8, window=None)]
    found = compare(a, b)
    assert [(pair.a["id"], pair.differences) for pair in found.moved] == [
        ("a1", (FieldDifference("data.status", "final", "pending_review"),))
    ]
    assert [e["id"] for e in found.only_a + found.only_b] == ["a2", "b2"]


def test_decisions_of_one_record_are_about_the_same_whenever_its_turn_came() -> None:
    of_p1, of_p2 = ({"window": None, "evidence": {"complaint_ids": [name], "review_ids": []}} for name in ("p1", "p2"))
    found = compare([event("a1", 5, **of_p1)], [event("b2", 6, **of_p2), event("b1", 9, **of_p1)])
    assert [(pair.a["id"], pair.b["id"]) for pair in found.moved] == [("a1", "b1")]
    nothing = {"window": None, "evidence": {"complaint_ids": [], "review_ids": []}}
    assert compare([event("a1", 5, **nothing)], [event("b1", 9, **nothing)]).moved == []


def test_a_reversal_is_no_counterpart_of_a_decision() -> None:
    found = compare([event("a1", window=None)], [event("b1", window=None, kind="reversal")])
    assert found.moved == []


def test_a_repeated_event_is_reported() -> None:
    found = compare([event("e1"), event("e1")], [event("e1")])
    assert (found.same, found.repeated_a, found.repeated_b, found.equal) == (1, ["e1"], [], False)


def test_every_event_is_reported_once_for_any_input() -> None:
    for seed in range(50):
        rng = random.Random(seed)
        print(f"seed {seed}")

        def some(rng: random.Random = rng) -> list[Event]:
            names = rng.sample(range(60), rng.randint(0, 40))
            return [
                event(f"e{n}", n % 7 * HOUR * 9, f"t{n % 3}", rule_id=f"r{n % 2}", measure={"value": rng.randint(0, 1)})
                for n in names
            ]

        a, b = some(), some()
        found = compare(a, b)
        both = found.same + len(found.changed) + len(found.moved)
        assert both + len(found.only_a) == len(a)
        assert both + len(found.only_b) == len(b)
        assert found.equal == (sorted(map(str, a)) == sorted(map(str, b)))
        sums = [sum(getattr(of_rule, name) for of_rule in found.by_rule.values()) for name in RuleComparison.__slots__]
        assert sums[0] + sums[1] + sums[2] == both
        assert sums[3:] == [len(found.only_a), len(found.only_b)]
        back = compare(b, a)
        assert [e["id"] for e in back.only_a] == [e["id"] for e in found.only_b]
        assert {(p.b["id"], p.a["id"]) for p in back.moved} == {(p.a["id"], p.b["id"]) for p in found.moved}
