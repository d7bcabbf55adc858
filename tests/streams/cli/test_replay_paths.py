"""`callwarden replay` with unreadable or unwritable paths: a sentence and an exit status, never a traceback."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.patience import PATIENCE_S
from helpers.warm_commands import callwarden
from streams.cli.app import build

CALL = (
    b'{"type":"cdr","call_id":"c1","tenant_id":"acme","direction":"outbound","caller":"+861","callee":"+862",'
    b'"start_ms":1772409600000,"end_ms":1772409600000,"outcome":"busy"}\n'
)


def output(*arguments: str | Path) -> tuple[int, str]:
    """The exit status and standard error of a replay."""
    done = callwarden("replay", "-q", *arguments)
    return done.returncode, done.stderr.decode()


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "records.jsonl"
    path.write_bytes(CALL)
    return path


def test_a_folder_given_as_a_file_of_records_is_wrong_usage(tmp_path: Path) -> None:
    assert output(tmp_path, "--out", tmp_path / "out") == (2, f"{tmp_path}: is a directory\n")


@pytest.mark.parametrize("below", [".", "deeper"])
def test_a_file_where_the_output_folder_should_be_is_wrong_usage(records: Path, below: str) -> None:
    status, error = output(records, "--out", records / below)
    assert (status, error.count("\n")) == (2, 1)
    assert str(records) in error
    assert "expected a file of records" not in error


@pytest.mark.parametrize("content", [gzip.compress(CALL * 50, mtime=0)[:40], CALL], ids=["cut", "no gzip"])
def test_a_damaged_file_ends_the_run_with_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "records.jsonl.gz"
    path.write_bytes(content)
    status, error = output(path, "--out", tmp_path / "out")
    assert (status, error.count("\n")) == (1, 1)
    assert error.startswith(f"{path}: damaged: ")


def test_processes_that_end_as_soon_as_they_start_end_the_replay(records: Path) -> None:
    """The child processes cannot import a program that comes from standard input."""
    command = [sys.executable, "-", "replay", "-q", str(records), "--out", str(records.parent / "out"), "--jobs", "2"]
    program = "from streams.cli.app import main; main()"
    done = subprocess.run(command, input=program, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("a process of the replay ended before its work was done\n")


UTF_16 = "id,created\n1,2\n".encode("utf-16")


@pytest.mark.parametrize("content", [CALL, UTF_16])
@pytest.mark.parametrize("form", ["ftc-dnc", "bank-calls"])
@pytest.mark.parametrize("command", ["replay", "backtest", "preflight", "check"])
def test_a_file_of_another_format_is_wrong_usage(tmp_path: Path, command: str, form: str, content: bytes) -> None:
    path = tmp_path / "calls.csv"
    path.write_bytes(content)
    words = {
        "replay": ["replay", "-q", "--out", str(tmp_path / "out")],
        "backtest": ["backtest", "--against", "access-rules"],
        "preflight": ["policy", "preflight"],
        "check": ["map", "check"],
    }[command]
    done = CliRunner().invoke(build(words[0]), [*words, str(path), "--format", form])
    assert done.exit_code == 2, repr(done.exception)
    assert done.stderr.startswith(f"{form}:1:1: the ")
    assert "header" in done.stderr


@pytest.mark.parametrize("option", ["--until", "--not-after", "--enforce-from"])
def test_an_empty_time_is_wrong_usage_and_not_the_default(records: Path, option: str) -> None:
    status, error = output(records, "--out", records.parent / "out", option, "")
    assert status == 2
    assert error.startswith(option)


def test_the_windows_of_an_earlier_run_are_removed_from_the_folder(records: Path) -> None:
    out = records.parent / "out"
    assert output(records, "--out", out, "--windows")[0] == 0
    assert (out / "windows.jsonl").stat().st_size > 0
    assert output(records, "--out", out)[0] == 0
    assert not (out / "windows.jsonl").exists()
