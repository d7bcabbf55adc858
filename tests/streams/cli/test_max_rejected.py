"""`replay --max-rejected` exits with status 1 above its limit, after it has written everything."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli.app import build

CALL = (
    '{"type":"cdr","call_id":"c%d","tenant_id":"acme","direction":"outbound","caller":"+861","callee":"+862",'
    '"start_ms":1772409600000,"end_ms":1772409600000,"outcome":"busy"}\n'
)


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Two of eight lines are rejected."""
    path = tmp_path / "records.jsonl"
    path.write_text("".join(CALL % number for number in range(6)) + "{}\n[]\n", "utf-8")
    return path


@pytest.mark.parametrize(
    ("limit", "status"),
    [("0", 1), ("1", 1), ("2", 0), ("24.9%", 1), ("25%", 0), ("0%", 1), ("100%", 0), (None, 0)],
)
def test_more_rejected_records_than_the_limit_are_status_1(
    records: Path, tmp_path: Path, limit: str | None, status: int
) -> None:
    options = ["--max-rejected", limit] if limit else []
    done = CliRunner().invoke(
        build("replay"), ["replay", str(records), "--out", str(tmp_path / "out"), "-q", "--json", *options]
    )
    assert done.exit_code == status, done.output
    assert json.loads(done.stdout)["rejected"] == 2
    assert len((tmp_path / "out" / "rejected.jsonl").read_text("utf-8").splitlines()) == 2
    printed = "2 of 8 records were rejected, more than --max-rejected allows\n"
    assert done.stderr == (printed if status else "")


@pytest.mark.parametrize("limit", ["-1", "x", "1.5", "101%", "5 %", "%", ""])
def test_an_invalid_limit_is_refused_before_anything_is_read(tmp_path: Path, limit: str) -> None:
    done = CliRunner().invoke(
        build("replay"), ["replay", "absent", "--out", str(tmp_path / "out"), "--max-rejected", limit]
    )
    assert done.exit_code == 2
    assert f"--max-rejected {limit}: expected a number of records such as 100, or a share such as 0.5%" in done.stderr
    assert not (tmp_path / "out").exists()
