"""The processes of `callwarden live`: an unexpected exit is reported, and no process is left."""

import io
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from helpers.patience import PATIENCE_S
from streams.cli.develop.live import BESIDE, Board, Ended, LiveProcesses, environment
from streams.cli.develop.screen import Screen
from streams.dev import kafka_jars as kafkajars
from streams.runtime.child_process import ChildProcess
from streams.settings.load import NOT_SETTINGS, Settings, load, variable

# Ends on TERM, once another process has received TERM, too.
ENDS_AFTER = """
import os, pathlib, signal, sys, time
own, other = map(pathlib.Path, sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: own.touch())
os.write(1, b"up\\n")
while not (own.exists() and other.exists()):
    time.sleep(0.02)
"""
BOARD = Board(7070, "a secret of sixteen")


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def live(tmp_path: Path, screen: io.StringIO) -> LiveProcesses:
    lines = Screen(Console(file=screen, width=100))
    return LiveProcesses(lines, tmp_path / "logs", dict(os.environ), alerts=True, board=BOARD)


def test_a_command_that_fails_is_reported_with_its_output(live: LiveProcesses) -> None:
    with pytest.raises(Ended, match=r"(?s)`callwarden policy` has ended:.*no-such-file\.yaml"):
        live.once("policy", "check", "no-such-file.yaml")
    live.stop()


def test_commands_shut_down_in_reverse_order(live: LiveProcesses, screen: io.StringIO) -> None:
    live.once("--version")
    # Any commands that wait for the end of their input.
    live.start("replay", "-", "--out", "out")
    live.start("simulate", "--help")
    live.stop()
    assert re.findall(r"stopping (\w+)", screen.getvalue()) == ["simulate", "replay"]


def test_commands_shut_down_at_the_same_time(
    live: LiveProcesses, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("streams.cli.develop.live._STOP_S", PATIENCE_S)
    with (tmp_path / "output").open("wb") as output:
        for own, other in (("one", "two"), ("two", "one")):
            command = [sys.executable, "-c", ENDS_AFTER, str(tmp_path / own), str(tmp_path / other)]
            live._children[own] = ChildProcess(command, output)
    while (tmp_path / "output").read_text() != "up\nup\n":
        assert all(child.running for child in live._children.values())
        time.sleep(0.02)
    live.stop()


def test_the_first_fault_of_a_command_names_its_log(live: LiveProcesses, screen: io.StringIO, tmp_path: Path) -> None:
    for line in (b"12:00 [info     ] fine\n", *2 * [b"12:00 [error    ] Exception in ASGI application\n"]):
        live._log_line("ingest", line)
    fault = "ingest: 12:00 [error    ] Exception in ASGI application"
    place = f"ingest 的日志 / the log of ingest: {tmp_path / 'logs' / 'ingest.log'}"
    assert screen.getvalue().splitlines() == [fault, place, fault]


def test_the_commands_get_only_settings_that_exist_and_are_accepted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "policy.yaml").touch()
    (tmp_path / "sources.yaml").touch()
    output = environment("127.0.0.1:9092", tmp_path, 4, BOARD)
    known = {variable(field) for field in Settings.model_fields} | NOT_SETTINGS
    assert {name for name in output if name.startswith("CALLWARDEN")} <= known
    for name in known & output.keys():
        monkeypatch.setenv(name, output[name])
    settings = load()
    assert settings.policy == tmp_path / "policy.yaml"
    assert settings.outage_grace_ms == 1_000, "an installation without a feed of calls decides at once"
    assert settings.notify_webhook_url
    assert settings.notify_webhook_url.get_secret_value() == "http://127.0.0.1:7070/notices"


def test_each_consumer_stores_its_state_in_the_temporary_folder(tmp_path: Path) -> None:
    output = environment("127.0.0.1:9092", tmp_path, 4, BOARD)
    for name, *_ in BESIDE[2:]:
        assert output[f"CALLWARDEN_{name.upper()}_DATABASE"] == f"sqlite:///{tmp_path / name}.db"


def test_missing_jars_are_not_fetched_silently(tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.2\"' >&2\n")
    java.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "live", "--tools", str(tmp_path / "tools")],
        env={"PATH": str(java.parent)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.stdout.startswith(f"fetching Kafka {kafkajars.VERSION} into")
    assert (done.returncode, "there is no `mvn` on PATH" in done.stderr) == (3, True)
