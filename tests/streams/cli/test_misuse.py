"""Common mistakes are reported in a sentence that names a valid value, with an exit status and without a traceback."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from helpers.patience import PATIENCE_S
from helpers.warm_commands import callwarden
from monitor.simulate.run import simulate
from monitor.simulate.settings import SimulationSettings
from streams.consumers.database import Database

CALLWARDEN = str(Path(sys.executable).parent / "callwarden")
HOUSE = "id: house\nversion: '1'\n"


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with simulated records."""
    made = tmp_path_factory.mktemp("simulated")
    simulate(SimulationSettings(tenants=4, days=1, seed=1, calls_per_day=40), made)
    return made


@pytest.fixture
def folder(simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of records, a file of random bytes, a policy, and a subfolder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(simulated, tmp_path, dirs_exist_ok=True)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00bad\n")
    (tmp_path / "house.yaml").write_text(HOUSE)
    (tmp_path / "folder").mkdir()
    return tmp_path


def output(*arguments: str | bytes) -> tuple[int, str]:
    """The exit status, and standard error without the usage."""
    done = callwarden(*arguments)
    error = done.stderr.decode(errors="replace")
    assert "Traceback" not in error
    return done.returncode, error


REPLAY = "replay records.jsonl --out out"
YEARS = "expected a time in the years 1990 to 2099; epoch times are in milliseconds"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        # Files of another kind.
        (f"{REPLAY} --format ftc-dnc", "ftc-dnc:1:1: the header"),
        (f"{REPLAY} --format ftc-dnc --jobs 2", "ftc-dnc:1:1: the header"),
        (f"{REPLAY} --format bank-calls", "bank-calls:1:1: the file"),
        ("policy preflight records.jsonl --format ftc-dnc", "ftc-dnc:1:1: the header"),
        ("backtest records.jsonl --against house.yaml --format ftc-dnc", "ftc-dnc:1:1: the header"),
        ("backtest nope --against house.yaml", "nope: no such file"),
        ("backtest records.jsonl --against house.yaml --labels folder", "backtest: folder: is a directory"),
        ("map check nope --format tccc", "nope: no such file"),
        ("map check folder --format tccc", "folder: is a directory"),
        ("schema metrics bytes", "bytes: expected a UTF-8 page such as docs/reference/metrics.md"),
        ("report folder", "folder: holds no enforcement.jsonl"),
        (
            "ledger verify --database sqlite:///bytes",
            "sqlite:///bytes: the file is not an SQLite database; expected one of",
        ),
        (
            "ledger run --database sqlite:///bytes",
            "sqlite:///bytes: the file is not an SQLite database; expected one of",
        ),
        (
            "ledger run --database sqlite:///nope/ledger.db",
            "there is no folder nope; expected an existing one",
        ),
        (
            "ledger verify --database sqlite:///folder",
            "sqlite:///folder: the path is a folder; expected a file in it",
        ),
        # Empty names, as from an unset variable.
        ("replay records.jsonl --out=", "'--out' / '-o': it is empty; expected a name, or . for the current folder"),
        ("simulate --out=", "'--out' / '-o': it is empty"),
        ("demo --out=", "'--out' / '-o': it is empty"),
        ("report folder --out=", "it is empty"),
        # Times.
        (f"{REPLAY} --until 99999999999999999999999", f"--until 99999999999999999999999: {YEARS}"),
        (f"{REPLAY} --until 4102444800000000", f"--until 4102444800000000: {YEARS}"),
        (f"{REPLAY} --enforce-from 2100-01-01T00:00:00Z", f"--enforce-from 2100-01-01T00:00:00Z: {YEARS}"),
        (f"{REPLAY} --not-after 1772553788", f"--not-after 1772553788: {YEARS}"),
        (f"{REPLAY} --enforce-from -5", f"--enforce-from -5: {YEARS}"),
        (
            "reviews list --from 2026-03-02T00:00Z --to 2026-03-01T00:00Z",
            "2026-03-01T00:00Z: expected a time after --from",
        ),
        (
            "reviews overturn --rule r --from 1772409600000 --to 1772409600000 --reason r",
            "--to 1772409600000: expected a time after --from 1772409600000",
        ),
        ("reviews list --to 99999999999999999999", f"--to 99999999999999999999: {YEARS}"),
        # Numbers.
        (
            "simulate --out s --tenants 999999999999",
            "Invalid value for '--tenants': 999999999999 is not allowed; expected a whole number from 1 to 1,000,000",
        ),
        (f"demo --tenants {10**20}", "is not allowed; expected a whole number from 1 to 1,000,000"),
        ("simulate --out s --days soon", "'--days': 'soon' is not allowed; expected a whole number from 1 to 400"),
        (f"{REPLAY} --shards 0", "'--shards': 0 is not allowed; expected a whole number from 1 to 64"),
        ("simulate --out s --seed 1.5", "'--seed': '1.5' is not allowed; expected a whole number"),
        ("simulate --out s --late-share x", "'--late-share': 'x' is not allowed; expected a number"),
        ("end-outage --reason r --wait -1", "'--wait': -1.0 is not allowed; expected a number of at least 0"),
        ("end-outage --reason r --wait nan", "'--wait': nan is not allowed; expected a number of at least 0"),
        ("end-outage --reason r --wait inf", "'--wait': inf is not"),
        ("simulate --out s --calls-per-day inf", "calls per day is inf, expected more than 0, at most 1,000,000,000"),
        (
            "simulate --out s --lateness inf",
            "--lateness: expected a duration such as `90s`, `5m`, `24h` or `30d`, got `inf`",
        ),
        ("simulate --out s --lateness 10", "did you mean `10s`?"),
        ("traffic --rate inf", "calls per day is inf"),
        # Missing values.
        ("skip --topic callwarden.cdr --partition 0 --offset 0 --reason=", "--reason: expected a reason; it is stored"),
        ("end-outage --reason=", "--reason: expected a reason; it is stored"),
        ("accept lost-state --partition 0 --offset 0 --reason=", "--reason: expected a reason; it is stored"),
        ("ledger accept-loss --reason=", "--reason: expected a reason; it is stored"),
        ("reviews uphold x --reason=", "--reason: expected a reason; it is stored"),
        ("reviews overturn x --reason=", "--reason: expected a reason; it is stored"),
        ("reviews uphold x --reason=r --by=", "--by: expected a name"),
        ("end-outage --reason=r --by=", "--by: expected a name"),
        # Standard input.
        ("replay - - --out out", "-: standard input can be read once; expected it once"),
    ],
)
def test_a_mistake_is_reported_in_a_sentence(folder: Path, command: str, says: str) -> None:
    status, error = output(*command.split())
    assert status == 2, error
    assert says in error


@pytest.mark.parametrize("end", ["2100-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999999999999"])
def test_an_end_after_all_records_is_accepted(folder: Path, end: str) -> None:
    """The last window of 2099 ends as 2100 begins."""
    status, error = output(*REPLAY.split(), "--until", end, "--not-after", end)
    assert status == 0, error


def test_no_number_of_a_file_is_in_a_message_about_its_header(folder: Path) -> None:
    (folder / "calls.csv").write_text("13912345678,name\n")
    for name in ("ftc-dnc", "bank-calls"):
        status, error = output("replay", "calls.csv", "--out", "out", "--format", name)
        assert status == 2
        assert "13912345678" not in error
        assert "•78,name" in error


def test_invalid_text_is_reported_and_a_file_may_have_any_name(folder: Path) -> None:
    ledger = Database(f"sqlite:///{folder / 'ledger.db'}", "ledger")
    asyncio.run(ledger.migrate())
    ledger.close()
    command = ("ledger", "show", "--database", f"sqlite:///{folder / 'ledger.db'}")
    assert output(*command, b"\xff\xfe") == (2, "'\\udcff\\udcfe': expected UTF-8 text\n")
    os.symlink("records.jsonl", b"\xff.jsonl")
    status, error = output("replay", b"\xff.jsonl", "--out", "out", "--quiet")
    assert status == 0, error


def test_a_closed_standard_input_is_reported(folder: Path) -> None:
    done = subprocess.run(["sh", "-c", f"{CALLWARDEN} replay - --out out <&-"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "-: standard input is closed\n")


@pytest.mark.parametrize(
    "command", ["policy explain acme", "policy show", "settings", "map show tccc", "schema export --out out"]
)
def test_a_closed_output_pipe_ends_the_command_silently(folder: Path, command: str) -> None:
    # What is written at once cannot fail at the end of Python.
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    run = ["sh", "-c", f"{CALLWARDEN} {command} | true"]
    done = subprocess.run(run, env=buffered, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_a_page_that_cannot_be_written_is_named_and_leaves_no_file(folder: Path) -> None:
    assert output("replay", "records.jsonl", "--out", "out", "--quiet")[0] == 0
    assert output("report", "out", "--out", "folder") == (2, "folder: is a directory\n")
    assert sorted(path.name for path in folder.glob(".*")) == []


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_at_a_terminal_ends_a_replay_without_a_traceback(folder: Path, jobs: str) -> None:
    """A terminal sends the signal to the whole process group."""
    fifo = folder / "endless"
    os.mkfifo(fifo)
    command = [CALLWARDEN, "replay", "endless", "--out", "out", "--jobs", jobs]
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as replay,
        fifo.open("wb") as pipe,  # the command has begun to read
    ):
        try:
            pipe.write((folder / "records.jsonl").read_bytes() * 20)
            pipe.flush()
            until = time.monotonic() + PATIENCE_S
            while _children_of(replay.pid) < int(jobs) - 1:
                assert time.monotonic() < until
                time.sleep(0.1)
            os.killpg(replay.pid, signal.SIGINT)
            os.set_blocking(pipe.fileno(), False)
            while replay.poll() is None:
                # Python handles a signal that comes right before a call of the system when that call returns.
                with suppress(BlockingIOError, BrokenPipeError):
                    os.write(pipe.fileno(), b"\n")
                assert time.monotonic() < until
                time.sleep(0.05)
            assert replay.stderr is not None
            error = replay.stderr.read()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(replay.pid, signal.SIGKILL)
    assert replay.returncode == 130
    assert "Traceback" not in error


def _children_of(process: int) -> int:
    found = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True, check=False)
    return len(found.stdout.split())


@pytest.mark.parametrize("encoding", ["latin-1", "gbk"])
def test_a_terminal_without_chinese_ends_no_command(encoding: str) -> None:
    command = [sys.executable, "-m", "streams.cli", "policy", "explain", "short-calls-day"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=PATIENCE_S, check=False)
    zh = "次违规".encode(encoding, "backslashreplace")
    assert (done.returncode, done.stderr, zh in done.stdout) == (0, b"", True)
