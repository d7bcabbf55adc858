"""Handled records: each is reported once, whatever it contains and whatever fails."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from notification_samples import alert, decision
from notifier_harness import BEGAN_MS, FakeChannel, Notifier
from rules_harness import THROTTLE
from sqlalchemy import Connection, select
from sqlalchemy.exc import OperationalError

from helpers.fake_topics import FakeTopics
from helpers.patience import PATIENCE_S
from monitor.text.durations import DAY, HOUR
from schemas.outputs import Reason
from streams.consumers.data_loss import RecordsLost
from streams.consumers.database import Database
from streams.consumers.follower import FollowedRecord, Follower, FollowerHooks
from streams.consumers.notify import outbox
from streams.consumers.notify.messages.message import Message
from streams.consumers.notify.tables import METADATA, OUTBOX, PENDING, POSITIONS, REJECTED
from streams.kafka.api import TP, TransientError


async def test_the_migrations_make_the_tables_that_the_code_knows(database: Database) -> None:
    def differences(connection: Any) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"version_table": "notify_version"})
        return list(compare_metadata(context, METADATA))

    assert await database.run(differences) == []


async def test_records_before_the_first_start_are_read_and_not_sent(database: Database) -> None:
    fake = FakeChannel("one")
    notifier = Notifier(database, fake)
    await notifier.later()
    await notifier.take(
        decision("old", "ban", BEGAN_MS - DAY),
        decision("waits", "ban", BEGAN_MS - 5 * DAY, tenant="other", pending=True),
        written_ms=BEGAN_MS - DAY,
    )
    await notifier.later()
    assert fake.heard == []
    await notifier.take(decision("new", "reversal", notifier.now_ms, reverses="old", refunds="released"))
    await notifier.later()
    assert [m.id for m in fake.heard] == ["decision:new"]
    await notifier.later(DAY)
    assert fake.heard[1].what == "lapse_soon"
    assert fake.heard[1].refs == ("waits",)
    for _ in range(3):
        await notifier.later(HOUR)
    assert len(fake.heard) == 2, "two reminders that it lapses"


async def test_a_decision_that_is_written_twice_is_reported_once(database: Database) -> None:
    fake = FakeChannel("one")
    notifier = Notifier(database, fake)
    await notifier.later()
    for _ in range(2):
        await notifier.take(decision("d", "ban", BEGAN_MS), decision("r", "reversal", BEGAN_MS, reverses="d"))
        await notifier.later(DAY)
    assert [m.id for m in fake.heard] == ["decision:d", "decision:r"]


async def test_a_restart_loses_and_repeats_nothing(database: Database) -> None:
    fake = FakeChannel("one")
    await (first := Notifier(database, fake)).later()
    await first.take(alert("a", "firing", BEGAN_MS), decision("d", "ban", BEGAN_MS, tenant="other", pending=True))
    await first.later()
    second = Notifier(database, fake)
    second.now_ms = first.now_ms
    await second.later(THROTTLE.delay_ms)
    await second.take(alert("a", "resolved", second.now_ms))
    await second.take(decision("d", "ban", BEGAN_MS, tenant="other", pending=True))
    await second.later()
    assert [(m.what, m.standing) for m in fake.heard] == [("pending", "on"), ("alert", "on"), ("alert", "off")]


async def test_a_record_that_cannot_be_read_is_kept_by_its_place_and_stops_nothing(database: Database) -> None:
    fake = FakeChannel("one")
    notifier = Notifier(database, fake)
    await notifier.later()
    await notifier.take(b'{"type":"other","caller":"13800138000"}', decision("d", "ban", BEGAN_MS), b"\xff")
    await notifier.later()
    assert [m.id for m in fake.heard] == ["decision:d"]
    assert notifier.metric("callwarden_notify_rejected_total") == 2
    with database.reading() as connection:
        rows = connection.execute(select(REJECTED).order_by(REJECTED.c.offset)).all()
    assert [(row.topic, row.offset) for row in rows] == [("alerts", 0), ("alerts", 2)]
    assert "13800138000" not in str(rows)


async def test_rejected_and_lost_records_are_counted_once_committed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.consumers.follower.FIRST_S", 0.001)
    monkeypatch.setattr("streams.runtime.retry.FIRST_S", 0.001)
    notifier = Notifier(database, FakeChannel("one"))
    topics = FakeTopics(enforcement=1, alerts=1)
    topics.put("enforcement", 0, b"lost", b"one", b"another")
    topics.delete_before("enforcement", 0, 1)
    real, undone = Database.run, []

    async def undo_first(self: Database, work: Any) -> Any:
        def begun(connection: Connection) -> Any:
            result = work(connection)
            for table in (OUTBOX, REJECTED):
                if table not in undone and connection.execute(select(table)).first():
                    undone.append(table)
                    raise TransientError("the connection broke before the commit")
            return result

        return await real(self, begun)

    monkeypatch.setattr(Database, "run", undo_first)
    consumer = notifier.consumer
    follower = Follower(
        topics,
        database,
        POSITIONS,
        ["enforcement", "alerts"],
        consumer.handle,
        hooks=FollowerHooks(pass_over=consumer.lost),
    )
    task = asyncio.create_task(follower.run())
    async with asyncio.timeout(PATIENCE_S):
        while follower.progress().as_of_ms is None or any(follower.progress().behind.values()):
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])
    assert undone == [OUTBOX, REJECTED]
    assert notifier.metric("callwarden_notify_lost_total") == 1
    assert notifier.metric("callwarden_notify_rejected_total") == 2


async def test_no_unusual_record_stops_the_notifier(database: Database) -> None:
    fake = FakeChannel("one")
    notifier = Notifier(database, fake)
    await notifier.later()
    good = decision("p", "ban", BEGAN_MS, pending=True)
    late = [msgspec.structs.replace(good.data, review_by_ms=at_ms) for at_ms in (10**17, 10**20, -(10**17))]
    events = [msgspec.json.encode(msgspec.structs.replace(good, data=data)) for data in late]
    fires = alert("a", "firing", BEGAN_MS)
    times = [msgspec.structs.replace(fires, since_ms=10**20), msgspec.structs.replace(fires, updated_ms=10**20)]
    odd = [
        msgspec.json.encode(fires).replace(b"reason", b"\xff"),
        msgspec.json.encode(good).replace(b"the reason", b"\xff"),
        msgspec.json.encode(fires).replace(b'"measure"', b'"more":' + b"[" * 100_000 + b"]" * 100_000 + b',"measure"'),
        None,
    ]
    for topic, values in (("enforcement", [*events, *odd]), ("alerts", [*map(msgspec.json.encode, times), *odd])):
        rows = [FollowedRecord(TP(topic, 0), at, BEGAN_MS, None, value) for at, value in enumerate(values)]
        for _ in range(2):  # as after a topic was recreated
            await database.run(lambda connection, rows=rows: notifier.consumer.handle(connection, rows))  # type: ignore[misc]
        with database.reading() as connection:
            rejected = select(REJECTED.c.offset).where(REJECTED.c.topic == topic).order_by(REJECTED.c.offset)
            assert list(connection.execute(rejected).scalars()) == list(range(len(values)))
    await notifier.take(decision("d", "ban", BEGAN_MS))
    await notifier.later()
    assert [m.id for m in fake.heard] == ["decision:d"]


async def test_an_internal_error_in_one_record_skips_that_record(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeChannel("one")
    notifier = Notifier(database, fake)
    await notifier.later()
    real = outbox.enqueue

    def fault(connection: Any, messages: Sequence[Message], *rest: Any) -> None:
        real(connection, messages, *rest)
        if any(message.id == "decision:bad" for message in messages):
            raise KeyError("of ours")

    monkeypatch.setattr(outbox, "enqueue", fault)
    await notifier.take(
        decision("one", "warning", BEGAN_MS),
        decision("bad", "ban", BEGAN_MS, pending=True),
        decision("two", "termination", BEGAN_MS),
    )
    await notifier.later()
    assert [m.id for m in fake.heard] == ["decision:one", "decision:two"]
    assert "0 pending" in str(fake.heard[1].lines), "what was rejected has left a trace"
    with database.reading() as connection:
        assert connection.execute(select(PENDING)).all() == []
        [row] = connection.execute(select(REJECTED)).all()
    assert (row.topic, row.offset, row.reason) == ("enforcement", 1, "an unexpected error: KeyError")
    assert "a record could not be handled" in capsys.readouterr().out
    monkeypatch.undo()


async def test_a_database_that_goes_away_rejects_no_record(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    notifier = Notifier(database, FakeChannel("one"))
    await notifier.later()

    def away(*_: Any) -> None:
        raise OperationalError("", None, Exception("the connection is lost"))

    monkeypatch.setattr(outbox, "enqueue", away)
    with pytest.raises(TransientError):
        await notifier.take(decision("d", "ban", BEGAN_MS))
    with database.reading() as connection:
        assert connection.execute(select(REJECTED)).all() == []


async def test_deleted_records_are_reported(database: Database) -> None:
    fake = FakeChannel("one")
    notifier = Notifier(database, fake)
    gone = RecordsLost(TP("alerts", 3), 5, 9)
    (await database.run(lambda connection: notifier.consumer.lost(connection, gone)))()
    await notifier.later()
    assert [m.what for m in fake.heard] == ["records_lost"]
    assert (
        "alerts-3: the next record to handle is 5, but all records before 9 were deleted" in fake.heard[0].lines[0].en
    )
    assert "缺失：alerts-3：下一条要处理的记录是 5，但 9 之前的记录都已被删除" in fake.heard[0].lines[0].zh
    assert notifier.metric("callwarden_notify_lost_total") == 1


async def test_a_commit_with_unknown_outcome_sends_nothing_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.consumers.follower.FIRST_S", 0.001)
    monkeypatch.setattr("streams.runtime.retry.FIRST_S", 0.001)
    fake = FakeChannel("one")
    notifier = Notifier(database, fake)
    await notifier.later()
    topics = FakeTopics(enforcement=1, alerts=1)
    topics.now_ms = BEGAN_MS + HOUR
    events = [msgspec.json.encode(decision(f"d{n}", "ban", BEGAN_MS, tenant=f"t{n}")) for n in range(30)]
    topics.put("enforcement", 0, *events)
    real, failures = Database.run, iter([0, 0, 1, 0, 1, 1, 0, 0, 1, 1])

    async def sometimes(self: Database, work: Any) -> Any:
        result = await real(self, work)
        if next(failures, 0):
            raise TransientError("the connection broke after the commit")
        return result

    monkeypatch.setattr(Database, "run", sometimes)
    follower = Follower(
        topics, database, POSITIONS, ["enforcement", "alerts"], notifier.consumer.handle, from_end=["alerts"]
    )
    task = asyncio.create_task(follower.run())
    async with asyncio.timeout(PATIENCE_S):
        while follower.progress().as_of_ms is None or any(follower.progress().behind.values()):
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])
    assert next(failures, None) is None, "not every failure took place"
    await notifier.later()
    assert [m.id for m in fake.heard] == [f"decision:d{n}" for n in range(30)]
    assert json.loads(events[0])["id"] == "d0"


async def test_no_number_of_a_record_is_kept_in_the_clear(database: Database, tmp_path: Path) -> None:
    fake, number = FakeChannel("one"), "13912345678"
    notifier = Notifier(database, fake)
    await notifier.later()
    said = Reason(f"致电 {number}", f"called {number}")
    fires, decided = alert("a", "firing", BEGAN_MS), decision("d", "ban", BEGAN_MS, tenant="other", reason=said)
    await notifier.take(msgspec.structs.replace(fires, reason=said), decided, f'{{"callee":"{number}"}}'.encode())
    await notifier.later(THROTTLE.delay_ms)
    assert len(fake.heard) == 2
    database.close()
    assert not [path for path in tmp_path.iterdir() if number.encode() in path.read_bytes()]
