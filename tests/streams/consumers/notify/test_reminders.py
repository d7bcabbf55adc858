"""Messages that become due with time, and Alertmanager's alerts until they are resolved."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from notification_samples import alert, decision
from notifier_harness import BEGAN_MS, FakeChannel, Notifier
from rules_harness import POLICY, THROTTLE
from sqlalchemy import func, select

from helpers.patience import PATIENCE_S
from monitor.text.durations import DAY, HOUR
from streams.consumers.data_loss import RecordsLost
from streams.consumers.database import Database
from streams.consumers.notify import outbox, tenants
from streams.consumers.notify.main import watch
from streams.consumers.notify.rules.schedule import PendingCase, about_to_lapse
from streams.consumers.notify.tables import SILENT
from streams.kafka.api import TP


async def test_nothing_is_due_while_the_topics_are_still_being_read(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.consumers.notify.main._TICK_S", 0.001)
    notifier = Notifier(database, FakeChannel("one"))
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
        async with asyncio.timeout(PATIENCE_S):
            while looks < seen + 3:
                await asyncio.sleep(0.001)
        waiting = await database.run(lambda connection: outbox.due_rows(connection, "one", notifier.now_ms, 100))
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


async def test_suppressed_messages_are_summarised_once_a_day(database: Database) -> None:
    fake = FakeChannel("one")
    notifier = Notifier(database, fake)
    await notifier.later()
    for n in range(5):
        await notifier.take(decision(f"d{n}", "warning", notifier.now_ms))
    await notifier.later()
    assert [m.id for m in fake.heard] == ["decision:d0"]
    await notifier.later(DAY)
    await notifier.later(DAY)
    assert [m.what for m in fake.heard] == ["warning", "summary"]
    assert "4 repetitions not sent one by one, of 1 tenant" in fake.heard[1].title.en
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(SILENT)).scalar() == 0


async def test_a_clock_that_was_ahead_suppresses_no_message_and_no_summary(database: Database) -> None:
    fake = FakeChannel("one")
    notifier = Notifier(database, fake)
    await notifier.later(400 * DAY)
    notifier.now_ms = BEGAN_MS
    await notifier.later()
    for n in range(5):
        await notifier.take(decision(f"d{n}", "warning", notifier.now_ms))
    await notifier.later(DAY)
    assert [m.what for m in fake.heard] == ["warning", "summary"]


async def test_decisions_that_wait_are_not_read_each_second(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeChannel("one")
    notifier = Notifier(database, fake)
    await notifier.later()
    lapses_ms = BEGAN_MS + 7 * DAY
    for n in range(3):
        case = decision(f"p{n}", "ban", BEGAN_MS, tenant=f"t{n}", pending=True, review_by_ms=lapses_ms + n)
        await notifier.take(case)
    looked: list[int] = []

    def look(pending: Sequence[PendingCase], now_ms: int, before_ms: int) -> list[PendingCase]:
        looked.append(now_ms)
        return about_to_lapse(pending, now_ms, before_ms)

    monkeypatch.setattr("streams.consumers.notify.handler.about_to_lapse", look)
    notifier.now_ms = lapses_ms - DAY - 2_000
    for _ in range(4):  # the last two are within a day of the first lapse
        await notifier.later(1_000)
    assert looked == [lapses_ms - DAY]
    assert [m.refs for m in fake.heard if m.what == "lapse_soon"] == [("p0", "p1", "p2")]


async def two_alerts(notifier: Notifier) -> None:
    """One alert was sent and is active, one decision is pending, and one alert is not sent yet."""
    await notifier.later()
    await notifier.take(alert("a", "firing", BEGAN_MS), decision("p", "ban", BEGAN_MS, tenant="other", pending=True))
    await notifier.later(THROTTLE.delay_ms)
    await notifier.take(alert("b", "firing", BEGAN_MS, tenant="third"))
    assert {s.message.what for s in await notifier.database.run(outbox.lasting_messages)} == {"alert", "pending"}


async def alerts_have_ended(notifier: Notifier, manager: FakeChannel) -> bool:
    """Whether all have ended and were resolved at Alertmanager; False if none has."""
    await notifier.later()
    standing = [s.message.what for s in await notifier.database.run(outbox.lasting_messages)]
    sent = [(m.what, m.standing, m.refs) for m in manager.heard]
    known = await notifier.database.run(lambda connection: tenants.load(connection, ["acme", "other", "third"]))
    firing = [name for name, tenant in known.items() if any(thread.firing for thread in tenant.threads.values())]
    over = ("alert", "off", ("a",)) in sent
    assert (standing, firing) == ((["pending"], []) if over else (["alert", "pending"], ["acme", "third"]))
    return over


async def test_active_alerts_are_resolved_when_their_records_were_deleted(database: Database) -> None:
    manager, fake = FakeChannel("alertmanager"), FakeChannel("one")
    notifier = Notifier(database, manager, fake)
    await two_alerts(notifier)
    await database.run(lambda connection: notifier.consumer.lost(connection, RecordsLost(TP("enforcement", 0), 5, 9)))
    assert not await alerts_have_ended(notifier, manager)
    await database.run(lambda connection: notifier.consumer.lost(connection, RecordsLost(TP("alerts", 0), 5, 9)))
    assert await alerts_have_ended(notifier, manager)
    await notifier.later(THROTTLE.delay_ms)
    assert [m.what for m in fake.heard] == ["pending", "alert", "records_lost", "records_lost"]
    assert "all earlier alerts are considered resolved" in fake.heard[-1].lines[-1].en


async def test_active_alerts_are_resolved_when_the_policy_has_changed(database: Database) -> None:
    manager = FakeChannel("alertmanager")
    notifier = Notifier(database, manager)
    await two_alerts(notifier)
    again = Notifier(database, manager)
    again.now_ms = notifier.now_ms
    assert not await alerts_have_ended(again, manager)
    # Under the other policy the behaviour may have another tier, which is one of Alertmanager's labels.
    tiers = {name: replace(behaviour, tier="severe") for name, behaviour in POLICY.behaviours.items()}
    another = Notifier(database, manager, policy=replace(POLICY, behaviours=tiers, sha256="another"))
    another.now_ms = notifier.now_ms
    assert await alerts_have_ended(another, manager)
    await another.take(alert("c", "firing", BEGAN_MS, tenant="fourth"))
    await another.later(THROTTLE.delay_ms)
    assert [m.refs for m in manager.heard if m.what == "alert" and m.standing == "on"] == [("a",), ("c",)]


async def test_active_alerts_are_resolved_a_month_after_their_last_record(database: Database) -> None:
    manager = FakeChannel("alertmanager")
    notifier = Notifier(database, manager)
    await notifier.later()
    await notifier.take(alert("a", "firing", BEGAN_MS))
    await notifier.later(THROTTLE.delay_ms)
    await notifier.later(29 * DAY)
    assert len(await database.run(outbox.lasting_messages)) == 1
    await notifier.later(DAY)
    assert await database.run(outbox.lasting_messages) == []
    assert [m.standing for m in manager.heard] == ["on", "off"]


async def test_active_alerts_are_stored_until_they_are_resolved(database: Database) -> None:
    notifier = Notifier(database, FakeChannel("one"))
    await notifier.later()
    await notifier.take(alert("a", "firing", BEGAN_MS), decision("p", "ban", BEGAN_MS, tenant="other", pending=True))
    await notifier.later(THROTTLE.delay_ms)
    assert {s.message.what for s in await database.run(outbox.lasting_messages)} == {"alert", "pending"}
    await notifier.take(
        alert("a", "resolved", BEGAN_MS), decision("l", "lapse", BEGAN_MS, tenant="other", reverses="p")
    )
    assert await database.run(outbox.lasting_messages) == []


async def test_only_alertmanager_learns_that_nothing_is_pending(database: Database) -> None:
    manager, fake = FakeChannel("alertmanager"), FakeChannel("one")
    notifier = Notifier(database, manager, fake)
    await notifier.later()
    await notifier.take(decision("p", "ban", BEGAN_MS, pending=True), decision("l", "lapse", BEGAN_MS, reverses="p"))
    await notifier.later()
    assert [(m.what, m.standing) for m in manager.heard] == [("pending", "on"), ("pending", "off")]
    assert [(m.what, m.standing) for m in fake.heard] == [("pending", "on")]
