"""Replay and the independent oracle agree: every window, decision, alert, and every line accounted for."""

import json
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from helpers.thorough import thorough
from monitor.core.calls.evidence import EvidenceRows, NewestCalls
from monitor.core.threshold_distance import DistanceOptions
from monitor.policy.load import load, to_plain
from monitor.policy.metrics import METRICS
from monitor.simulate.run import simulate
from monitor.simulate.settings import SimulationSettings
from oracle import judge, measures
from oracle.compare import as_output, differences
from oracle.line_generator import spoilt
from oracle.policy_generator import DAY, HOUR
from oracle.product import FAR, run
from oracle.scenario_generator import MARCH_2, Scenario, permuted, scenario, short_names, solve
from oracle.worked_cases import resolve

FAST = range(27)
SOAK = range(1_000, 2_000)
HISTORY = range(2_000, 2_018)
HISTORIES = range(2_018, 2_300)
BIG = range(10_000, 10_032)
HUGE = range(404, 500)
EXTREMES = (0, -0.0, -1, 1, 2**53 + 1, 1e-7, 1e22, 5e-324, -5e-324, sys.float_info.max, -sys.float_info.max)
EXTREME_SHARES = (5e-324, 1e-300, 1e-7, 0.5, 0.9999999999999999)  # a ratio is compared with values between 0 and 1
SPOILT = [pytest.param(seed, marks=pytest.mark.soak) for seed in range(703, 800)]


def by_replay(made: Scenario) -> dict[str, Any]:
    """In pieces and shards of any number; also without windows, where the evaluator skips what cannot have changed."""
    rng = random.Random(made.seed)
    how: dict[str, Any] = {"piece_lines": rng.choice((1, 3, 40, 5_000)), "shards": rng.choice((1, 1, 2, 5))}
    times: dict[str, Any] = {"not_after_ms": made.not_after_ms, "until_ms": made.until_ms}
    times["enforce_from_ms"] = made.enforce_from_ms
    resolved: list[list[str]] = []

    def once(files: list[list[str]]) -> dict[str, Any]:
        resolved[:] = files
        return run(files, made.policy, windows=False, **times)

    without = resolve(made.files, once, short_names)
    with cramped() if made.seed % 2 else nullcontext():
        whole = run(resolved, made.policy, **times, **how)
    assert {**whole, "windows": []} == {**without, "summary": {**without["summary"], "windows": len(whole["windows"])}}
    return whole


@contextmanager
def cramped() -> Iterator[None]:
    """Clean-ups that usually run after thousands of calls run at every step: remembered ids, keys, evidence."""
    add = NewestCalls.add

    def thinning(self: NewestCalls, rows: EvidenceRows, end_ms: int) -> None:
        self._thin_at = 0
        add(self, rows, end_ms)

    with patch("monitor.core.calls.hash_table._SMALLEST_TABLE", 16), patch.object(NewestCalls, "add", thinning):
        yield


def compare(made: Scenario) -> None:
    replayed = by_replay(made)
    found = differences(solve(made), replayed)
    if found:  # the ids of replay were found from none
        found = differences(solve(made, afresh=True), replayed)
    print(f"seed {made.seed} flavour {made.flavour}: {len(found)} differences")
    assert found[:20] == []


def test_the_oracle_has_every_metric() -> None:
    assert set(measures.ALL) == set(METRICS)


@pytest.mark.parametrize("seed", thorough(FAST, 4))
def test_replay_does_not_decide_otherwise_than_the_contract(seed: int) -> None:
    compare(scenario(seed, size=120))


@pytest.mark.parametrize(
    "seed", [*thorough(HISTORY, 2), *(pytest.param(seed, marks=pytest.mark.soak) for seed in HISTORIES)]
)
def test_records_before_enforcement_are_known_and_decide_nothing(seed: int) -> None:
    made = scenario(seed, size=120)
    rng = random.Random(seed)
    decided = sorted({e["decided_ms"] for e in solve(made)["enforcement"]}) or [MARCH_2 + DAY]
    # At the very instant of a decision, next to it, and elsewhere.
    made.enforce_from_ms = rng.choice(decided) + rng.choice((0, 0, 1, -1, rng.randint(-DAY, DAY)))
    compare(made)


@pytest.mark.parametrize(
    "seed", [*thorough(range(400, 404), 1), *(pytest.param(s, marks=pytest.mark.soak) for s in HUGE)]
)
def test_no_number_of_a_policy_is_too_large_or_too_small_to_be_judged(seed: int) -> None:
    made = scenario(seed, size=60)
    rng = random.Random(seed)
    made.policy |= {"overrides": [], "exemptions": []}
    for rule in made.policy["rules"]:
        direction = "above" if "above" in rule else "below"
        limits = sorted(rng.choices(EXTREME_SHARES if METRICS[rule["metric"]].unit == "ratio" else EXTREMES, k=2))
        rule["recover"], rule[direction] = limits if direction == "above" else limits[::-1]
        rule["min_denominator"] = rng.choice((1, 1, 2, 2**53 - 1))
        rule["with"] = {"callee_limit": rng.choice((1, 2**31, 2**53 - 1)), "short_call_s": rng.choice((0.001, 86_400))}
        for condition in rule.get("also", []):
            (op,) = condition.keys() - {"metric"}
            condition[op] = rng.choice(EXTREME_SHARES if METRICS[condition["metric"]].unit == "ratio" else EXTREMES)
        if rule.get("confidence"):
            rule["confidence"] = rng.choice((0.5, 0.9999999999999999))
    compare(made)
    run(made.files, made.policy, distance_options=DistanceOptions(near=0.0, busiest=100, most=100))


@pytest.mark.soak
@pytest.mark.parametrize("first", SOAK[::100])
def test_replay_does_not_decide_otherwise_on_many_more(first: int) -> None:
    for seed in range(first, first + 100):
        compare(scenario(seed))


@pytest.mark.soak
@pytest.mark.parametrize("seed", BIG)
def test_replay_does_not_decide_otherwise_on_two_thousand_records(seed: int) -> None:
    compare(scenario(seed, size=2_000))


@pytest.mark.parametrize("seed", [1])
def test_replay_does_not_decide_otherwise_on_simulated_traffic(seed: int, tmp_path: Path) -> None:
    compare(simulated(tmp_path, SimulationSettings(tenants=6, days=1, seed=seed, calls_per_day=120, split=True)))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 8))
def test_replay_does_not_decide_otherwise_on_simulated_days(seed: int, tmp_path: Path) -> None:
    compare(
        simulated(tmp_path, SimulationSettings(tenants=20, days=3, seed=seed, calls_per_day=1_500, split=seed % 2 == 0))
    )


def simulated(folder: Path, settings: SimulationSettings) -> Scenario:
    """Simulated traffic under the built-in policy; its reviews name the product's ids, which are replaced by names."""
    paths = simulate(settings, folder).files
    files = [path.read_text(encoding="utf-8").splitlines() for path in paths]
    events = run(files, None, windows=False)["enforcement"]
    by_id = {event_id: f"@{name}" for event_id, name in short_names(events).items()}

    def named(line: str) -> str:
        record = json.loads(line)
        if record["type"] == "review":
            record["enforcement_id"] = by_id.get(record["enforcement_id"], record["enforcement_id"])
        return json.dumps(record)

    policy = to_plain(load(None))
    return Scenario(settings.seed, "simulated", [[named(line) for line in lines] for lines in files], policy, FAR)


@pytest.mark.parametrize("seed", [*thorough(range(700, 703), 1), *SPOILT])
def test_no_corrupted_line_is_accepted_by_one_and_rejected_by_the_other(seed: int) -> None:
    made = scenario(seed, "random", size=500)
    rng = random.Random(seed)
    files = [[spoilt(rng, line) for line in lines for _ in range(2)] for lines in made.files]
    expected = as_output(judge(files, made.policy, not_after_ms=FAR))
    actual = run(files, made.policy)
    print(f"seed {seed}")
    assert expected["summary"]["accepted"] > 0
    assert differences(expected, actual) == []


def agreed(records: list[dict[str, Any]], policy: dict[str, Any]) -> list[dict[str, Any]]:
    """The decisions on which oracle and replay agree."""
    whole = policy | {"id": "test", "version": "1", "escalations": [], "prohibited_businesses": []}
    expected = as_output(judge([[json.dumps(r) for r in records]], whole))
    for windows in (True, False):
        actual = run([records], whole, windows=windows)
        assert differences(expected, {**actual, "windows": expected["windows"]}) == []
    events: list[dict[str, Any]] = expected["enforcement"]
    return events


@pytest.mark.parametrize(("after", "decisions"), [(3 * DAY, 1), (3 * DAY + 1, 2)])
def test_an_id_is_not_forgotten_before_its_retention_is_over(after: int, decisions: int) -> None:
    first: dict[str, Any] = {"type": "complaint", "complaint_id": "p1", "tenant_id": "acme", "category": "number_leak"}
    first |= {"status": "verified", "reported_ms": MARCH_2, "updated_ms": MARCH_2}
    again = first | {"updated_ms": MARCH_2 + after}
    assert len(agreed([first, again], {"rules": [], "defaults": {"retention": "3d"}})) == decisions


def test_an_exemption_ends_although_no_call_comes() -> None:
    """Quiet windows are skipped; the end of an exemption or an override must not be skipped with them."""
    rule = {"id": "some", "behaviour": "blind_calling", "metric": "attempts", "above": 3, "window": "24h", "step": "1h"}
    until = {"owner": "ops", "reason": "for the test", "expires": "2026-03-03"}
    calls = [
        {"type": "cdr", "call_id": f"c{n}", "tenant_id": tenant, "direction": "outbound", "outcome": "busy"}
        | {"caller": "1", "callee": "2", "start_ms": MARCH_2 + 20 * HOUR + n, "end_ms": MARCH_2 + 20 * HOUR + n}
        for n in range(5)
        for tenant in ("exempt", "apart")
    ]
    clock = {"type": "tenant", "tenant_id": "clock", "declared_businesses": [], "numbers": []}
    events = agreed(
        [*calls, clock | {"updated_ms": MARCH_2 + DAY + 5 * HOUR}],
        {
            "rules": [rule],
            "exemptions": [{"tenant": "exempt", "rules": ["some"], **until}],
            "overrides": [{"tenant": "apart", "rule": "some", "above": 9, **until}],
        },
    )
    assert [(e["tenant_id"], e["decided_ms"]) for e in events] == [("apart", MARCH_2 + DAY), ("exempt", MARCH_2 + DAY)]


def test_an_alert_by_an_override_ends_with_it_though_no_call_comes() -> None:
    rule = {"id": "some", "behaviour": "blind_calling", "metric": "attempts", "above": 3, "window": "24h", "step": "1h"}
    until = {"owner": "ops", "reason": "for the test", "expires": "2026-03-03"}
    calls = [
        {"type": "cdr", "call_id": f"c{n}", "tenant_id": "apart", "direction": "outbound", "outcome": "busy"}
        | {"caller": "1", "callee": "2", "start_ms": MARCH_2 + 20 * HOUR + n, "end_ms": MARCH_2 + 20 * HOUR + n}
        for n in range(2)
    ]
    clock = {"type": "tenant", "tenant_id": "clock", "declared_businesses": [], "numbers": []}
    clock["updated_ms"] = MARCH_2 + DAY + 5 * HOUR
    whole = {"rules": [rule], "overrides": [{"tenant": "apart", "rule": "some", "above": 1, **until}]}
    assert [event["decided_ms"] for event in agreed([*calls, clock], whole)] == [MARCH_2 + 21 * HOUR]
    whole |= {"id": "test", "version": "1", "escalations": [], "prohibited_businesses": []}
    reported = [(alert["state"], alert["updated_ms"]) for alert in run([[*calls, clock]], whole)["alerts"]]
    assert reported == [("firing", MARCH_2 + 21 * HOUR), ("resolved", MARCH_2 + DAY)]


@pytest.mark.parametrize("seed", thorough(range(500, 506), 1))
def test_the_order_of_records_within_lateness_changes_nothing(seed: int) -> None:
    """All valid, all distinct: the oracle on the sorted file, replay on a permuted one."""
    made = scenario(seed, "random")
    lines = distinct(made)
    rng = random.Random(seed)
    lateness = int(made.policy["defaults"]["lateness"][:-1]) * 60_000
    expected = as_output(judge([permuted(rng, lines, 0)], made.policy, not_after_ms=None))
    actual = run([permuted(rng, lines, lateness)], made.policy)
    for out in (expected, actual):
        out["rejected"] = []  # its lines are those of the file as read
    print(f"seed {seed}")
    assert differences(expected, actual) == []


def distinct(made: Scenario) -> list[str]:
    """One line of each id, so the order decides nothing; reviews are left unresolved."""
    kept: dict[tuple[str, ...], str] = {}
    for line in (line for lines in made.files for line in lines if line.strip()):
        record = json.loads(line)
        own = [record.get(f) for f in ("call_id", "complaint_id", "finding_id", "application_id", "review_id")]
        if record["type"] == "cdr":
            own = own[:1]
        key = (record["type"], record["tenant_id"], *map(str, own), str(record.get("status") or record.get("verdict")))
        kept.setdefault(key, line)
    return list(kept.values())
