"""`callwarden replay --metrics`: the page of a replay's results, the same for any number of processes."""

import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from helpers.warm_commands import callwarden
from monitor.policy.load import load
from monitor.simulate.run import simulate
from monitor.simulate.settings import SimulationSettings


def replay(records: Path, out: Path, *more: str) -> subprocess.CompletedProcess[bytes]:
    """Replay the records in a separate process."""
    return callwarden("replay", records, "--out", out, "-q", *more)


def test_the_page_is_what_the_replay_came_to_however_many_processes_judged(tmp_path: Path) -> None:
    simulate(SimulationSettings(tenants=60, days=1, seed=1, calls_per_day=4_000), tmp_path)
    records = tmp_path / "records.jsonl"
    with records.open("a") as stream:
        stream.write('{"type": "cdr", "call_id": 7}\nno json\n')
    pages = []
    for name, more in (("one", ()), ("two", ("--jobs", "2"))):
        done = replay(records, tmp_path / name, "--metrics", str(tmp_path / f"{name}.txt"), *more)
        assert done.returncode == 0, done.stderr
        pages.append((tmp_path / f"{name}.txt").read_text("utf-8"))
    assert pages[0] == pages[1]
    samples = [sample for metric in text_string_to_metric_families(pages[0]) for sample in metric.samples]
    decided = (tmp_path / "one" / "enforcement.jsonl").read_text("utf-8").splitlines()
    shadow = (tmp_path / "one" / "shadow.jsonl").read_text("utf-8").splitlines()
    counted = sum(sample.value for sample in samples if sample.name == "callwarden_decisions_total")
    assert counted == len(decided) + len(shadow) > 0
    rejected = {s.labels["reason"]: s.value for s in samples if s.name == "callwarden_rejected_total"}
    assert rejected == {"wrong_type": 1, "malformed_json": 1}
    assert {s.value for s in samples if s.name == "callwarden_tenants"} == {60}
    known = {rule.id for rule in load(None).rules}
    assert {s.labels["rule"] for s in samples if s.name == "callwarden_tenant_threshold_ratio"} <= known
    assert "+86" not in pages[0]


def test_settings_bound_the_page_of_a_replay_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(SimulationSettings(tenants=40, days=1, seed=1, calls_per_day=4_000), tmp_path)
    monkeypatch.setenv("CALLWARDEN_METRICS_PAIRS", "0")
    monkeypatch.setenv("CALLWARDEN_METRICS_BUSIEST", "0")
    done = replay(tmp_path / "records.jsonl", tmp_path / "out", "--metrics", str(tmp_path / "page.txt"))
    assert done.returncode == 0, done.stderr
    assert "tenant=" not in (tmp_path / "page.txt").read_text("utf-8")
