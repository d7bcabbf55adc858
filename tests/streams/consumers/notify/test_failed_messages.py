"""Messages that a receiver refused permanently are listed, and sent again on command unless their subject has ended."""

import pytest
from notification_samples import decision
from notifier_harness import BEGAN_MS, FakeChannel, Notifier
from sqlalchemy import Connection
from test_notify_delivery import Manager

from monitor.text.durations import HOUR, MINUTE
from streams.consumers.database import Database
from streams.consumers.notify import outbox
from streams.consumers.notify.delivery import failed_messages


async def listed(database: Database) -> list[tuple[str, str, bool]]:
    """Channel, message and whether its subject has ended."""
    found = await database.run(failed_messages.list_failed)
    return [(one.channel, one.message.id, one.over) for one in found]


async def send_again(notifier: Notifier) -> int:
    def work(connection: Connection) -> int:
        return failed_messages.send_again(connection, failed_messages.list_failed(connection), notifier.now_ms)

    return await notifier.database.run(work)


async def give_up(notifier: Notifier) -> None:
    for _ in range(14):  # one after another for each tenant
        await notifier.later(8 * MINUTE)


async def test_failed_messages_are_sent_again_on_command(database: Database) -> None:
    fake, other = FakeChannel("one"), FakeChannel("other")
    fake.refuses = {"decision:bad", "decision:worse"}
    notifier = Notifier(database, fake, other)
    await notifier.later()
    await notifier.take(*(decision(name, "ban", BEGAN_MS, tenant=name) for name in ("bad", "good", "worse")))
    await give_up(notifier)
    assert await listed(database) == [("one", "decision:bad", False), ("one", "decision:worse", False)]
    fake.refuses = {"decision:worse"}
    assert await send_again(notifier) == 2
    await notifier.later()
    assert [m.id for m in fake.heard] == ["decision:good", "decision:bad"]
    # A message that is refused again has its five attempts again, and no other is sent twice.
    await give_up(notifier)
    assert await listed(database) == [("one", "decision:worse", False)]
    assert notifier.metric("callwarden_notify_given_up_total", channel="one") == 3
    assert len(other.heard) == 3
    fake.refuses = set()
    assert await send_again(notifier) == 1
    assert await send_again(notifier) == 0
    await notifier.later()
    assert [m.id for m in fake.heard] == ["decision:good", "decision:bad", "decision:worse"]
    assert await listed(database) == []


@pytest.mark.parametrize("decided", [False, True])
async def test_failed_messages_of_ended_cases_are_not_sent(database: Database, decided: bool) -> None:
    fake, manager = FakeChannel("one"), Manager(lambda: BEGAN_MS)
    fake.refuses, manager.refuses = {"decision:d"}, {"acme"}
    notifier = Notifier(database, fake, manager)
    await notifier.later()
    await notifier.take(decision("d", "ban", BEGAN_MS, pending=True))
    await give_up(notifier)
    assert await database.run(outbox.lasting_messages) == [], "Alertmanager is reminded of what it refuses"
    if decided:
        await notifier.take(decision("e", "ban", notifier.now_ms, supersedes="d"))
        await give_up(notifier)
    fake.refuses, manager.refuses = set(), set()
    given_up = await listed(database)
    assert [one for one in given_up if one[1] == "decision:d"] == [
        ("one", "decision:d", decided),
        ("alertmanager", "decision:d", decided),
    ]
    await send_again(notifier)
    await notifier.later()
    assert ("decision:d" in [m.id for m in fake.heard]) is not decided
    assert len(await database.run(outbox.lasting_messages)) == (0 if decided else 1)
    manager.posts.clear()
    await notifier.later(HOUR)
    assert ({"acme"} in manager.posts) is not decided


async def test_a_failed_resolution_is_not_sent_once_its_case_is_open_again(database: Database) -> None:
    manager = Manager(lambda: BEGAN_MS)
    notifier = Notifier(database, manager)
    await notifier.later()
    await notifier.take(decision("d", "ban", BEGAN_MS, pending=True))
    await notifier.later()
    manager.refuses = {"acme"}
    await notifier.take(decision("r", "reversal", notifier.now_ms, reverses="d"))
    await give_up(notifier)
    manager.refuses = set()
    ended = [one for one in await listed(database) if one[1] != "decision:r"]
    assert [over for *_, over in ended] == [False]
    await notifier.take(decision("d2", "ban", notifier.now_ms, pending=True))
    await notifier.later()
    assert [one for one in await listed(database) if one[1] != "decision:r"] == [(*ended[0][:2], True)]
