"""Heads are published once a day, in whichever process runs, to an append-only file and to the log."""

import asyncio
import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry, generate_latest

from helpers import warm_commands
from helpers.ledger_samples import address, filled, put, topics
from helpers.patience import PATIENCE_S
from oracle.ledger import DAY, T0, event, rows
from streams.consumers.database import Database
from streams.consumers.follower import FollowerProgress
from streams.consumers.ledger import main as service
from streams.consumers.ledger import published_heads as heads
from streams.consumers.ledger.main import LedgerMetrics, Publisher
from streams.consumers.ledger.published_heads import ChainHead
from streams.consumers.ledger.verify import last_verification
from streams.consumers.ledger.verify.chains import verify
from streams.consumers.ledger.verify.last_verification import Verification
from streams.kafka.api import TP
from streams.settings.load import SettingsError, load

PUBLISHED = "callwarden_ledger_heads_published_timestamp_seconds"
VERIFIED = "callwarden_ledger_verified_timestamp_seconds"


class Follower:
    """The part of a follower that a publisher uses."""

    def __init__(self) -> None:
        self.as_of_ms: int | None = None

    def progress(self) -> FollowerProgress:
        return FollowerProgress(self.as_of_ms, {})


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    held = topics(2)
    put(held, 1, event("a"), event("b"))
    database = await filled(address(tmp_path), held)
    yield database
    database.close()


def publisher(database: Database, path: Path | None, follower: Any = None) -> Publisher:
    settings = load({"ledger_heads": path and str(path)})
    return Publisher(database, follower or Follower(), settings, LedgerMetrics(CollectorRegistry(), ()))


async def test_heads_are_published_once_a_day_whichever_process_runs(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    first = publisher(database, path)
    with structlog.testing.capture_logs() as logs:
        await first.publish(T0 + DAY - 1)
        await first.publish(T0 + DAY)
        await first.publish(T0 + DAY + 1)
        await publisher(database, path).publish(T0 + 2 * DAY - 1)  # another process, or a start later that day
        await publisher(database, path).publish(T0 + 5 * DAY)  # no process ran for days
    lines = list(heads.read_heads_file(path))
    assert [line.day for line in lines] == ["2026-03-02", "2026-03-03", "2026-03-07"]
    newest = rows(database)[-1]
    assert {(h.topic, h.partition, h.number, h.hash) for line in lines for h in line.heads} == {
        ("out.enforcement", 1, 2, newest["hash"])
    }
    registry = CollectorRegistry()
    await Publisher(database, Follower(), load(), LedgerMetrics(registry, ())).publish(T0 + 5 * DAY + 7)  # type: ignore[arg-type]
    assert registry.get_sample_value(PUBLISHED) == (T0 + 5 * DAY) / 1000
    assert [line["heads"] for line in logs] == [[f"out.enforcement-1 2 {newest['hash']}"]] * 3


async def test_heads_that_could_not_be_written_are_published_later(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    one = publisher(database, path)
    path.mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        await one.publish(T0)
    path.rmdir()
    await one.publish(T0 + 1)
    assert [line.at_ms for line in heads.read_heads_file(path)] == [T0 + 1]


# Publishes a line where the file may grow by ten bytes alone.
ALMOST_FULL = """
import resource, sys
from pathlib import Path
from streams.consumers.ledger import published_heads as heads
path = Path(sys.argv[1])
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
try:
    heads.append(path, heads.HeadReport("2026-03-03", 2, ()))
except OSError:
    sys.exit(7)
"""


def test_a_full_disk_leaves_no_part_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    heads.append(path, heads.HeadReport("2026-03-02", 1, ()))
    before = path.read_bytes()
    assert warm_commands.script(ALMOST_FULL, str(path)).returncode == 7
    assert path.read_bytes() == before
    heads.append(path, heads.HeadReport("2026-03-03", 2, ()))
    assert [line.day for line in heads.read_heads_file(path)] == ["2026-03-02", "2026-03-03"]


async def test_an_empty_ledger_has_nothing_to_publish(tmp_path: Path) -> None:
    held = topics(1)
    database = await filled(address(tmp_path), held)
    path = tmp_path / "heads.jsonl"
    await publisher(database, path).publish(T0)
    assert not path.exists()
    database.close()
    put(held, 0, event("a"))
    database = await filled(address(tmp_path), held)
    await publisher(database, path).publish(T0)
    assert path.exists()
    database.close()


async def test_it_publishes_repeatedly_and_only_once_everything_is_stored(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_LOOK_S", 0.001)
    monkeypatch.setattr(service, "epoch_ms", lambda: T0)
    path, follower = tmp_path / "heads.jsonl", Follower()
    running = asyncio.create_task(publisher(database, path, follower).run())
    path.mkdir()  # a folder in its place
    with structlog.testing.capture_logs() as logs:
        await asyncio.sleep(0.05)
        assert logs == []
        follower.as_of_ms = T0 - 1  # yesterday; later records are unknown
        await asyncio.sleep(0.05)
        assert logs == []
        follower.as_of_ms = T0
        async with asyncio.timeout(PATIENCE_S):
            while not logs:
                await asyncio.sleep(0.001)
            path.rmdir()
            while not path.is_file():
                await asyncio.sleep(0.001)
    assert logs[0]["event"] == "the heads cannot be published; retrying"
    running.cancel()
    await asyncio.wait([running])
    assert len(list(heads.read_heads_file(path))) == 1


async def test_a_failing_publisher_ends_the_process_with_a_log_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: Publisher) -> None:
        raise RuntimeError("an unexpected error")

    monkeypatch.setattr(Publisher, "run", fail)
    given = {"ledger_database": address(tmp_path), "input_prefix": "in.", "output_prefix": "out."}
    settings = load(given).model_copy(update={"ledger_port": 0})
    with pytest.raises(RuntimeError, match="an unexpected error"):
        async with asyncio.timeout(PATIENCE_S):
            await service.run_ledger(settings, topics(1), lambda database: asyncio.sleep(3_600))


def test_what_the_metrics_show() -> None:
    registry = CollectorRegistry()
    meters = LedgerMetrics(registry, ["out.enforcement", "in.reviews"])
    meters.begin([heads.PublishedHead("in.reviews", 0, 5, 9, "0" * 64)])
    text = generate_latest(registry).decode()
    for topic in ("out.enforcement", "in.reviews"):
        assert f'callwarden_ledger_unreadable_total{{topic="{topic}"}} 0.0' in text
    assert 'callwarden_ledger_entries{partition="0",topic="in.reviews"} 5.0' in text
    meters.kept(TP("out.enforcement", 1), ChainHead(7, 9, b""), 2)
    meters.kept(TP("out.enforcement", 1), ChainHead(8, 12, b""), 0)
    text = generate_latest(registry).decode()
    assert 'callwarden_ledger_entries{partition="1",topic="out.enforcement"} 8.0' in text
    assert 'callwarden_ledger_unreadable_total{topic="out.enforcement"} 2.0' in text


def test_a_fault_names_the_option_as_the_command_has_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as output:
        load({"ledger_heads": str(tmp_path), "ledger_port": "none", "ledger_database": "mysql://x"})
    assert [fault.partition(":")[0] for fault in output.value.faults] == ["--database", "--port", "--heads"]


async def test_the_last_recorded_verification_is_shown(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_LOOK_S", 0.001)
    registry = CollectorRegistry()
    running = asyncio.create_task(service.show_verification(database, LedgerMetrics(registry, ())))
    await asyncio.sleep(0.02)
    assert registry.get_sample_value(VERIFIED) is None
    for differences in (2, 0):  # a later one replaces the one before
        with database.reading() as connection:
            found = verify(connection, {})
        entries = {tp: head.number for tp, head in found.heads.items()}
        done = Verification(T0, "ops", differences, False, entries)
        await database.run(partial(last_verification.note, done=done, heads=found.heads))
    async with asyncio.timeout(20):
        while registry.get_sample_value("callwarden_ledger_verified_differences") != 0:
            await asyncio.sleep(0.001)
    assert registry.get_sample_value(VERIFIED) == T0 / 1000
    chain = {"topic": "out.enforcement", "partition": "1"}
    assert registry.get_sample_value("callwarden_ledger_verified_entries", chain) == 2
    running.cancel()
    await asyncio.wait([running])


async def test_only_a_verification_with_record_is_noted(database: Database, tmp_path: Path) -> None:
    at = ("--database", address(tmp_path), "--json")
    # Port 9 refuses: no cluster is near, so how far behind the ledger is stays unknown.
    environment = os.environ | {"CALLWARDEN_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    verified = partial(warm_commands.callwarden, "ledger", "verify", environment=environment)
    assert (await asyncio.to_thread(verified, *at)).returncode == 0
    refused = await asyncio.to_thread(verified, "--by", "li", *at)
    assert (refused.returncode, refused.stderr.count(b"--by: expected only with --record")) == (2, 1)
    with database.reading() as connection:
        assert last_verification.last(connection) is None
    assert (await asyncio.to_thread(verified, "--record", "--by", "li", *at)).returncode == 0
    with database.reading() as connection:
        done = last_verification.last(connection)
    assert done is not None
    assert (done.by, done.differences, done.with_heads) == ("li", 0, False)
    assert done.entries == {TP("out.enforcement", 1): 2}
