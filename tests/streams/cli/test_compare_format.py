"""The report of a comparison of two workers, as text and as JSON."""

import json
from typing import Any

from monitor.text.durations import DAY
from monitor.whatif.event_diff import Event, compare
from streams.cli.operate.compare_format import as_json, comparison_lines, line, policies

AT_MS = 1_772_409_600_000  # 2026-03-02T00:00:00Z


def event(name: str, at_ms: int = AT_MS, **data: Any) -> Event:
    """A warning about short calls; ``changes`` replace fields."""
    base = {"kind": "warning", "status": "final", "tier": "minor", "rule_id": "short", "decided_ms": at_ms}
    policy = {"id": "p", "version": "1", "sha256": "a" * 64}
    window = {"start_ms": at_ms - 1_000, "end_ms": at_ms}
    return {"id": name, "subject": "acme", "data": {**base, "window": window, "policy": policy, **data}}


def test_every_difference_is_reported_with_both_values() -> None:
    a = [event("e1"), event("e2", AT_MS + 10_000, measure={"value": 0.5}, reason={"zh": "", "en": "x"}), event("e3", 5)]
    b = [
        event("e1"),
        event("e2", AT_MS + 10_000, measure={"value": 1}, reason={"zh": "", "en": "x"}),
        event("e4", 6_000),
    ]
    lines = list(comparison_lines(compare(a, b), "one.", "two.", 20))
    assert lines == [
        "rule                             tier          same      words  otherwise  only one.  only two.",
        "short                            minor            1          0          1          1          1",
        "",
        "decided differently (one. | two.): 1",
        "  2026-03-02T00:00:10Z  acme  [short]  minor warning final  e2",
        "    measure.value: 0.5 | 1",
        "",
        "only one.: 1",
        "  1970-01-01T00:00:00.005Z  acme  [short]  minor warning final  e3",
        "",
        "only two.: 1",
        "  1970-01-01T00:00:06Z  acme  [short]  minor warning final  e4",
    ]


def test_wording_changes_are_distinguished_and_times_are_formatted() -> None:
    a, b = event("e1", reason={"en": "old"}), event("e1", reason={"en": "new"})
    assert "worded differently (a | b): 1" in list(comparison_lines(compare([a], [b]), "a", "b", 20))
    c, d = event("e1"), event("e1", review_by_ms=AT_MS)
    assert "    review_by_ms: null | 2026-03-02T00:00:00Z" in list(comparison_lines(compare([c], [d]), "a", "b", 20))


def test_of_many_differences_some_are_shown() -> None:
    found = compare([event(f"e{n}", n * 5_000) for n in range(5)], [])
    lines = list(comparison_lines(found, "a", "b", 2))
    assert lines[-1] == "  ... and 3 more (--limit, --json)"
    assert len([each for each in lines if each.endswith(("  e0", "  e1", "  e2"))]) == 2


def test_a_number_in_an_event_is_not_shown() -> None:
    shown = line(event("e1") | {"subject": "+86 138 1234 5678"})
    assert "1234" not in shown
    found = compare([event("e1", reason={"en": "13812345678"})], [event("e1", reason={"en": "x"})])
    assert "1234" not in "\n".join(comparison_lines(found, "a", "b", 20))


def test_counts_and_times_are_shown_whatever_their_length() -> None:
    escalations = [
        {"count": 3, "window_ms": 30 * DAY, "events": [number], "ids": [event_id]}
        for number, event_id in ((1_234_567, "e1"), (1_234_568, "+8613812345678"))
    ]
    found = compare([event("e1", escalation=escalations[0])], [event("e1", escalation=escalations[1])])
    shown = "\n".join(comparison_lines(found, "a", "b", 20))
    assert "1234567" in shown
    assert "1234568" in shown
    assert "12345678" not in shown
    found = compare([event("e1", escalation=escalations[0])], [event("e1", escalation=None)])
    assert f'"window_ms": {30 * DAY}' in "\n".join(comparison_lines(found, "a", "b", 20))
    found = compare([event("e1", window_ms=DAY)], [event("e1", window_ms=2 * DAY)])
    assert f"    window_ms: {DAY} | {2 * DAY}" in list(comparison_lines(found, "a", "b", 20))


def test_json_is_complete() -> None:
    a = [event("e1"), event("e2", behaviour="x"), event("a3", 0), event("a3", 0)]
    b = [event("e1"), event("e2", behaviour="y"), event("b3", 500)]
    found = json.loads(json.dumps(as_json(compare(a, b))))
    assert (found["equal"], found["same"], found["repeated_a"]) == (False, 1, ["a3"])
    assert found["changed"][0]["differences"] == [{"field": "data.behaviour", "a": "x", "b": "y"}]
    assert (found["moved"][0]["a"]["id"], found["moved"][0]["b"]["decided_ms"]) == ("a3", 500)
    (rule,) = found["rules"]
    assert rule == {
        "rule_id": "short", "tier": "minor", "same": 1, "wording": 0, "otherwise": 2, "only_a": 0, "only_b": 0
    }  # fmt: skip


def test_the_policies_of_both_sides_are_named() -> None:
    other = {"id": "q", "version": "2", "sha256": "b" * 64}
    assert policies([event("e1"), event("e2", policy=other), event("e3")]) == [
        "p 1 (aaaaaaaaaaaa)",
        "q 2 (bbbbbbbbbbbb)",
    ]
    house = {"id": "house-rules", "version": "2026-11", "sha256": "123456789" + "c" * 55}
    assert policies([event("e1", policy=house)]) == ["house-rules 2026-11 (123456789ccc)"]


def test_times_and_numbers_of_another_program_s_event_end_no_comparison() -> None:
    a, b = event("e1", review_by_ms=10**18, reviewed=10**30), event("e1", review_by_ms=True, reviewed=1)
    found = compare([a], [b])
    lines = list(comparison_lines(found, "a", "b", 20))
    assert "    review_by_ms: 1000000000000000000 | true" in lines
    assert f"    reviewed: {10**30} | 1" in lines
