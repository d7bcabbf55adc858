"""From the topics to the receivers through the database: what is told once, by each channel apart, whatever fails."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from fake_topics import FakeTopics
from notices import alert, decision
from office import MANNERS, POLICY
from pydantic import SecretStr
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import OperationalError

from monitor.policy.durations import DAY, HOUR, MINUTE
from monitor.policy.model import Policy
from schemas.outputs import Reason
from streams.cluster import TP, Unavailable
from streams.consumers.database import Database
from streams.consumers.follow import Follower, Record
from streams.consumers.gone import Gone
from streams.consumers.notify import outbox, tenants
from streams.consumers.notify.channels import Alertmanager, Channel, Failed
from streams.consumers.notify.consumer import Consumer
from streams.consumers.notify.desk import Desk
from streams.consumers.notify.message import Message
from streams.consumers.notify.sender import Sender
from streams.consumers.notify.serve import watch
from streams.consumers.notify.tables import METADATA, OUTBOX, PENDING, POSITIONS, REJECTED, SILENT
from streams.consumers.notify.telemetry import Telemetry
from streams.metrics.catalogue import CATALOGUE

BEGAN_MS = 1_772_409_600_000


class Ear:
    """A channel that hears all, unless it is told to fail."""

    at_once = 1

    def __init__(self, name: str, per_minute: int | None = None) -> None:
        self.name, self.per_minute = name, per_minute
        self.heard: list[Message] = []
        self.failing: Failed | None = None
        self.refuses: set[str] = set()

    async def send(self, messages: Sequence[Message], since_ms: Sequence[int]) -> str:
        if self.failing is not None:
            raise self.failing
        if any(message.id in self.refuses for message in messages):
            raise Failed("it does not like it", message_alone=True)
        self.heard += messages
        return "ok"


class Notifier:
    """All of it, with a clock of its own and ears instead of receivers."""

    def __init__(self, database: Database, *ears: Channel, policy: Policy = POLICY) -> None:
        self.database, self.now_ms = database, BEGAN_MS
        names = [ear.name for ear in ears]
        self.telemetry = Telemetry(names, lambda: self.now_ms)
        self.consumer = Consumer(
            Desk(policy, MANNERS), MANNERS, names, "enforcement", lambda: self.now_ms, self.telemetry
        )
        self.elapsed_s = 0.0
        self.senders = [
            Sender(ear, database, lambda: self.now_ms, self.telemetry, lambda: self.elapsed_s) for ear in ears
        ]
        self.offset = 0

    async def take(self, *records: Any, written_ms: int | None = None) -> None:
        """Records out of the topics, written just now unless it is said."""
        rows = []
        for record in records:
            topic = "enforcement" if hasattr(record, "subject") else "alerts"
            value = record if isinstance(record, bytes) else msgspec.json.encode(record)
            rows.append(Record(TP(topic, 0), self.offset, written_ms or self.now_ms, None, value))
            self.offset += 1
        (await self.database.run(lambda connection: self.consumer.handle(connection, rows)))()

    async def later(self, ms: int = 1000) -> None:
        """Time goes on, and all do what they do."""
        self.now_ms += ms
        self.elapsed_s += ms / 1000
        await self.database.run(self.consumer.tick)
        for sender in self.senders:
            await sender.step()

    def metric(self, name: str, **labels: str) -> float | None:
        return self.telemetry.registry.get_sample_value(name, labels)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'notify.db'}", "notify")
    await database.migrate()
    yield database
    database.close()


async def test_the_metrics_are_those_of_the_catalogue(database: Database) -> None:
    notifier = Notifier(database, Ear("one"))
    families = {f"{m.name}_total" if m.type == "counter" else m.name for m in notifier.telemetry.registry.collect()}
    assert families == {entry.name for entry in CATALOGUE if entry.by == ("notify",)}


async def test_the_migrations_make_the_tables_that_the_code_knows(database: Database) -> None:
    def differences(connection: Any) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"version_table": "notify_version"})
        return list(compare_metadata(context, METADATA))

    assert await database.run(differences) == []


async def test_what_was_written_before_the_first_start_is_known_and_not_told(database: Database) -> None:
    ear = Ear("one")
    notifier = Notifier(database, ear)
    await notifier.later()
    await notifier.take(
        decision("old", "ban", BEGAN_MS - DAY),
        decision("waits", "ban", BEGAN_MS - 5 * DAY, tenant="other", pending=True),
        written_ms=BEGAN_MS - DAY,
    )
    await notifier.later()
    assert ear.heard == []
    await notifier.take(decision("new", "reversal", notifier.now_ms, reverses="old", refunds="released"))
    await notifier.later()
    assert [m.id for m in ear.heard] == ["decision:new"]
    await notifier.later(DAY)
    assert ear.heard[1].what == "lapse_soon"
    assert ear.heard[1].refs == ("waits",)
    for _ in range(3):
        await notifier.later(HOUR)
    assert len(ear.heard) == 2, "told twice that it lapses"


async def test_while_the_topics_are_still_read_nothing_is_said_to_be_due(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.consumers.notify.serve._TICK_S", 0.001)
    notifier = Notifier(database, Ear("one"))
    await notifier.later()
    lapses_ms = BEGAN_MS + 7 * DAY
    await notifier.take(
        alert("a", "firing", BEGAN_MS),
        alert("b", "firing", BEGAN_MS, tenant="other"),
        decision("p", "ban", BEGAN_MS, tenant="third", pending=True, review_by_ms=lapses_ms),
        decision("q", "ban", BEGAN_MS, tenant="fourth", pending=True, review_by_ms=lapses_ms),
    )
    notifier.now_ms = lapses_ms - HOUR
    current, looks = False, 0

    def is_current() -> bool:
        nonlocal looks
        looks += 1
        return current

    async def looked() -> set[tuple[str, ...]]:
        seen = looks
        async with asyncio.timeout(20):
            while looks < seen + 3:
                await asyncio.sleep(0.001)
        waiting = await database.run(lambda connection: outbox.waiting(connection, "one", notifier.now_ms, 100))
        return {(each.message.what, *each.message.refs) for each in waiting}

    known = {("pending", "p"), ("pending", "q")}
    task = asyncio.create_task(watch(database, notifier.consumer, notifier.telemetry, ["one"], is_current))
    assert await looked() == known
    await notifier.take(
        alert("a", "resolved", BEGAN_MS), decision("r", "reversal", BEGAN_MS, tenant="third", reverses="p")
    )
    known.add(("reversal", "r"))
    assert await looked() == known
    current = True
    assert await looked() == known | {("alert", "b"), ("lapse_soon", "q")}
    task.cancel()
    await asyncio.wait([task])


async def test_a_decision_that_is_written_twice_is_told_once(database: Database) -> None:
    ear = Ear("one")
    notifier = Notifier(database, ear)
    await notifier.later()
    for _ in range(2):
        await notifier.take(decision("d", "ban", BEGAN_MS), decision("r", "reversal", BEGAN_MS, reverses="d"))
        await notifier.later(DAY)
    assert [m.id for m in ear.heard] == ["decision:d", "decision:r"]


async def test_a_restart_forgets_nothing_and_tells_nothing_again(database: Database) -> None:
    ear = Ear("one")
    await (first := Notifier(database, ear)).later()
    await first.take(alert("a", "firing", BEGAN_MS), decision("d", "ban", BEGAN_MS, tenant="other", pending=True))
    await first.later()
    second = Notifier(database, ear)
    second.now_ms = first.now_ms
    await second.later(MANNERS.delay_ms)
    await second.take(alert("a", "resolved", second.now_ms))
    await second.take(decision("d", "ban", BEGAN_MS, tenant="other", pending=True))
    await second.later()
    assert [(m.what, m.standing) for m in ear.heard] == [("pending", "on"), ("alert", "on"), ("alert", "off")]


async def test_a_dead_channel_holds_no_other_up_and_delivers_all_when_it_is_well(database: Database) -> None:
    dead, well = Ear("dead"), Ear("well")
    dead.failing = Failed("no connection")
    notifier = Notifier(database, dead, well)
    await notifier.later()
    for n in range(20):
        await notifier.take(decision(f"d{n}", "ban", notifier.now_ms, tenant=f"t{n}"))
        await notifier.later(MINUTE)
    assert len(well.heard) == 20
    queues = await database.run(outbox.queues)
    assert queues["dead"][0] == 20
    notifier.telemetry.queues = queues
    assert notifier.metric("callwarden_notify_waiting_messages", channel="dead") == 20
    assert (notifier.metric("callwarden_notify_oldest_waiting_seconds", channel="dead") or 0) >= 19 * 60
    failed = notifier.metric("callwarden_notify_failed_total", channel="dead") or 0
    assert 3 < failed <= 12, "it does not back off, or not at all"
    dead.failing = None
    await notifier.later(HOUR)
    assert [m.id for m in dead.heard] == [m.id for m in well.heard]
    assert notifier.metric("callwarden_notify_sent_total", channel="dead", what="ban") == 20
    assert await database.run(outbox.queues) == {}


async def test_a_receiver_that_asks_for_a_rest_gets_it(database: Database) -> None:
    ear = Ear("one")
    ear.failing = Failed("too fast", wait_s=60)
    notifier = Notifier(database, ear)
    await notifier.later()
    await notifier.take(decision("d", "ban", BEGAN_MS))
    await notifier.later()
    ear.failing = None
    await notifier.later(58_000)
    assert ear.heard == []
    await notifier.later(3_000)
    assert len(ear.heard) == 1


async def test_one_message_that_is_refused_holds_no_other_up_and_is_given_up_in_the_end(database: Database) -> None:
    ear = Ear("one")
    ear.refuses = {"decision:bad"}
    notifier = Notifier(database, ear)
    await notifier.later()
    await notifier.take(*(decision(name, "ban", BEGAN_MS, tenant=name) for name in ("bad", "good")))
    await notifier.later()
    assert [m.id for m in ear.heard] == ["decision:good"]
    for _ in range(8):
        await notifier.later(HOUR)
    assert notifier.metric("callwarden_notify_given_up_total", channel="one") == 1
    assert await database.run(outbox.queues) == {}


async def test_of_several_in_one_request_the_refused_one_is_found(database: Database) -> None:
    ear = Ear("one")
    ear.at_once, ear.refuses = 3, {"decision:d1"}
    notifier = Notifier(database, ear)
    await notifier.later()
    await notifier.take(*(decision(f"d{n}", "ban", BEGAN_MS, tenant=f"t{n}") for n in range(7)))
    await notifier.later()
    assert sorted(m.id for m in ear.heard) == [f"decision:d{n}" for n in (0, 2, 3, 4, 5, 6)]


async def test_a_fault_of_ours_in_one_message_holds_no_other_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear = Ear("one")
    notifier = Notifier(database, ear)
    await notifier.later()
    real = Ear.send

    async def fault(self: Ear, messages: Sequence[Message], since_ms: Sequence[int]) -> str:
        if messages[0].id == "decision:bad":
            raise KeyError("of ours")
        return await real(self, messages, since_ms)

    monkeypatch.setattr(Ear, "send", fault)
    await notifier.take(*(decision(name, "ban", BEGAN_MS, tenant=name) for name in ("bad", "good")))
    await notifier.later()
    assert [m.id for m in ear.heard] == ["decision:good"]


async def test_a_flood_is_told_within_the_minutes_measure_and_nothing_is_left_out(database: Database) -> None:
    robot, machine = Ear("robot", per_minute=10), Ear("machine")
    notifier = Notifier(database, robot, machine)
    await notifier.later()
    await notifier.take(*(decision(f"d{n}", "warning", BEGAN_MS, tenant=f"t{n}") for n in range(300)))
    await notifier.take(decision("worst", "ban", BEGAN_MS, tenant="worst"))
    for _ in range(50):
        await notifier.later()
    assert len(machine.heard) == 301
    assert len(robot.heard) == 10
    assert robot.heard[8].id == "decision:worst" or "decision:worst" in [m.id for m in robot.heard[:9]]
    assert robot.heard[9].title.en == "A digest of 292 messages about 292 tenants"
    await notifier.take(*(decision(f"e{n}", "warning", BEGAN_MS, tenant=f"u{n}") for n in range(3)))
    await notifier.later(8_000)
    assert len(robot.heard) == 10, "more than its measure within a minute"
    await notifier.later(3_000)
    assert len(robot.heard) == 13
    assert await database.run(outbox.queues) == {}


async def test_what_was_silent_is_summed_up_once_a_day(database: Database) -> None:
    ear = Ear("one")
    notifier = Notifier(database, ear)
    await notifier.later()
    for n in range(5):
        await notifier.take(decision(f"d{n}", "warning", notifier.now_ms))
    await notifier.later()
    assert [m.id for m in ear.heard] == ["decision:d0"]
    await notifier.later(DAY)
    await notifier.later(DAY)
    assert [m.what for m in ear.heard] == ["warning", "summary"]
    assert "4 repetitions not told one by one, of 1 tenant" in ear.heard[1].title.en
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(SILENT)).scalar() == 0


async def test_a_record_that_cannot_be_read_is_kept_by_its_place_and_stops_nothing(database: Database) -> None:
    ear = Ear("one")
    notifier = Notifier(database, ear)
    await notifier.later()
    await notifier.take(b'{"type":"other","caller":"13800138000"}', decision("d", "ban", BEGAN_MS), b"\xff")
    await notifier.later()
    assert [m.id for m in ear.heard] == ["decision:d"]
    assert notifier.metric("callwarden_notify_rejected_total") == 2
    with database.reading() as connection:
        rows = connection.execute(select(REJECTED).order_by(REJECTED.c.offset)).all()
    assert [(row.topic, row.offset) for row in rows] == [("alerts", 0), ("alerts", 2)]
    assert "13800138000" not in str(rows)


async def test_what_is_rejected_or_lost_is_counted_once_it_is_committed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.consumers.follow._FIRST_RETRY_S", 0.001)
    notifier = Notifier(database, Ear("one"))
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
                    raise Unavailable("the connection broke before the commit")
            return result

        return await real(self, begun)

    monkeypatch.setattr(Database, "run", undo_first)
    consumer = notifier.consumer
    follower = Follower(
        topics, database, POSITIONS, ["enforcement", "alerts"], consumer.handle, pass_over=consumer.gone
    )
    task = asyncio.create_task(follower.run())
    async with asyncio.timeout(20):
        while follower.progress().as_of_ms is None or any(follower.progress().behind.values()):
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])
    assert undone == [OUTBOX, REJECTED]
    assert notifier.metric("callwarden_notify_lost_total") == 1
    assert notifier.metric("callwarden_notify_rejected_total") == 2


async def test_no_record_however_odd_stops_the_notifier(database: Database) -> None:
    ear = Ear("one")
    notifier = Notifier(database, ear)
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
        rows = [Record(TP(topic, 0), at, BEGAN_MS, None, value) for at, value in enumerate(values)]
        for _ in range(2):  # as after a topic was made anew
            await database.run(lambda connection, rows=rows: notifier.consumer.handle(connection, rows))  # type: ignore[misc]
        with database.reading() as connection:
            rejected = select(REJECTED.c.offset).where(REJECTED.c.topic == topic).order_by(REJECTED.c.offset)
            assert list(connection.execute(rejected).scalars()) == list(range(len(values)))
    await notifier.take(decision("d", "ban", BEGAN_MS))
    await notifier.later()
    assert [m.id for m in ear.heard] == ["decision:d"]


async def test_a_fault_of_ours_in_one_record_leaves_that_one_out(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ear = Ear("one")
    notifier = Notifier(database, ear)
    await notifier.later()
    real = outbox.put

    def fault(connection: Any, messages: Sequence[Message], *rest: Any) -> None:
        real(connection, messages, *rest)
        if any(message.id == "decision:bad" for message in messages):
            raise KeyError("of ours")

    monkeypatch.setattr(outbox, "put", fault)
    await notifier.take(
        decision("one", "warning", BEGAN_MS),
        decision("bad", "ban", BEGAN_MS, pending=True),
        decision("two", "termination", BEGAN_MS),
    )
    await notifier.later()
    assert [m.id for m in ear.heard] == ["decision:one", "decision:two"]
    assert "0 pending" in str(ear.heard[1].lines), "what was rejected has left a trace"
    with database.reading() as connection:
        assert connection.execute(select(PENDING)).all() == []
        [row] = connection.execute(select(REJECTED)).all()
    assert (row.topic, row.offset, row.reason) == ("enforcement", 1, "an unforeseen error: KeyError")
    assert "a record could not be handled" in capsys.readouterr().out
    monkeypatch.undo()


async def test_a_database_that_goes_away_rejects_no_record(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    notifier = Notifier(database, Ear("one"))
    await notifier.later()

    def away(*_: Any) -> None:
        raise OperationalError("", None, Exception("the connection is lost"))

    monkeypatch.setattr(outbox, "put", away)
    with pytest.raises(Unavailable):
        await notifier.take(decision("d", "ban", BEGAN_MS))
    with database.reading() as connection:
        assert connection.execute(select(REJECTED)).all() == []


async def test_deleted_records_are_told(database: Database) -> None:
    ear = Ear("one")
    notifier = Notifier(database, ear)
    gone = Gone(TP("alerts", 3), 5, 9)
    (await database.run(lambda connection: notifier.consumer.gone(connection, gone)))()
    await notifier.later()
    assert [m.what for m in ear.heard] == ["records_lost"]
    assert "alerts-3: the next record to handle is 5, but what is before 9 was deleted" in ear.heard[0].lines[0].en
    assert notifier.metric("callwarden_notify_lost_total") == 1


async def two_alerts(notifier: Notifier) -> None:
    """One is told and stands, as does a pending decision; one is to be told."""
    await notifier.later()
    await notifier.take(alert("a", "firing", BEGAN_MS), decision("p", "ban", BEGAN_MS, tenant="other", pending=True))
    await notifier.later(MANNERS.delay_ms)
    await notifier.take(alert("b", "firing", BEGAN_MS, tenant="third"))
    assert {s.message.what for s in await notifier.database.run(outbox.standing)} == {"alert", "pending"}


async def alerts_have_ended(notifier: Notifier, manager: Ear) -> bool:
    """Whether all have, and Alertmanager has heard it; or none has."""
    await notifier.later()
    standing = [s.message.what for s in await notifier.database.run(outbox.standing)]
    told = [(m.what, m.standing, m.refs) for m in manager.heard]
    known = await notifier.database.run(lambda connection: tenants.load(connection, ["acme", "other", "third"]))
    firing = [name for name, tenant in known.items() if any(thread.firing for thread in tenant.threads.values())]
    over = ("alert", "off", ("a",)) in told
    assert (standing, firing) == ((["pending"], []) if over else (["alert", "pending"], ["acme", "third"]))
    return over


async def test_what_fires_ends_when_words_of_it_were_deleted(database: Database) -> None:
    manager, ear = Ear("alertmanager"), Ear("one")
    notifier = Notifier(database, manager, ear)
    await two_alerts(notifier)
    await database.run(lambda connection: notifier.consumer.gone(connection, Gone(TP("enforcement", 0), 5, 9)))
    assert not await alerts_have_ended(notifier, manager)
    await database.run(lambda connection: notifier.consumer.gone(connection, Gone(TP("alerts", 0), 5, 9)))
    assert await alerts_have_ended(notifier, manager)
    await notifier.later(MANNERS.delay_ms)
    assert [m.what for m in ear.heard] == ["pending", "alert", "records_lost", "records_lost"]
    assert "the alerts told before are taken for over" in ear.heard[-1].lines[-1].en


async def test_what_fires_ends_when_the_policy_is_another(database: Database) -> None:
    manager = Ear("alertmanager")
    notifier = Notifier(database, manager)
    await two_alerts(notifier)
    again = Notifier(database, manager)
    again.now_ms = notifier.now_ms
    assert not await alerts_have_ended(again, manager)
    # Under the other one the behaviour may have another tier, which is one of Alertmanager's labels.
    tiers = {name: replace(behaviour, tier="severe") for name, behaviour in POLICY.behaviours.items()}
    another = Notifier(database, manager, policy=replace(POLICY, behaviours=tiers, sha256="another"))
    another.now_ms = notifier.now_ms
    assert await alerts_have_ended(another, manager)
    await another.take(alert("c", "firing", BEGAN_MS, tenant="fourth"))
    await another.later(MANNERS.delay_ms)
    assert [m.refs for m in manager.heard if m.what == "alert" and m.standing == "on"] == [("a",), ("c",)]


async def test_what_fires_ends_a_month_after_the_last_word_of_it(database: Database) -> None:
    manager = Ear("alertmanager")
    notifier = Notifier(database, manager)
    await notifier.later()
    await notifier.take(alert("a", "firing", BEGAN_MS))
    await notifier.later(MANNERS.delay_ms)
    await notifier.later(29 * DAY)
    assert len(await database.run(outbox.standing)) == 1
    await notifier.later(DAY)
    assert await database.run(outbox.standing) == []
    assert [m.standing for m in manager.heard] == ["on", "off"]


async def test_what_stands_is_kept_until_it_is_over(database: Database) -> None:
    notifier = Notifier(database, Ear("one"))
    await notifier.later()
    await notifier.take(alert("a", "firing", BEGAN_MS), decision("p", "ban", BEGAN_MS, tenant="other", pending=True))
    await notifier.later(MANNERS.delay_ms)
    assert {s.message.what for s in await database.run(outbox.standing)} == {"alert", "pending"}
    await notifier.take(
        alert("a", "resolved", BEGAN_MS), decision("l", "lapse", BEGAN_MS, tenant="other", reverses="p")
    )
    assert await database.run(outbox.standing) == []


async def test_a_clock_that_is_set_back_mutes_no_channel(database: Database) -> None:
    robot, resting, manager = Ear("robot", per_minute=2), Ear("resting"), Manager(lambda: BEGAN_MS)
    notifier = Notifier(database, robot, resting, manager)
    await notifier.later()
    resting.failing, robot.refuses = Failed("no", wait_s=60), {"decision:d1"}
    await notifier.take(*(decision(f"d{n}", "ban", BEGAN_MS, tenant=f"t{n}", pending=True) for n in range(2)))
    await notifier.later()
    resting.failing, robot.refuses = None, set()
    manager.posts.clear()
    notifier.now_ms -= DAY
    for _ in range(3):
        await notifier.later(MINUTE)
    assert {m.id for m in robot.heard} == {m.id for m in resting.heard} == {"decision:d0", "decision:d1"}
    assert {"t0", "t1"} in manager.posts, "nobody reminds it"


class Manager(Alertmanager):
    """One that keeps the tenants that it is told of, and refuses those of ``refuses``."""

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__(None, "alertmanager", SecretStr("http://127.0.0.1:1"), clock, None)  # type: ignore[arg-type]
        self.refuses: set[str] = set()
        self.posts: list[set[str]] = []

    async def _post(self, posted: list[dict[str, Any]]) -> str:
        tenants = {alert["labels"]["tenant"] for alert in posted}
        if tenants & self.refuses:
            raise Failed("it answers 400", message_alone=True)
        self.posts.append(tenants)
        return "200"


@pytest.mark.parametrize("from_the_first", [True, False])
async def test_a_standing_alert_that_alertmanager_refuses_ends_no_other(
    database: Database, from_the_first: bool
) -> None:
    manager = Manager(lambda: BEGAN_MS)
    notifier = Notifier(database, manager)
    await notifier.later()
    manager.refuses = {"t150"} if from_the_first else set()
    await notifier.take(*(decision(f"d{n}", "ban", BEGAN_MS, tenant=f"t{n:03}", pending=True) for n in range(250)))
    await notifier.later()
    manager.refuses = {"t150"}
    for _ in range(20):
        manager.posts.clear()
        await notifier.later(MINUTE)
        assert len(set().union(*manager.posts) - {"t150"}) == 249, "the others ended"
    assert len(await database.run(outbox.standing)) == 249, "it is refused for ever"
    assert len(manager.posts) == 3


async def test_alertmanager_alone_hears_that_nothing_waits_any_more(database: Database) -> None:
    manager, ear = Ear("alertmanager"), Ear("one")
    notifier = Notifier(database, manager, ear)
    await notifier.later()
    await notifier.take(decision("p", "ban", BEGAN_MS, pending=True), decision("l", "lapse", BEGAN_MS, reverses="p"))
    await notifier.later()
    assert [(m.what, m.standing) for m in manager.heard] == [("pending", "on"), ("pending", "off")]
    assert [(m.what, m.standing) for m in ear.heard] == [("pending", "on")]


async def test_what_was_delivered_is_forgotten_after_a_month(database: Database) -> None:
    notifier = Notifier(database, Ear("one"))
    await notifier.later()
    await notifier.take(decision("d", "ban", BEGAN_MS))
    await notifier.later()
    for days, left in ((29, 1), (2, 0)):
        await notifier.later(days * DAY)
        with database.reading() as connection:
            assert connection.execute(select(func.count()).select_from(OUTBOX)).scalar() == left


async def test_a_commit_of_which_nobody_knows_tells_nothing_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.consumers.follow._FIRST_RETRY_S", 0.001)
    ear = Ear("one")
    notifier = Notifier(database, ear)
    await notifier.later()
    topics = FakeTopics(enforcement=1, alerts=1)
    topics.now_ms = BEGAN_MS + HOUR
    events = [msgspec.json.encode(decision(f"d{n}", "ban", BEGAN_MS, tenant=f"t{n}")) for n in range(30)]
    topics.put("enforcement", 0, *events)
    real, failures = Database.run, iter([0, 0, 1, 0, 1, 1, 0, 0, 1, 1])

    async def sometimes(self: Database, work: Any) -> Any:
        result = await real(self, work)
        if next(failures, 0):
            raise Unavailable("the connection broke after the commit")
        return result

    monkeypatch.setattr(Database, "run", sometimes)
    follower = Follower(
        topics, database, POSITIONS, ["enforcement", "alerts"], notifier.consumer.handle, from_end=["alerts"]
    )
    task = asyncio.create_task(follower.run())
    async with asyncio.timeout(20):
        while follower.progress().as_of_ms is None or any(follower.progress().behind.values()):
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])
    assert next(failures, None) is None, "not every failure took place"
    await notifier.later()
    assert [m.id for m in ear.heard] == [f"decision:d{n}" for n in range(30)]
    assert json.loads(events[0])["id"] == "d0"


async def test_no_number_of_a_record_is_kept_in_the_clear(database: Database, tmp_path: Path) -> None:
    ear, number = Ear("one"), "13912345678"
    notifier = Notifier(database, ear)
    await notifier.later()
    said = Reason(f"致电 {number}", f"called {number}")
    fires, decided = alert("a", "firing", BEGAN_MS), decision("d", "ban", BEGAN_MS, tenant="other", reason=said)
    await notifier.take(msgspec.structs.replace(fires, reason=said), decided, f'{{"callee":"{number}"}}'.encode())
    await notifier.later(MANNERS.delay_ms)
    assert len(ear.heard) == 2
    database.close()
    assert not [path for path in tmp_path.iterdir() if number.encode() in path.read_bytes()]
