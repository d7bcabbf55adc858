"""`callwarden topics check` says what decisions wait for, until when, and that no worker runs while records wait."""

import pytest
from typer.testing import CliRunner

from streams.cli import cluster_session
from streams.cli.app import build
from streams.kafka import admin, topic_admin
from streams.topics import reported_waits, state_inputs
from streams.topics.reported_waits import STALE_MS, ReportedWaits

NOW = 1_795_000_000_000
WAITS = "partition 0: no calls arrive in any partition; if no calls are missing: callwarden end-outage --reason WHY"


def check(monkeypatch: pytest.MonkeyPatch, reported: ReportedWaits, records: int) -> list[str]:
    class Cluster:
        questions = None

        async def partitions(self, topics: list[str]) -> dict[str, int]:
            return dict.fromkeys(topics, 1)

        async def starts(self, tps: list[object]) -> dict[object, int]:
            return dict.fromkeys(tps, 0)

        async def ends(self, tps: list[object]) -> dict[object, int]:
            return dict.fromkeys(tps, records)

    async def nothing(*_: object) -> None:
        return None

    async def read(*_: object) -> ReportedWaits:
        return reported

    def operate(_: str, __: object, work: object) -> object:
        import asyncio

        return asyncio.run(work(Cluster()))  # type: ignore[operator]

    monkeypatch.setattr(cluster_session, "operate", operate)
    monkeypatch.setattr(cluster_session, "epoch_ms", lambda: NOW)
    monkeypatch.setattr(state_inputs, "check_inputs", nothing)
    monkeypatch.setattr(admin, "existing_topics", nothing)
    monkeypatch.setattr(topic_admin, "find_mismatches", lambda *_: [])
    monkeypatch.setattr(topic_admin, "partitions_for", lambda *_: 8)
    monkeypatch.setattr(reported_waits.TickReader, "read", read)
    done = CliRunner().invoke(build("topics"), ["topics", "check"])
    assert done.exit_code == 0, done.output
    correct, *lines = done.output.splitlines()
    assert correct.endswith("topics are configured correctly, with 8 partitions")
    return lines


def test_what_decisions_wait_for_is_printed_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    [line] = check(monkeypatch, ReportedWaits(NOW, {0: [WAITS]}), 1)
    assert line.startswith("waiting, as of 20")
    assert line.endswith(f"Z: {WAITS}")
    assert check(monkeypatch, ReportedWaits(NOW - STALE_MS), 1) == []


def test_old_ticks_are_not_taken_for_a_running_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    waits, line = check(monkeypatch, ReportedWaits(NOW - STALE_MS - 1, {0: [WAITS]}), 1)
    assert waits.endswith(f"Z: {WAITS}")
    assert line.startswith("the newest tick is of 20")
    assert "no worker is running" in line


def test_records_without_a_worker_are_named_and_an_empty_installation_is_correct(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [line] = check(monkeypatch, ReportedWaits(), 1)
    assert line.startswith("no worker has written a tick (callwarden.clock): no worker is running")
    assert line.endswith("Nothing is decided until one runs: callwarden worker")
    assert check(monkeypatch, ReportedWaits(), 0) == []
