"""From the outbox to the receivers: each message is sent once on each channel, independently, despite any failure."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from notification_samples import decision
from notifier_harness import BEGAN_MS, FakeChannel, Notifier
from pydantic import SecretStr
from sqlalchemy import func, select

from helpers.thorough import thorough
from monitor.text.durations import DAY, HOUR, MINUTE
from streams.consumers.database import Database
from streams.consumers.notify import outbox
from streams.consumers.notify.channels import Alertmanager, DeliveryFailed
from streams.consumers.notify.messages.message import Message
from streams.consumers.notify.messages.page_links import PageLinks
from streams.consumers.notify.tables import OUTBOX
from streams.metrics.catalogue import CATALOGUE


async def test_the_metrics_are_those_of_the_catalogue(database: Database) -> None:
    notifier = Notifier(database, FakeChannel("one"))
    families = {f"{m.name}_total" if m.type == "counter" else m.name for m in notifier.telemetry.registry.collect()}
    assert families == {entry.name for entry in CATALOGUE if entry.by == ("notify",)}


@pytest.mark.parametrize(("reached", "most"), [(False, 12), (True, 24)])
async def test_a_failing_channel_delays_no_other_and_delivers_everything_later(
    reached: bool, most: int, database: Database
) -> None:
    dead, well = FakeChannel("dead"), FakeChannel("well")
    dead.failing = DeliveryFailed("it answers 503") if reached else DeliveryFailed("no connection", receiver_alone=True)
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
    assert 3 < failed <= most, "it does not back off, or not at all"
    dead.failing = None
    await notifier.later(HOUR)
    await notifier.later()
    assert [m.id for m in dead.heard] == [m.id for m in well.heard]
    assert notifier.metric("callwarden_notify_sent_total", channel="dead", what="ban") == 20
    assert await database.run(outbox.queues) == {}


async def test_a_receivers_retry_after_is_respected(database: Database) -> None:
    fake = FakeChannel("one")
    fake.failing = DeliveryFailed("too fast", wait_s=60)
    notifier = Notifier(database, fake)
    await notifier.later()
    await notifier.take(decision("d", "ban", BEGAN_MS))
    await notifier.later()
    fake.failing = None
    await notifier.later(58_000)
    assert fake.heard == []
    await notifier.later(3_000)
    assert len(fake.heard) == 1


async def test_a_refused_message_delays_no_other_and_is_given_up_in_the_end(database: Database) -> None:
    fake = FakeChannel("one")
    fake.refuses = {"decision:bad"}
    notifier = Notifier(database, fake)
    await notifier.later()
    await notifier.take(*(decision(name, "ban", BEGAN_MS, tenant=name) for name in ("bad", "good")))
    await notifier.later()
    assert [m.id for m in fake.heard] == ["decision:good"]
    for _ in range(8):
        await notifier.later(HOUR)
    assert notifier.metric("callwarden_notify_given_up_total", channel="one") == 1
    assert await database.run(outbox.queues) == {}


async def test_of_several_in_one_request_the_refused_one_is_found(database: Database) -> None:
    fake = FakeChannel("one")
    fake.at_once, fake.refuses = 3, {"decision:d1"}
    notifier = Notifier(database, fake)
    await notifier.later()
    await notifier.take(*(decision(f"d{n}", "ban", BEGAN_MS, tenant=f"t{n}") for n in range(7)))
    await notifier.later()
    assert sorted(m.id for m in fake.heard) == [f"decision:d{n}" for n in (0, 2, 3, 4, 5, 6)]


async def test_an_internal_error_in_one_message_delays_no_other(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeChannel("one")
    notifier = Notifier(database, fake)
    await notifier.later()
    real = FakeChannel.send

    async def fault(self: FakeChannel, messages: Sequence[Message], since_ms: Sequence[int]) -> str:
        if messages[0].id == "decision:bad":
            raise KeyError("of ours")
        return await real(self, messages, since_ms)

    monkeypatch.setattr(FakeChannel, "send", fault)
    await notifier.take(*(decision(name, "ban", BEGAN_MS, tenant=name) for name in ("bad", "good")))
    await notifier.later()
    assert [m.id for m in fake.heard] == ["decision:good"]


async def test_a_flood_is_sent_within_the_limit_per_minute_and_nothing_is_left_out(database: Database) -> None:
    robot, machine = FakeChannel("robot", per_minute=10), FakeChannel("machine")
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


@pytest.mark.parametrize("set_back_ms", [0, DAY])
async def test_a_restart_does_not_reset_the_limit_per_minute(database: Database, set_back_ms: int) -> None:
    robot = FakeChannel("robot", per_minute=3)
    notifier = Notifier(database, robot)
    await notifier.later()
    for n in range(6):
        await notifier.take(decision(f"d{n}", "ban", BEGAN_MS, tenant=f"t{n}"))
        await notifier.later()
        notifier.restart()
    assert [m.id for m in robot.heard] == ["decision:d0", "decision:d1", "decision:d2"]
    notifier.now_ms -= set_back_ms
    notifier.restart()
    for _ in range(3):
        await notifier.later(17_000)
    assert len(robot.heard) == 3
    await notifier.later(20_000)
    await notifier.later(20_000)
    assert {"decision:d3", "decision:d5"} <= {m.id for m in robot.heard}, "it is mute for ever"


async def test_an_unanswered_message_counts_as_sent(database: Database) -> None:
    robot = FakeChannel("robot", per_minute=2)
    notifier = Notifier(database, robot)
    await notifier.later()

    async def cut_off(messages: Sequence[Message], since_ms: Sequence[int]) -> str:
        raise asyncio.CancelledError  # as a kill would

    robot.send = cut_off  # type: ignore[method-assign]
    await notifier.take(*(decision(f"d{n}", "ban", BEGAN_MS, tenant=f"t{n}") for n in range(2)))
    with pytest.raises(asyncio.CancelledError):
        await notifier.later()
    del robot.send
    notifier.restart()
    await notifier.later()
    assert len(robot.heard) == 1


async def test_a_clock_that_is_set_back_mutes_no_channel(database: Database) -> None:
    robot, resting, manager = FakeChannel("robot", per_minute=2), FakeChannel("resting"), Manager(lambda: BEGAN_MS)
    notifier = Notifier(database, robot, resting, manager)
    await notifier.later()
    resting.failing, robot.refuses = DeliveryFailed("no", wait_s=60), {"decision:d1"}
    await notifier.take(*(decision(f"d{n}", "ban", BEGAN_MS, tenant=f"t{n}", pending=True) for n in range(2)))
    await notifier.later()
    resting.failing, robot.refuses = None, set()
    manager.posts.clear()
    notifier.now_ms -= DAY
    for _ in range(3):
        await notifier.later(MINUTE)
    assert {m.id for m in robot.heard} == {m.id for m in resting.heard} == {"decision:d0", "decision:d1"}
    assert {"t0", "t1"} in manager.posts, "it gets no reminder"


class Manager(Alertmanager):
    """An Alertmanager that stores the tenants it receives, and refuses those of ``refuses``."""

    def __init__(self, clock: Callable[[], int]) -> None:
        url = SecretStr("http://127.0.0.1:1")
        super().__init__(None, "alertmanager", url, clock, PageLinks())  # type: ignore[arg-type]
        self.refuses: set[str] = set()
        self.breaks: set[str] = set()
        self.posts: list[set[str]] = []

    async def _post(self, posted: list[dict[str, Any]]) -> str:
        tenants = {alert["labels"]["tenant"] for alert in posted}
        if tenants & self.refuses:
            raise DeliveryFailed("it answers 400", message_alone=True)
        if tenants & self.breaks:
            raise DeliveryFailed("it answers 500")
        self.posts.append(tenants)
        return "200"


@pytest.mark.parametrize(("from_the_first", "minutes"), thorough([(True, 8), (False, 8), (True, 20), (False, 20)], 2))
async def test_an_active_alert_that_alertmanager_refuses_resolves_no_other(
    database: Database, from_the_first: bool, minutes: int
) -> None:
    manager = Manager(lambda: BEGAN_MS)
    notifier = Notifier(database, manager)
    await notifier.later()
    manager.refuses = {"t150"} if from_the_first else set()
    await notifier.take(*(decision(f"d{n}", "ban", BEGAN_MS, tenant=f"t{n:03}", pending=True) for n in range(250)))
    await notifier.later()
    manager.refuses = {"t150"}
    for _ in range(minutes):
        manager.posts.clear()
        await notifier.later(MINUTE)
        assert len(set().union(*manager.posts) - {"t150"}) == 249, "the others ended"
    assert len(await database.run(outbox.lasting_messages)) == 249, "it is refused for ever"
    assert len(manager.posts) == 3


async def test_delivered_messages_are_deleted_after_a_month(database: Database) -> None:
    notifier = Notifier(database, FakeChannel("one"))
    await notifier.later()
    await notifier.take(decision("d", "ban", BEGAN_MS))
    await notifier.later()
    for days, left in ((29, 1), (2, 0)):
        await notifier.later(days * DAY)
        with database.reading() as connection:
            assert connection.execute(select(func.count()).select_from(OUTBOX)).scalar() == left
