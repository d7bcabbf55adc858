"""The options of `callwarden` itself: its version, completion, and the groups of its help."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.cli import extensions
from streams.cli.app import GROUPS, build, main
from streams.kafka.fetch import native


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_that_of_the_package(option: str) -> None:
    done = CliRunner().invoke(build(None), [option])
    without = f" without the extensions {', '.join(unused)}" if (unused := extensions.missing()) else ""
    assert (done.exit_code, done.output) == (0, f"callwarden {version('callwarden')}{without}\n")


def test_the_version_says_which_extensions_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.decoding.native.enabled", False)
    monkeypatch.setattr(native, "enabled", True)
    shown = CliRunner().invoke(build(None), ["--version"]).output
    assert shown == f"callwarden {version('callwarden')} without the extensions monitor.decoding._calls\n"


@pytest.mark.parametrize("enabled", [True, False])
def test_a_replay_says_once_that_extensions_are_not_used(
    enabled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.decoding.native.enabled", enabled and native.built())
    (tmp_path / "calls.jsonl").touch()
    words = ["replay", str(tmp_path / "calls.jsonl"), "--out", str(tmp_path / "out")]
    said = CliRunner().invoke(build("replay"), words)
    assert said.exit_code == 0
    assert said.stderr.count("without extensions") == (0 if enabled and native.built() else 1)
    assert "without extensions" not in said.stdout
    assert "without extensions" not in CliRunner().invoke(build("replay"), [*words, "--quiet"]).output


async def ended(*_: object) -> None:
    """A worker that ends at once."""


def logged_by_a_worker(env: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """What a worker logs when it starts."""
    said = CliRunner().invoke(build("worker"), ["worker", "--bootstrap", "nowhere:1", "--json-logs"], env=env)
    assert said.exit_code == 0
    return [json.loads(line) for line in said.output.splitlines()]


@pytest.mark.parametrize("missing", [[], ["monitor.core._codec"]])
def test_a_worker_logs_that_extensions_are_not_used(missing: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extensions, "missing", lambda: missing)
    monkeypatch.setattr("streams.worker.main.run_worker", ended)
    lines = logged_by_a_worker()
    assert [line["missing"] for line in lines if "without extensions" in line["event"]] == [missing][: len(missing)]


def test_a_worker_logs_that_its_salt_is_public(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.worker.main.run_worker", ended)
    (tmp_path / "salt").write_text("a secret")
    warned = [line["set"] for line in logged_by_a_worker() if "public salt" in line["event"]]
    assert warned == ["CALLWARDEN_KEY_FILE"]
    assert "public salt" not in str(logged_by_a_worker({"CALLWARDEN_KEY_FILE": str(tmp_path / "salt")}))


def test_the_help_lists_every_command_in_the_group_of_its_users() -> None:
    shown = CliRunner().invoke(build(None), ["--help"]).output
    titles = [title for title, _ in GROUPS.values()]
    sections = {title: shown.partition(f"\n{title}:\n")[2].partition("\n\n")[0] for title in titles}
    for title, commands in GROUPS.values():
        listed = [line.split()[0] for line in sections[title].splitlines() if line[2:3] != " "]
        assert listed == list(commands)


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("callwarden dead", ["dead-letter"]),
        ("callwarden policy ch", ["check"]),
        ("callwarden --settings f.yaml reviews up", ["uphold"]),
        ("callwarden replay --max-r", ["--max-rejected"]),
    ],
)
def test_a_shell_completes_commands_their_subcommands_and_options(
    words: str, completions: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the chosen command is loaded, and the words typed so far determine it."""
    monkeypatch.setenv("_CALLWARDEN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    monkeypatch.setattr(sys, "argv", ["callwarden"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.split() == completions


def test_completion_is_installed_for_the_shell(tmp_path: Path) -> None:
    script = f"{Path(sys.executable).parent / 'callwarden'} --install-completion; true"
    done = subprocess.run(["bash", "-c", script], env={"HOME": str(tmp_path)}, capture_output=True, text=True)
    assert (done.returncode, "bash completion installed" in done.stdout) == (0, True), done.stderr
    assert "_CALLWARDEN_COMPLETE" in (tmp_path / ".bash_completions" / "callwarden.sh").read_text("utf-8")


@pytest.mark.skipif(os.cpu_count() == 1 or not Path("/proc/self/task").is_dir(), reason="needs Linux and two cores")
def test_a_command_has_no_threads_of_numpy(tmp_path: Path) -> None:
    (tmp_path / "calls.jsonl").touch()
    program = (
        "import atexit, os; atexit.register(lambda: print(*os.listdir('/proc/self/task')));"
        "from streams.cli.__main__ import main; main()"
    )
    words = ["replay", "-q", str(tmp_path / "calls.jsonl"), "--out", str(tmp_path / "out")]
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", program, *words], env=environment, capture_output=True, text=True)
    threads = done.stdout.splitlines()[-1].split()
    assert (done.returncode, len(threads)) == (0, 1)
