"""The built-in measured rules warn no honest tenant and find every bad kind of calling within hours."""

import json
from pathlib import Path

import pytest

from monitor.policy.load import load
from monitor.policy.metrics import METRICS
from monitor.replay.outcome import Outcome
from monitor.replay.run import replay
from monitor.simulate.run import simulate
from monitor.simulate.settings import SimulationSettings

SEED = 1
HOUR = 3_600_000
START = 1_772_380_800_000  # 2026-03-02 00:00 in Shanghai, a Monday


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, dict[str, dict[str, object]]]:
    print("seed", SEED)
    folder = tmp_path_factory.mktemp("simulated")
    simulate(SimulationSettings(tenants=90, days=3, seed=SEED, calls_per_day=90 * 150, start_ms=START), folder)
    labels = [json.loads(line) for line in (folder / "labels.jsonl").read_text("utf-8").splitlines()]
    outcome = replay([Path(folder / "records.jsonl")], load(None))
    return outcome, {label["tenant_id"]: label for label in labels}


def test_no_honest_tenant_is_warned_or_shown(simulated: tuple[Outcome, dict[str, dict[str, object]]]) -> None:
    outcome, labels = simulated
    measured = [event for event in (*outcome.enforcement, *outcome.shadow) if event.data.measure is not None]
    assert len(measured) > 20
    wronged = {
        (labels[event.subject]["kind"], event.data.rule_id) for event in measured if labels[event.subject]["honest"]
    }
    assert wronged == set()
    assert sum(bool(label["honest"]) for label in labels.values()) > 60


def test_every_bad_way_of_calling_is_found_within_hours(
    simulated: tuple[Outcome, dict[str, dict[str, object]]],
) -> None:
    outcome, labels = simulated
    bad = {tenant: label for tenant, label in labels.items() if label["found_by"] in METRICS}
    assert len({label["kind"] for label in bad.values()}) >= 8
    for tenant, label in bad.items():
        # Kinds that only an optional field reveals are found by its shadow rule.
        events = outcome.shadow if label["found_by"] == "consent_coverage" else outcome.enforcement
        times = [event.data.decided_ms for event in events if event.subject == tenant and event.data.window is not None]
        began = max(START, int(str(label["bad_from_ms"])))
        # Days begin at midnight and calls at eight; night callers start at nine in the evening.
        limit = 24 if label["found_by"] == "out_of_hours_ratio" else 14
        assert times, f"{label['kind']} was not found"
        assert min(times) - began <= limit * HOUR, label["kind"]
