"""A consumer whose disk is full says so where it is looked for, loses nothing, and continues once there is room."""

from collections.abc import Iterator
from contextlib import contextmanager
from sqlite3 import Connection
from types import SimpleNamespace
from typing import Any

import pytest
from recording_consumer import POSITIONS, store_records, stored_records
from running_follower import following, until
from sqlalchemy import event
from structlog.testing import capture_logs

from helpers.fake_topics import FakeTopics
from streams.console.pages.program_sentences import PROGRAM_SENTENCES
from streams.consumers.database import Database
from streams.consumers.follower import Follower, FollowerProgress
from streams.consumers.ledger import main as ledger
from streams.consumers.service import lag_reason
from streams.kafka.api import TransientError

pytestmark = pytest.mark.usefixtures("quick")

FULL = "database or disk is full"  # as SQLite says it


class Disk:
    """The disk of a database. Create it before the database is used: SQLAlchemy's listeners must not change while a
    thread connects.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._full = False
        event.listen(database._engine, "connect", self._connected)

    def _connected(self, connection: Connection, _: Any) -> None:
        if self._full:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages}")

    @contextmanager
    def full(self) -> Iterator[None]:
        """While this is open, the database's file cannot grow."""
        self._full = True
        self._database.forget()
        try:
            yield
        finally:
            self._full = False
            self._database.forget()


async def test_readiness_names_the_full_disk_and_no_record_is_lost(database: Database) -> None:
    topics, disk = FakeTopics(ours=1), Disk(database)
    topics.put("ours", 0, b"a")
    follower = Follower(topics, database, POSITIONS, ["ours"], store_records)
    async with following(follower):
        await until(lambda: follower.progress().as_of_s is not None)
        with disk.full():
            topics.put("ours", 0, b"v" * 500_000)
            said = f"; the last try failed: the database {database._shown}: {FULL}"
            await until(lambda: (lag_reason(follower, 0.0) or "").endswith(f"; 1 records left{said}"))
            in_chinese = PROGRAM_SENTENCES.in_chinese(f"is 42 s behind; 1 records left{said}")
            assert in_chinese == f"落后 42 秒；还有 1 条记录；上次尝试失败：“the database {database._shown}: {FULL}”"
            assert len(stored_records(database)) == 1
        await until(lambda: len(stored_records(database)) == 2)
        await until(lambda: follower.progress().failure is None)


async def test_a_ledger_without_new_records_logs_that_it_cannot_store_its_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Enough(Exception):
        pass

    async def slept(_: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            raise Enough

    async def cannot(_: object) -> None:
        raise TransientError(FULL)

    rounds = 0
    monkeypatch.setattr(ledger, "asyncio", SimpleNamespace(sleep=slept))
    follower: Any = SimpleNamespace(positions=dict, progress=lambda: FollowerProgress(None, {}))
    with capture_logs() as logs, pytest.raises(Enough):
        await ledger.keep_progress(SimpleNamespace(run=cannot), follower)  # type: ignore[arg-type]
    assert [(line["event"], line["why"]) for line in logs] == [("the progress cannot be stored", FULL)]
