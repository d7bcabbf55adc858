"""The commands on a cluster report an error in one line, and exit with the status that the contract names."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import warm_commands
from streams.cli.cluster_session import signed


def callwarden(*arguments: str, **environment: str) -> tuple[int, str]:
    """The exit status, and standard error."""
    done = warm_commands.callwarden(*arguments, environment=os.environ | environment)
    return done.returncode, done.stderr.decode()


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address on which nothing listens and nothing else can."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def test_an_operator_s_words_are_masked_before_they_are_written_anywhere() -> None:
    printed = signed("ask 13912345678", "wang 13912345678")
    assert (printed["reason"], printed["by"]) == ("ask •••••••••78", "wang •••••••••78")


@pytest.mark.parametrize(
    "command",
    [
        ("replay", "--from-topics", "--out", "out"),
        ("dead-letter", "list"),
        ("dead-letter", "retry", "--all"),
        ("skip", "--topic", "callwarden.cdr", "--partition", "0", "--offset", "1", "--reason", "r"),
        ("accept", "lost-state", "--partition", "0", "--offset", "1", "--reason", "r"),
        ("end-outage", "--reason", "r"),
        ("policy", "apply", "deploy/policy.yaml", "--dry-run"),
        ("policy", "status"),
        ("policy", "withdraw", "--reason", "r"),
        ("topics", "create"),
        ("topics", "check"),
        ("state", "export", "--out", "never-made.zst"),
        ("state", "move", "--to-input-prefix", "n.", "--to-output-prefix", "n.", "--to-application-id", "n"),
        ("audit",),
        ("compare", "callwarden.", "canary."),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_broker_that_is_away_is_status_3_and_one_line(command: tuple[str, ...], nobody: str) -> None:
    status, said = callwarden(*command, CALLWARDEN_BOOTSTRAP_SERVERS=nobody, PYTHONWARNINGS="always::RuntimeWarning")
    assert status == 3, said
    assert len(said.splitlines()) == 1
    assert nobody in said


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--out", "out"], "no records: expected FILE..., or --from-topics"),
        (["a.jsonl", "--from-topics", "--out", "out"], "FILE: not with --from-topics"),
        (["--from-topics", "--windows", "--jobs", "2", "--out", "out"], "--windows, --jobs: not with --from-topics"),
        (["a.jsonl", "--to-watermark", "--out", "out"], "--to-watermark: only with --from-topics"),
        (["--from-topics", "--switch", "1=a", "--out", "out"], "--switch: not with --from-topics"),
        (["a.jsonl", "--switch", "noon", "--out", "out"], "--switch noon: expected TIME=FILE"),
        (
            ["a.jsonl", "--switch", "1772409600001=deploy/policy.yaml", "--out", "out"],
            "--switch 1772409600001: expected a multiple of five minutes, at which panes end",
        ),
        (
            ["a.jsonl", "--switch", "0=deploy/policy.yaml", "--out", "out"],
            "--switch 0: expected a later time than 0",
        ),
    ],
)
def test_options_that_do_not_go_together_are_named(arguments: list[str], wanted: str) -> None:
    assert callwarden("replay", *arguments) == (2, wanted + "\n")


@pytest.mark.parametrize(
    ("command", "right"),
    [
        (("ledger", "show", "-5a"), "No such option: -5; expected `--` before an argument that begins with a dash"),
        (("topics", "check", "-5"), "No such option: -5"),
    ],
)
def test_an_argument_that_begins_like_an_option_is_reported_with_what_is_expected(
    command: tuple[str, ...], right: str
) -> None:
    status, said = callwarden(*command)
    assert status == 2
    assert said.endswith(f"{right}\n")


def test_an_id_that_begins_like_an_option_is_taken_behind_two_dashes(tmp_path: Path) -> None:
    status, said = callwarden("ledger", "show", "--database", f"sqlite:///{tmp_path}/none.db", "--", "-5a")
    assert (status, "contains no ledger" in said) == (2, True)


def test_an_export_into_a_folder_that_is_missing_names_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "missing"
    printed = callwarden("state", "export", "--out", str(folder / "export"))
    assert printed == (2, f"{folder}: expected an existing folder\n")


def test_an_export_to_a_folder_that_is_not_there_makes_no_file_of_its_name(tmp_path: Path, nobody: str) -> None:
    folder = tmp_path / "backup"
    wanted = "expected an existing folder, or the name of a file that ends in .zst"
    assert callwarden("state", "export", "--out", str(folder), "--bootstrap", nobody) == (2, f"{folder}: {wanted}\n")
    assert not folder.exists()


def test_a_policy_with_a_fault_is_not_applied(tmp_path: Path) -> None:
    file = tmp_path / "house.yaml"
    file.write_text("id: house\nversion: 1\n")
    status, said = callwarden("policy", "apply", str(file), "--reason", "r")
    assert status == 2
    assert said.startswith(f"{file}:2:10: ")


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("skip", "--topic", "callwarden.cdr", "--partition", "0", "--offset", "1"), "--reason"),
        (("end-outage",), "--by"),
        (("policy", "withdraw"), "--reason"),
        (("policy", "apply", "deploy/policy.yaml"), "--reason"),
    ],
)
def test_words_that_a_worker_would_refuse_are_not_sent(command: tuple[str, ...], option: str, nobody: str) -> None:
    words = {"--reason": "why", "--by": "ann", option: "x" * 4_097}
    status, said = callwarden(*command, *(word for pair in words.items() for word in pair), "--bootstrap", nobody)
    assert (status, said) == (2, f"{option}: expected at most 4,096 characters, got 4,097\n")


def test_a_policy_is_not_withdrawn_with_an_empty_reason(nobody: str) -> None:
    wanted = "--reason: expected a reason; it is stored\n"
    assert callwarden("policy", "withdraw", "--reason", "", "--bootstrap", nobody) == (2, wanted)


def test_a_policy_is_not_applied_without_a_reason_and_without_a_prompt(nobody: str) -> None:
    wanted = "--reason: expected a reason; it is stored\n"
    assert callwarden("policy", "apply", "deploy/policy.yaml", "--bootstrap", nobody) == (2, wanted)


def test_a_setting_that_is_wrong_is_status_2() -> None:
    wanted = "--bootstrap: `here` is not a server; expected HOST:PORT, several separated by commas\n"
    assert callwarden("end-outage", "--reason", "r", "--bootstrap", "here") == (2, wanted)
