"""A command that cannot start reports the reason in the form of its log: collectors of JSON lines receive it, too."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli.app import build

COMMANDS = ["worker", "billing", "follow", "ingest", "assemble", "ledger run", "notify"]
WRONG_SETTING = {"CALLWARDEN_PARTITIONS": "many"}


def run(command: str, *options: str, **environment: str) -> tuple[int, str]:
    words = command.split()
    done = CliRunner().invoke(build(words[0]), [*words, *options], env=environment)
    return done.exit_code, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_setting_is_one_json_line_where_the_log_is_json(command: str) -> None:
    for options, form in (((), "auto"), ((), "json"), (("--json-logs",), "text")):
        status, said = run(command, *options, CALLWARDEN_LOG_FORMAT=form, **WRONG_SETTING)
        assert status == 2
        line = json.loads(said)
        assert said.count("\n") == 1
        assert (line["level"], line["exit_status"]) == ("critical", 2)
        assert "CALLWARDEN_PARTITIONS" in line["error"]
        assert line["hint"]


@pytest.mark.parametrize("command", COMMANDS)
def test_with_a_text_log_it_is_a_sentence(command: str) -> None:
    status, said = run(command, CALLWARDEN_LOG_FORMAT="text", **WRONG_SETTING)
    assert status == 2
    assert said.startswith("CALLWARDEN_PARTITIONS")


def test_a_refusal_after_the_settings_is_one_too_and_names_a_valid_value() -> None:
    status, said = run("notify", "--json-logs")
    line = json.loads(said)
    assert (status, line["exit_status"]) == (2, 2)
    assert line["error"].startswith("callwarden notify: no notification channel is set, nothing will be sent; ")
    assert line["hint"].startswith("expected CALLWARDEN_NOTIFY_ALERTMANAGER_URLS")


def test_a_policy_that_is_not_there_is_one_too(tmp_path: Path) -> None:
    status, said = run("worker", "--json-logs", "--policy", str(tmp_path / "absent.yaml"))
    assert status == 2
    assert "absent.yaml" in json.loads(said)["error"]


def test_answers_on_a_terminal_stay_sentences(tmp_path: Path) -> None:
    status, said = run("notify", "--failed", CALLWARDEN_NOTIFY_DATABASE=f"sqlite:///{tmp_path / 'absent.db'}")
    assert status == 2
    assert not said.startswith("{")


def test_a_path_that_cannot_be_written_is_one_too(tmp_path: Path) -> None:
    code = (
        "import sys; from streams.cli import app; app.build = lambda _: (_ for _ in ()).throw(OSError(13, 'No', 'x'))"
    )
    for argument, wanted in (("worker", True), ("replay", False)):
        program = f"{code}; sys.argv = ['callwarden', '{argument}']; app.main()"
        environment = {**os.environ, "CALLWARDEN_LOG_FORMAT": "json"}
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
        assert done.returncode == 1, done.stderr
        assert done.stderr.startswith("{") is wanted


def test_a_service_command_whose_output_nobody_reads_ends_quietly() -> None:
    """As with `| head`: that is no unexpected error."""
    read, write = os.pipe()
    os.close(read)
    # Nothing listens there: answers come at once.
    receiver = {"CALLWARDEN_NOTIFY_WEBHOOK_URL": "http://127.0.0.1:1/", "CALLWARDEN_NOTIFY_WEBHOOK_SECRET": "s" * 32}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "streams.cli", "notify", "--test"],
            env={**os.environ, **receiver},
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
