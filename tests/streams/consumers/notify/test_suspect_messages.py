"""A message at which a receiver fails without a reason must not delay the others, nor get lost."""

import pytest
from notification_samples import decision
from notifier_harness import BEGAN_MS, FakeChannel, Notifier
from sqlalchemy import Connection, select
from test_notify_delivery import Manager

from monitor.text.durations import MINUTE
from streams.consumers.database import Database
from streams.consumers.notify import outbox
from streams.consumers.notify.channels import DeliveryFailed
from streams.consumers.notify.delivery import failed_messages
from streams.consumers.notify.tables import OUTBOX


def ban(name: str, tenant: str | None = None, kind: str = "ban") -> object:
    return decision(name, kind, BEGAN_MS, tenant=tenant or name)


async def seconds(notifier: Notifier, n: int, step_s: int = 1) -> None:
    for _ in range(0, n, step_s):
        await notifier.later(step_s * 1000)


async def states(database: Database) -> dict[str, str]:
    """The state of each message."""

    def read(connection: Connection) -> dict[str, str]:
        rows = connection.execute(select(OUTBOX.c.message_id, OUTBOX.c.state))
        return {row.message_id: row.state for row in rows}

    return await database.run(read)


async def test_a_message_at_which_the_receiver_fails_delays_no_other_tenant(database: Database) -> None:
    fake = FakeChannel("one")
    fake.breaks = {"decision:bad"}
    notifier = Notifier(database, fake)
    await notifier.later()
    await notifier.take(*(ban(name) for name in ("bad", "good", "fine")))
    await seconds(notifier, 20)
    assert [m.id for m in fake.heard] == ["decision:good", "decision:fine"]
    queue = (await database.run(outbox.queues))["one"]
    assert (queue.messages, queue.oldest_ms, queue.set_aside) == (1, None, 1)
    notifier.telemetry.queues = {"one": queue}
    assert notifier.metric("callwarden_notify_set_aside_messages", channel="one") == 1
    assert notifier.metric("callwarden_notify_oldest_waiting_seconds", channel="one") == 0
    for n in range(30):  # later messages are not delayed either
        await notifier.take(ban(f"later{n}"))
        await notifier.later(MINUTE)
        assert fake.heard[-1].id == f"decision:later{n}"
    assert (await states(database))["decision:bad"] == "given_up"
    assert notifier.metric("callwarden_notify_given_up_total", channel="one") == 1
    assert notifier.metric("callwarden_notify_failed_total", channel="one") == 9, "it is not tried less and less"
    fake.breaks = set()
    await database.run(lambda c: failed_messages.send_again(c, failed_messages.list_failed(c), notifier.now_ms))
    await notifier.later()
    assert fake.heard[-1].id == "decision:bad"


async def test_later_messages_of_its_tenant_wait_for_the_one_that_is_set_aside(database: Database) -> None:
    fake = FakeChannel("one")
    fake.breaks = {"decision:bad"}
    notifier = Notifier(database, fake)
    await notifier.later()
    await notifier.take(ban("bad", "acme"), ban("good"), ban("second", "acme", "termination"))
    await seconds(notifier, 20)
    assert [m.id for m in fake.heard] == ["decision:good"]
    fake.breaks = set()
    await seconds(notifier, 60)
    assert [m.id for m in fake.heard] == ["decision:good", "decision:bad", "decision:second"]


async def test_while_the_receiver_is_down_messages_wait_in_order_and_none_is_given_up(database: Database) -> None:
    fake = FakeChannel("one")
    fake.failing = DeliveryFailed("it answers 500")
    notifier = Notifier(database, fake)
    await notifier.later()
    names = [f"d{n}" for n in range(8)]
    await notifier.take(*(ban(name) for name in names))
    await seconds(notifier, 4 * 3600, 240)
    assert fake.requests < 4 * 12 * 3 + 50, "it does not back off"
    assert set((await states(database)).values()) == {"waiting"}
    queue = (await database.run(outbox.queues))["one"]
    assert (queue.messages, queue.set_aside) == (8, 0)
    fake.failing = None
    await seconds(notifier, 400, 10)
    assert [m.id for m in fake.heard] == [f"decision:{name}" for name in names]


@pytest.mark.parametrize("poisoned", [1, 5, 12])
async def test_several_failing_messages_are_found_one_by_one(database: Database, poisoned: int) -> None:
    fake = FakeChannel("one")
    fake.breaks = {f"decision:bad{n}" for n in range(poisoned)}
    notifier = Notifier(database, fake)
    await notifier.later()
    await notifier.take(*(ban(f"bad{n}") for n in range(poisoned)))
    await notifier.take(*(ban(f"good{n}") for n in range(10)))
    await seconds(notifier, 600, 5)
    assert [m.id for m in fake.heard] == [f"decision:good{n}" for n in range(10)]


async def test_one_that_is_set_aside_is_not_given_up_because_the_receiver_is_down(database: Database) -> None:
    fake = FakeChannel("one")
    fake.breaks = {"decision:bad"}
    notifier = Notifier(database, fake)
    await notifier.later()
    await notifier.take(ban("bad"), ban("good"))
    await seconds(notifier, 20)
    fake.failing = DeliveryFailed("it answers 500")
    await seconds(notifier, 4 * 3600, 240)
    assert (await states(database))["decision:bad"] == "waiting"
    fake.failing, fake.breaks = None, set()
    await seconds(notifier, 600, 10)
    assert [m.id for m in fake.heard] == ["decision:good", "decision:bad"]


@pytest.mark.parametrize("every_s", [2, 30])
async def test_the_state_of_a_message_survives_restarts(database: Database, every_s: int) -> None:
    fake = FakeChannel("one")
    fake.breaks = {"decision:bad"}
    notifier = Notifier(database, fake)
    await notifier.later()
    await notifier.take(ban("bad"), ban("good"))
    for n in range(120):
        await notifier.later(every_s * 1000)
        notifier.restart()
        if n % 10 == 0:
            await notifier.take(ban(f"later{n}"))
        if n > 10:
            every_s = 30
    assert len(fake.heard) == 13
    assert fake.requests - len(fake.heard) <= 20, "it is tried again and again"
    assert (await states(database))["decision:bad"] == "given_up"


async def test_a_failing_digest_is_sent_without_names(database: Database) -> None:
    robot = FakeChannel("robot", per_minute=2)
    robot.breaks = {"decision:bad", "bad"}
    notifier = Notifier(database, robot)
    await notifier.later()
    await notifier.take(*(ban(f"t{n}") for n in range(8)), ban("bad"), *(ban(f"u{n}") for n in range(30)))
    await seconds(notifier, 400, 10)
    (short,) = [m for m in robot.heard if m.what == "digest"]
    assert (short.items, short.refs, short.severity) == ((), (), "critical")
    assert len(robot.heard) == 5, "single messages continue meanwhile"
    assert await database.run(outbox.queues) == {}


async def test_a_failing_message_of_a_batch_is_found(database: Database) -> None:
    fake = FakeChannel("one")
    fake.at_once, fake.breaks = 100, {"decision:d50"}
    notifier = Notifier(database, fake)
    await notifier.later()
    await notifier.take(*(ban(f"d{n}") for n in range(120)))
    await seconds(notifier, 60)
    assert {m.id for m in fake.heard} == {f"decision:d{n}" for n in range(120) if n != 50}
    assert fake.requests < 120


async def test_an_active_alert_at_which_alertmanager_fails_resolves_no_other(database: Database) -> None:
    manager = Manager(lambda: BEGAN_MS)
    notifier = Notifier(database, manager)
    await notifier.later()
    names = [f"t{n}" for n in range(8)]
    await notifier.take(*(decision(f"d{n}", "ban", BEGAN_MS, tenant=n, pending=True) for n in names))
    await notifier.later()
    manager.breaks = {"t0", "t1", "t2", "t3"}
    for _ in range(20):
        manager.posts.clear()
        await seconds(notifier, 120, 20)
        assert set().union(*manager.posts) >= set(names) - manager.breaks, "the others ended"
    assert len(await database.run(outbox.lasting_messages)) == 4, "it is refused for ever"


async def test_failing_reminders_delay_no_message(database: Database) -> None:
    manager = Manager(lambda: BEGAN_MS)
    notifier = Notifier(database, manager)
    await notifier.later()
    await notifier.take(decision("d", "ban", BEGAN_MS, tenant="acme", pending=True))
    await notifier.later()
    manager.breaks = {"acme"}
    await seconds(notifier, 600, 10)
    manager.posts.clear()
    await notifier.take(ban("other"))
    await seconds(notifier, 10)
    assert {"other"} in manager.posts
