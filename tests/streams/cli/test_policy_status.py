"""`callwarden policy status` prints what decisions wait for, and when no worker reports it."""

import time

import pytest
from typer.testing import CliRunner

from monitor.partition.journal import PolicyChange
from streams.cli import cluster_session as operator
from streams.cli.app import build
from streams.ops.control_client import CommandAnswers
from streams.topics.policy_log import LoggedPolicies
from streams.topics.reported_waits import ReportedWaits

WAITS = "partition 0: no calls arrive in any partition; if no calls are missing: callwarden end-outage --reason WHY"


def status(monkeypatch: pytest.MonkeyPatch, ticked_ms: int | None, waits: dict[int, list[str]]) -> list[str]:
    """The lines of its output for this clock log."""
    monkeypatch.setattr(operator, "operate", lambda *_: ({0: LoggedPolicies(0)}, ReportedWaits(ticked_ms, waits)))
    done = CliRunner().invoke(build("policy"), ["policy", "status"])
    assert done.exit_code == 0, done.output
    as_of, _, *lines = done.output.splitlines()
    assert as_of.startswith("as of 20")
    assert as_of.endswith("Z, 0 behind")
    return lines


def test_what_decisions_wait_for_is_printed_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    [line] = status(monkeypatch, time.time_ns() // 1_000_000, {0: [WAITS]})
    assert line.startswith("waiting, as of 20")
    assert line.endswith(f"Z: {WAITS}")


@pytest.mark.parametrize(
    ("ticked_ms", "said"),
    [(None, "no worker has written a tick (callwarden.clock): "), (1, "the newest tick is of 1970-01-01T00:00:00Z (")],
)
def test_a_missing_tick_is_reported(monkeypatch: pytest.MonkeyPatch, ticked_ms: int | None, said: str) -> None:
    [line] = status(monkeypatch, ticked_ms, {})
    assert line.startswith(said)
    assert line.endswith("`callwarden topics check` shows what is wrong with the topic")


@pytest.mark.parametrize(("wait", "status"), [("0", 0), ("1", 1)])
def test_a_command_that_does_not_wait_is_written_and_misses_no_answer(
    monkeypatch: pytest.MonkeyPatch, wait: str, status: int
) -> None:
    coming = PolicyChange(10, "ab", {"id": "house", "version": "1"})
    answers = iter([{0: LoggedPolicies(5, [coming])}, (CommandAnswers(silent=[0]), {})])
    monkeypatch.setattr(operator, "operate", lambda *_: next(answers))
    done = CliRunner().invoke(build("policy"), ["policy", "withdraw", "--reason", "r", "--yes", "--wait", wait])
    assert done.exit_code == status, done.output
    assert ("written for partition 0" in done.stdout) is (wait == "0")
    assert ("not taken within 1 s by partition 0" in done.stderr) is (wait == "1")
