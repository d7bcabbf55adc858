"""A replay with several policies over time equals the independent oracle."""

import json
import random
from itertools import pairwise
from typing import Any

import pytest

from helpers.thorough import thorough
from monitor.policy.load import loads
from oracle import judge
from oracle.compare import as_output, differences
from oracle.policy_change_generator import changes, still
from oracle.policy_generator import DAY, HOUR, MINUTE, to_ms
from oracle.product import run
from oracle.scenario_generator import MARCH_2, scenario

FAST = range(16)
SOAK = range(1_000, 1_600)
OWNERS = range(3_005, 3_100)


def compare(seed: int, size: int | None = None, flavour: str | None = None) -> None:
    made = scenario(seed, flavour, size=size)
    rng = random.Random(seed)
    switches = changes(rng, made)
    if rng.random() < 0.5:
        still(rng, made, switches)
    print(f"seed {seed} flavour {made.flavour}: switches at {[(one.from_ms, one.kind) for one in switches]}")
    plain = [(one.from_ms, one.policy) for one in switches]
    times: dict[str, Any] = {"not_after_ms": made.not_after_ms, "until_ms": made.until_ms}
    expected = as_output(judge(made.files, made.policy, switches=plain, **times))
    actual = run(made.files, made.policy, switches=plain, shards=rng.choice((1, 1, 3)), **times)
    assert differences(expected, actual)[:20] == []
    shas = [(0, made.policy), *plain]
    for event in actual["enforcement"]:
        in_force = [plain for from_ms, plain in shas if from_ms <= event["decided_ms"]][-1]
        assert event["policy"]["sha256"] == loads(json.dumps(in_force), "p").sha256


@pytest.mark.parametrize("seed", thorough(FAST, 4))
def test_a_switch_decides_as_the_oracle_says(seed: int) -> None:
    compare(seed, size=120)


@pytest.mark.parametrize(
    "seed", [*thorough(range(3_000, 3_005), 1), *(pytest.param(s, marks=pytest.mark.soak) for s in OWNERS)]
)
def test_a_switch_keeps_the_bans_of_owners(seed: int) -> None:
    compare(seed, 100, "owners")


@pytest.mark.parametrize("seeds", thorough([SOAK[:20], SOAK[:200]], 1), ids=str)
def test_the_changes_are_as_close_as_they_should_be_and_sources_as_still(seeds: range) -> None:
    """Three policies or more within an hour, a longer lateness among them, and a source that passes
    them in one step.
    """
    close = longer = quiet = 0
    for seed in seeds:
        made, rng = scenario(seed, size=30), random.Random(seed)  # the changes do not depend on the size
        switches = changes(rng, made)
        meet = [one for one in switches if one.from_ms < switches[0].from_ms + HOUR]
        close += len(meet) > 1
        lateness = [to_ms(plain["defaults"]["lateness"]) for plain in (made.policy, *(one.policy for one in meet))]
        if len(meet) > 1 and any(after > before for before, after in pairwise(lateness)):
            longer += 1
            quiet += rng.random() < 0.5 and still(rng, made, switches)
    assert close >= 0.3 * len(seeds)
    assert longer >= 0.1 * len(seeds)
    assert quiet >= 0.025 * len(seeds)


@pytest.mark.soak
@pytest.mark.parametrize("first", SOAK[::100])
def test_a_switch_decides_as_the_oracle_says_on_many_more(first: int) -> None:
    for seed in range(first, first + 100):
        compare(seed)


START = MARCH_2 + 20 * HOUR
SWITCH = MARCH_2 + DAY


def agreed(records: list[dict[str, Any]], before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """The decisions on which oracle and replay agree, where the policy changes at midnight."""
    whole = {"id": "test", "version": "1", "escalations": [], "prohibited_businesses": []}
    lines, switches = [json.dumps(record) for record in records], [(SWITCH, whole | after)]
    expected = as_output(judge([lines], whole | before, switches=switches))
    actual = run([lines], whole | before, switches=switches)
    assert differences(expected, actual) == []
    events: list[dict[str, Any]] = expected["enforcement"]
    return events


def answered(name: str, at_ms: int) -> dict[str, Any]:
    call = {"type": "cdr", "call_id": name, "tenant_id": "acme", "direction": "outbound", "outcome": "answered"}
    return call | {"caller": "1", "callee": "2", "start_ms": at_ms, "answer_ms": at_ms, "end_ms": at_ms}


def ruled(**fields: Any) -> dict[str, Any]:
    return {"id": "r", "behaviour": "blind_calling", "metric": "zero_second_ratio", "above": 0.1} | fields


def test_evidence_kept_for_an_hour_is_not_used_for_three_days() -> None:
    """Whether it still exists at the change would depend on when it was cleaned up."""
    short = ruled(window="1h", step="1h", min_denominator=100)
    other = ruled(id="other", metric="reject_ratio", window="72h", step="1h", min_denominator=100)
    long = ruled(id="long", window="72h", step="1h", min_denominator=4)
    calls = [answered(f"c{n}", SWITCH - HOUR // 2 + n * HOUR // 4) for n in range(8)]
    (event,) = agreed(calls, {"rules": [short, other]}, {"rules": [short, other, long]})
    assert event["evidence"]["call_ids"] == [f"c{n}" for n in range(2, 6)]
    assert event["measure"]["numerator"] == 6, "and counted they are"


def test_the_next_policy_does_not_know_forgotten_records() -> None:
    complaint = {"type": "complaint", "complaint_id": "p", "tenant_id": "acme", "category": "number_leak"}
    first = complaint | {"status": "verified", "reported_ms": START, "updated_ms": START}
    again = first | {"updated_ms": SWITCH + HOUR}
    short, long = ({"rules": [], "defaults": {"retention": retention}} for retention in ("3h", "400d"))
    assert len(agreed([first, again], short, long)) == 2
    assert len(agreed([first, again], long, long | {"version": "2"})) == 1


def test_a_rule_over_an_uncounted_call_length_waits_for_a_whole_window() -> None:
    rule = ruled(metric="short_call_ratio", window="2h", step="5m", min_denominator=1)
    calls = []
    for n in range(40):
        calls.append(answered(f"c{n}", START + n * 10 * MINUTE))
        calls[-1]["end_ms"] += 4_000
    defaults = {"defaults": {"short_call_s": 1}}
    (event,) = agreed(
        calls, {"rules": [rule], **defaults}, {"rules": [rule | {"with": {"short_call_s": 5}}], **defaults}
    )[:1]
    assert event["decided_ms"] == SWITCH + 2 * HOUR


def test_a_switch_after_the_last_record_has_no_rule_judged_further_and_nothing_lapse() -> None:
    """It happens for the sake of a rule that is evaluated once more, long after the others' last evaluation."""
    short = ruled(window="2h", step="5m", cooldown="2h", mode="review")
    late = ruled(id="late", window="24h", step="24h")
    calls = [answered(f"c{n}", SWITCH - 5 * HOUR // 4 + n) for n in range(3)]
    events = agreed(calls, {"rules": [short], "defaults": {"review_within": "20m"}}, {"rules": [short, late]})
    assert [event["kind"] for event in events] == ["warning"]
