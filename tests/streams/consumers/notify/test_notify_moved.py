"""A notifier whose topics were rescaled: open threads continue, and no message is sent twice."""

import msgspec
from notification_samples import decision
from notifier_harness import BEGAN_MS, FakeChannel, Notifier
from rules_harness import POLICY, THROTTLE
from sqlalchemy import select

from helpers.fake_topics import FakeTopics
from monitor.text.durations import DAY, HOUR
from streams.consumers.database import Database
from streams.consumers.follower import Follower
from streams.consumers.notify.handler import NotifyHandler
from streams.consumers.notify.rules.rules_by_policy import RulesByPolicy
from streams.consumers.notify.tables import PENDING, POSITIONS


async def test_alerts_sent_before_a_rescale_are_resolved_after_it(database: Database) -> None:
    fake = FakeChannel("one")
    notifier = Notifier(database, fake)
    topics = FakeTopics(**{f"{prefix}.{name}": 2 for prefix in ("old", "new") for name in ("enforcement", "alerts")})
    topics.now_ms = 4_000_000_000_000

    async def follow(prefix: str) -> None:
        rules_by_policy, clock = RulesByPolicy(POLICY, THROTTLE), lambda: notifier.now_ms
        consumer = NotifyHandler(rules_by_policy, THROTTLE, ["one"], f"{prefix}.enforcement", clock, notifier.telemetry)
        both = [f"{prefix}.enforcement", f"{prefix}.alerts"]
        await Follower(topics, database, POSITIONS, both, consumer.handle, from_end=both[1:]).catch_up()

    await notifier.later()
    await follow("old")
    topics.put("old.enforcement", 0, msgspec.json.encode(decision("held", "ban", BEGAN_MS, pending=True)))
    await follow("old")
    await notifier.later(HOUR)
    await follow("new")
    at_ms = notifier.now_ms
    back = decision("back", "reversal", at_ms, reverses="held", refunds="released")
    topics.put("new.enforcement", 1, msgspec.json.encode(back))
    await follow("new")
    await notifier.later(HOUR)
    await notifier.later(6 * DAY)
    assert [message.id for message in fake.heard] == ["decision:held", "decision:back"], "and not that it lapses"
    assert await database.run(lambda connection: connection.execute(select(PENDING)).all()) == []
