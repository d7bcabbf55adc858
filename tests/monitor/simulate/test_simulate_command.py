"""`callwarden simulate` writes the requested records, and rejects invalid options."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from streams.cli.app import build


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build("simulate"), ["simulate", *arguments])


def test_the_summary_counts_the_lines_written(tmp_path: Path) -> None:
    result = run(
        "--tenants", "40", "--days", "1", "--seed", "4", "--calls-per-day", "3000", "--out", str(tmp_path), "--json"
    )
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    (file,) = summary["files"]
    assert Path(file) == tmp_path / "records.jsonl"
    assert sum(summary["records"].values()) == len(Path(file).read_bytes().splitlines())
    assert summary["tenants"]["honest"] + summary["tenants"]["bad"] == 40
    assert len(Path(summary["labels"]).read_text().splitlines()) == 40


def test_the_text_names_the_files_and_the_load_is_150_a_tenant(tmp_path: Path) -> None:
    result = run("--tenants", "40", "--days", "1", "--split", "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    for name in ("cdr", "complaints", "findings", "tenants", "reviews", "labels"):
        assert str(tmp_path / f"{name}.jsonl") in result.stdout
    assert len((tmp_path / "cdr.jsonl").read_bytes().splitlines()) == pytest.approx(6_000, rel=0.1)


def test_start_may_be_rfc_3339_or_epoch_ms(tmp_path: Path) -> None:
    for name, start in (("a", "2026-03-02T06:00:00+08:00"), ("b", "1772402400000"), ("c", "2026-03-01T22:00:00Z")):
        assert run("--tenants", "5", "--days", "1", "--start", start, "--out", str(tmp_path / name)).exit_code == 0
    first = (tmp_path / "a" / "records.jsonl").read_bytes()
    assert first == (tmp_path / "b" / "records.jsonl").read_bytes() == (tmp_path / "c" / "records.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--start", "2026-03-02"), "time zone"),
        (("--start", "yesterday"), "yesterday"),
        (("--late-share", "0.9"), "late share"),
        (("--duplicate-share", "-0.1"), "duplicate share"),
        (("--calls-per-day", "0"), "calls per day"),
        (("--tenants", "0"), "tenants"),
        (("--start", "2101-01-01T00:00:00Z"), "1990 to 2099"),
        (("--lateness", "0s"), "lateness"),
        (("--lateness", "71d"), "at most 70 days"),
    ],
)
def test_invalid_options_are_refused_with_exit_2(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    result = run("--out", str(tmp_path / "out"), *arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert not (tmp_path / "out").exists()
