"""`callwarden topics check` warns of sources that hold their calls as long as the policy waits."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from streams.cli import cluster_session
from streams.cli.app import build
from streams.kafka import admin
from streams.ops import control_client
from streams.topics import policy_log, state_inputs
from streams.topics.policy_log import LoggedPolicies

SOURCES = """
sources:
- {name: connect, format: amazon-connect, set: {settle: 10m}}
- {name: recorded, format: tccc, set: {settle: 9m}}
- {name: at-once, format: tccc}
- {name: events, format: telnyx}
- {name: slow, format: kamailio-acc, set: {ring_timeout: 11m}}
"""


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs the command on topics that are as they are without a cluster: there are none but the clock log."""

    async def returned(found: object) -> object:
        return found

    def operate(name: str, settings: object, look: Any) -> object:
        return asyncio.run(look(SimpleNamespace(questions=None)))

    topics = {"callwarden.clock": None}
    monkeypatch.setattr(cluster_session, "operate", operate)
    monkeypatch.setattr(state_inputs, "check_inputs", lambda *_: returned(None))
    monkeypatch.setattr(admin, "existing_topics", lambda *_: returned(topics))
    monkeypatch.setattr(control_client, "partition_count", lambda *_: returned(2))
    monkeypatch.setattr(
        policy_log, "logged_policies", lambda *_: returned({0: LoggedPolicies(0), 1: LoggedPolicies(0)})
    )
    monkeypatch.setattr("streams.kafka.topic_admin.find_mismatches", lambda *_: [])
    monkeypatch.setattr("streams.kafka.topic_admin.partitions_for", lambda *_: 2)
    monkeypatch.setattr("streams.cli.operate.topics._reported", lambda *_: returned(None))
    monkeypatch.setenv("CALLWARDEN_INGEST_SOURCES_FILE", str(tmp_path / "sources.yaml"))

    def run(sources: str) -> Result:
        (tmp_path / "sources.yaml").write_text(sources)
        return CliRunner().invoke(build("topics"), ["topics", "check"])

    return run


def test_a_source_that_holds_calls_as_long_as_the_policy_waits_is_named(check: Any) -> None:
    printed = check(SOURCES)
    assert printed.exit_code == 0, printed.output
    late = "its calls will be late: expected less than the policy's lateness of 10m, got"
    assert printed.stderr.splitlines() == [
        f"warning: source connect: {late} settle 10m",
        f"warning: source slow: {late} ring_timeout 11m",
    ]
    assert "are configured correctly, with 2 partitions" in printed.stdout


def test_sources_that_hold_calls_for_less_are_not(check: Any) -> None:
    assert check(SOURCES.replace("10m", "599s").replace("11m", "3m")).stderr == ""


def test_a_faulty_sources_file_does_not_hide_the_topics(check: Any) -> None:
    printed = check("sources: [{name: a, format: tccc, set: {settle: soon}}]")
    assert printed.exit_code == 0
    assert printed.stderr.startswith("warning: tccc.yaml:")
    assert "are configured correctly" in printed.stdout
