"""`callwarden backtest` on simulated data: from files and two policies to changes and scores."""

import json
import os
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from monitor.simulate.run import simulate
from monitor.simulate.settings import SimulationSettings
from schemas.inputs import Review
from streams.cli.app import build

SEED = 11
# A single rule, far stricter than the built-in one: it accuses honest sales teams.
HARSH = """
id: harsh
version: "2"
extends: access-rules
rules:
- id: harsh-short
  behaviour: blind_calling
  metric: short_call_ratio
  above: 0.06
  window: 24h
  step: 1h
  min_denominator: 20
escalations: []
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    print("seed", SEED)
    made = tmp_path_factory.mktemp("backtest")
    simulate(SimulationSettings(tenants=30, days=1, seed=SEED, calls_per_day=9_000), made)
    (made / "harsh.yaml").write_text(HARSH)
    return made


def run(*arguments: object) -> Result:
    return CliRunner().invoke(build("backtest"), ["backtest", *map(str, arguments)])


def test_a_harsher_policy_accuses_honest_tenants_and_the_scores_say_so(folder: Path) -> None:
    labels = folder / "labels.jsonl"
    result = run(folder / "records.jsonl", "--against", folder / "harsh.yaml", "--labels", labels, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["policies"]["a"]["id"], report["policies"]["b"]["id"]) == ("access-rules", "harsh")
    appeared = {
        change["tenant_id"]
        for change in report["changes"]
        for rule in change["rules"]
        if (rule["rule_id"], rule["change"], rule["channel"]) == ("harsh-short", "appears", "final")
        and rule["reason"]["zh"]
        and rule["reason"]["en"]
    }
    honest = {label["tenant_id"] for label in map(json.loads, labels.read_text().splitlines()) if label["honest"]}
    assert appeared & honest
    a, b = report["scores"]["a"]["final"], report["scores"]["b"]["final"]
    assert b["overall"]["wrong"] > a["overall"]["wrong"]
    assert b["overall"]["precision"] < a["overall"]["precision"]
    assert b["rules"]["harsh-short"]["wrong"] >= len(appeared & honest)
    # Only the built-in policy has the rule on consecutively dialled numbers, which fires early.
    assert a["rules"]["sequential-dialling"]["right"] == 1
    assert 0 < a["rules"]["sequential-dialling"]["median_hours"] < 14
    assert "sequential-dialling" not in b["rules"]


def test_the_same_policy_changes_nothing(folder: Path) -> None:
    result = run(folder / "records.jsonl", "--against", "access-rules", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["changes"] == []
    assert report["scores"]["a"] == report["scores"]["b"]


def test_reviews_among_the_records_are_the_labels_where_there_are_no_others(folder: Path, tmp_path: Path) -> None:
    labels = [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]
    guilty = next(label["tenant_id"] for label in labels if label["kind"] == "sequential-dialler")
    innocent = next(label["tenant_id"] for label in labels if label["kind"] == "courier")
    reviews = [
        Review("v1", "of-an-older-policy", guilty, "uphold", "ops", "ok", 1_772_500_000_000),
        Review("v2", "of-an-older-policy", innocent, "overturn", "ops", "no", 1_772_500_000_000),
    ]
    extra = tmp_path / "reviews.jsonl"
    extra.write_bytes(b"".join(msgspec.json.encode(review) + b"\n" for review in reviews))
    calls = tmp_path / "calls.jsonl"
    calls.write_bytes(
        b"".join(
            line + b"\n"
            for line in (folder / "records.jsonl").read_bytes().splitlines()
            if line.startswith(b'{"type":"cdr"')
        )
    )
    result = run(calls, extra, "--against", "access-rules", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["truth"] == "reviews"
    overall = report["scores"]["a"]["final"]["overall"]
    assert (overall["bad"], overall["right"], overall["wrong"]) == (1, 1, 0)
    few = tmp_path / "few.jsonl"
    few.write_bytes(b"".join(calls.read_bytes().splitlines(keepends=True)[:100]))
    without = json.loads(run(few, "--against", "access-rules", "--json").stdout)
    assert without["truth"] is None
    assert without["scores"] == {"a": {}, "b": {}}


def test_the_text_names_tenants_rules_and_reasons_in_both_languages(folder: Path) -> None:
    labels = folder / "labels.jsonl"
    result = run(folder / "records.jsonl", "--against", folder / "harsh.yaml", "--labels", labels)
    assert result.exit_code == 0, result.output
    assert "tenants change tier" in result.stdout
    assert "+ harsh-short (final)" in result.stdout
    assert "- sequential-dialling (final)" in result.stdout
    assert "final decisions, judged by labels" in result.stdout
    assert "courier" in result.stdout


@pytest.mark.parametrize("what", ["file", "policy", "labels"])
def test_unreadable_input_is_named_with_exit_2(what: str, folder: Path) -> None:
    paths = {"file": folder / "records.jsonl", "policy": folder / "harsh.yaml", "labels": folder / "labels.jsonl"}
    paths[what] = folder / "missing"
    result = run(paths["file"], "--against", paths["policy"], "--labels", paths["labels"])
    assert result.exit_code == 2
    assert "missing" in result.output


def test_a_faulty_policy_is_reported_with_its_place(folder: Path, tmp_path: Path) -> None:
    faulty = tmp_path / "faulty.yaml"
    faulty.write_text("id: x\nversion: '1'\nextends: access-rules\nrules: 7\n")
    result = run(folder / "records.jsonl", "--against", faulty)
    assert result.exit_code == 2
    assert "faulty.yaml:4:" in result.output


def test_what_can_be_read_once_only_is_refused(folder: Path, tmp_path: Path) -> None:
    """It would be empty for the second policy, and all decisions would seem to vanish."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for once in (pipe, "-"):
        result = run(once, "--against", folder / "harsh.yaml")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"{once}: expected a file: ")


def test_an_empty_not_after_is_not_the_default(folder: Path) -> None:
    result = run(folder / "records.jsonl", "--against", folder / "harsh.yaml", "--not-after", "")
    assert (result.exit_code, result.stderr[:11]) == (2, "--not-after")
