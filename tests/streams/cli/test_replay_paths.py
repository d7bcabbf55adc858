"""`callwarden replay` with unreadable or unwritable paths: a sentence and an exit status, never a traceback."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.patience import PATIENCE_S
from helpers.warm_commands import callwarden
from monitor.replay.output import FILES
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


INPUTS = {
    "records.jsonl": CALL,
    "policy.json": b'{"id": "house", "version": "1"}\n',
    "windows.jsonl": CALL,
    "measures.jsonl": CALL,
    "late.jsonl": CALL,
    "map.yaml": (
        b"format: csv\nrecord: application\nfields:\n  application_id: {column: id}\n  tenant_id: {column: id}\n"
        b"  updated_ms: {column: at, time: epoch_s}\n  declared_business: {const: b}\n"
    ),
    "summary.json": b"a salt of 32 bytes for the tests",
    "callwarden.yaml": b"mask_ids: none\n",
}


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with inputs of all kinds, some named as outputs, and links to them in ``linked``."""
    monkeypatch.chdir(tmp_path)
    for name, content in INPUTS.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/alerts.jsonl").symlink_to("../records.jsonl")
    (tmp_path / "linked/shadow.jsonl").hardlink_to(tmp_path / "late.jsonl")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "written", "read", "option"),
    [
        ("records.jsonl --policy policy.json --out .", "policy.json", "policy.json", "--out"),
        ("records.jsonl --switch 2026-03-02T00:00:00Z=policy.json --out .", "policy.json", "policy.json", "--out"),
        ("records.jsonl windows.jsonl --windows --out .", "windows.jsonl", "windows.jsonl", "--out"),
        ("windows.jsonl --out .", "windows.jsonl", "windows.jsonl", "--out"),
        ("measures.jsonl --measures --out .", "measures.jsonl", "measures.jsonl", "--out"),
        ("measures.jsonl --out .", "measures.jsonl", "measures.jsonl", "--out"),
        ("./late.jsonl --out . --jobs 2", "late.jsonl", "./late.jsonl", "--out"),
        ("records.jsonl --key-file summary.json --out .", "summary.json", "summary.json", "--out"),
        ("records.jsonl --out linked", "linked/alerts.jsonl", "records.jsonl", "--out"),
        ("late.jsonl --out linked", "linked/shadow.jsonl", "late.jsonl", "--out"),
        ("records.jsonl --out out --metrics records.jsonl", "records.jsonl", "records.jsonl", "--metrics"),
        ("records.jsonl --out out --metrics linked/alerts.jsonl", "linked/alerts.jsonl", "records.jsonl", "--metrics"),
        ("none.csv --format map.yaml --out out --metrics map.yaml", "map.yaml", "map.yaml", "--metrics"),
        ("--format map.yaml=a.csv --out out --metrics map.yaml", "map.yaml", "map.yaml", "--metrics"),
        ("records.jsonl --out out --metrics callwarden.yaml", "callwarden.yaml", "callwarden.yaml", "--metrics"),
        ("--from-topics --bootstrap nowhere:1 --policy policy.json --out .", "policy.json", "policy.json", "--out"),
        (
            "--from-topics --bootstrap nowhere:1 --key-file summary.json --out o --metrics summary.json",
            *("summary.json", "summary.json", "--metrics"),
        ),
    ],
)
def test_a_run_that_would_replace_its_input_is_refused(
    inputs: Path, command: str, written: str, read: str, option: str
) -> None:
    before = sorted(inputs.rglob("*"))
    status, error = output(*command.split())
    assert status == 2, error
    assert error == (
        f"{written}: the command would overwrite or delete its input {read}, which is the same file; "
        f"choose another {option}\n"
    )
    assert {name: (inputs / name).read_bytes() for name in INPUTS} == INPUTS
    assert sorted(inputs.rglob("*")) == before


def test_the_file_behind_standard_input_is_an_input(inputs: Path) -> None:
    program = [sys.executable, "-m", "streams.cli", "replay", "-", "--out", "."]
    with (inputs / "late.jsonl").open("rb") as late:
        done = subprocess.run(program, stdin=late, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, "would overwrite or delete its input /dev/stdin" in done.stderr) == (2, True), done.stderr
    assert (inputs / "late.jsonl").read_bytes() == CALL


def test_outputs_of_an_earlier_run_and_devices_are_written_again(records: Path) -> None:
    out = records.parent / "out"
    words = (records, "--out", out, "--windows", "--measures", "--metrics")
    assert output(*words, out / "metrics.txt") == (0, "")
    assert {path.name for path in out.iterdir()} == {*FILES, "metrics.txt"}
    assert output(*words, out / "metrics.txt") == (0, "")
    assert output("/dev/null", *words, "/dev/null") == (0, "")


@pytest.mark.parametrize("written", ["enforcement.jsonl", "../out/windows.jsonl", "link"])
def test_metrics_are_never_written_over_another_output(records: Path, written: str) -> None:
    out = records.parent / "out"
    out.mkdir()
    (out / "link").symlink_to("alerts.jsonl")
    status, error = output(records, "--out", out, "--metrics", out / written)
    assert (status, error.count("\n")) == (2, 1)
    assert error.startswith(f"{out / written}: the command writes {out}/")
    assert [path.name for path in out.iterdir()] == ["link"]


def test_a_page_is_never_written_over_the_replay_that_it_shows(records: Path) -> None:
    out = records.parent / "out"
    assert output(records, "--out", out)[0] == 0
    before = (out / "alerts.jsonl").read_bytes()
    done = callwarden("report", out, "--out", out / "alerts.jsonl")
    assert (done.returncode, b"would overwrite or delete its input" in done.stderr) == (2, True)
    assert (out / "alerts.jsonl").read_bytes() == before


def test_a_replay_that_did_not_end_gives_no_report_of_two_runs(records: Path) -> None:
    """The windows are written during the run, so they would stand beside the decisions of the run before."""
    out, damaged = records.parent / "out", records.parent / "damaged.jsonl.gz"
    assert output(records, "--out", out, "--windows")[0] == 0
    damaged.write_bytes(gzip.compress(CALL * 50, mtime=0)[:40])
    assert output(damaged, "--out", out, "--windows")[0] == 1
    done = callwarden("report", out)
    assert (done.returncode, b"holds a replay that did not end" in done.stderr) == (2, True), done.stderr
    assert output(records, "--out", out, "--windows")[0] == 0
    assert callwarden("report", out).returncode == 0
