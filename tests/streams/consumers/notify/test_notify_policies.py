"""Notifications follow the policies of the workers' decisions, as the clock log has them."""

import json
from collections.abc import AsyncIterator

import msgspec
import pytest
from notification_samples import alert, decision
from notifier_harness import BEGAN_MS, FakeChannel, Notifier
from rules_harness import THROTTLE
from structlog.testing import capture_logs

from helpers.fake_topics import FakeTopics
from monitor.partition.journal import ClockAdvance, JournalEntry, PolicyChange, PolicyWithdrawal
from monitor.policy.load import loads, to_plain
from monitor.policy.model import Policy
from monitor.text.durations import HOUR
from schemas.outputs import Alert, Enforcement, EscalationAhead, PolicyRef
from streams.consumers.database import Database
from streams.consumers.follower import Follower, FollowerHooks
from streams.consumers.notify import outbox
from streams.consumers.notify.policy_watch import PolicyLog
from streams.consumers.notify.tables import POSITIONS
from streams.kafka.api import TP, CorruptLog, FetchedBatch, PermanentError
from streams.topics.transaction_records import encode_journal_entry


def policy(version: str, rule: str, at_least: int) -> Policy:
    """A policy with one rule and one escalation."""
    measured = {
        "id": rule,
        "behaviour": "blind_calling",
        "metric": "attempts",
        "above": 9,
        "window": "1h",
        "step": "5m",
    }
    escalation = {"id": "often", "count": "violations", "at_least": at_least, "window": "30d", "tier": "major"}
    document = {"id": "house", "version": version, "rules": [measured], "escalations": [escalation]}
    return loads(json.dumps(document), "policy.json")


FIRST, SECOND, THIRD = policy("1", "first", 5), policy("2", "second", 7), policy("3", "third", 9)
FROM = BEGAN_MS + HOUR


class PolicyNotifier:
    """A notifier that follows topics of two partitions; its settings have the ``first`` policy."""

    def __init__(self, database: Database, first: Policy = FIRST, topics: FakeTopics | None = None) -> None:
        self.fake, self.database = FakeChannel("one"), database
        self.notifier = Notifier(database, self.fake, policy=first)
        self.topics = topics or FakeTopics(enforcement=2, alerts=2, clock=2)
        self.topics.now_ms = BEGAN_MS + 1
        self.policy_log = PolicyLog(self.topics, "clock", self.notifier.rules_by_policy)

    def note(self, *notes: JournalEntry, partition: int = 0) -> None:
        self.topics.put("clock", partition, *(encode_journal_entry(None, note) for note in notes))

    async def take(self, *records: Alert | Enforcement, partition: int = 0) -> None:
        for record in records:
            topic = "enforcement" if isinstance(record, Enforcement) else "alerts"
            self.topics.put(topic, partition, msgspec.json.encode(record))
        await self.follow()

    async def follow(self) -> None:
        """Follow the topics to their ends."""
        handle, both = self.notifier.consumer.handle, ["enforcement", "alerts"]
        self.topics.now_ms += 1_000_000_000_000  # the fake's answers must be newer than the requests
        follower = Follower(
            self.topics, self.database, POSITIONS, both, handle, hooks=FollowerHooks(before=self.policy_log.refresh)
        )
        await follower.catch_up()

    async def heard(self) -> list[tuple[str, str, str]]:
        """The new messages: kind and behaviour, and the announced next steps."""
        before = len(self.fake.heard)
        await self.notifier.later()
        return [(m.what, m.behaviour, m.lines[-1].en.split(" violations")[0]) for m in self.fake.heard[before:]]


@pytest.fixture
async def following(database: Database) -> PolicyNotifier:
    following = PolicyNotifier(database)
    await following.notifier.later()
    return following


def switch(to: Policy, from_ms: int = FROM) -> PolicyChange:
    return PolicyChange(from_ms, to.sha256, to_plain(to))


def warned(id_: str, at_ms: int, by: Policy, tenant: str) -> Enforcement:
    [often] = by.escalations
    ahead = EscalationAhead("often", "termination", "review", 1, often.at_least, often.window_ms)
    ref = PolicyRef("house", by.version, by.sha256)
    return decision(id_, "warning", at_ms, tenant=tenant, policy=ref, escalations_ahead=(ahead,))


async def test_a_policy_applies_from_its_time_in_the_partition_that_has_noted_it(following: PolicyNotifier) -> None:
    following.note(switch(FIRST, 0))
    following.note(switch(FIRST, 0), partition=1)
    await following.take(warned("a", FROM - 1, FIRST, "one"))
    assert await following.heard() == [("warning", "blind_calling", "Next: 5")]
    following.note(ClockAdvance(3, 4), switch(SECOND))
    # A policy that is noted while records arrive is known before their messages are sent.
    await following.take(
        warned("b", FROM - 1, FIRST, "two"),
        warned("c", FROM, SECOND, "three"),
        alert("d", "firing", FROM, rule="second"),
    )
    await following.take(alert("e", "firing", FROM, rule="second", tenant="other"), partition=1)
    assert await following.heard() == [("warning", "blind_calling", "Next: 5"), ("warning", "blind_calling", "Next: 7")]
    await following.notifier.later(THROTTLE.delay_ms)
    assert [(m.what, m.behaviour, m.tenant_id) for m in following.fake.heard[-2:]] == [
        ("alert", "blind_calling", "acme"),
        ("alert", "second", "other"),  # no partition has noted the policy in which it exists
    ]


async def test_a_withdrawn_policy_is_not_used_for_messages(following: PolicyNotifier) -> None:
    following.note(switch(FIRST, 0), switch(SECOND), PolicyWithdrawal(FROM, SECOND.sha256), switch(THIRD, FROM + HOUR))
    await following.take(
        alert("a", "firing", FROM, rule="first"),
        alert("b", "firing", FROM + HOUR, rule="third", tenant="other"),
        alert("c", "firing", FROM + HOUR, rule="first", tenant="third"),
    )
    await following.notifier.later(THROTTLE.delay_ms)
    found = {m.tenant_id: m.behaviour for m in following.fake.heard if m.what == "alert"}
    assert found == {"acme": "blind_calling", "other": "blind_calling", "third": "first"}


async def test_alerts_continue_over_a_change_and_when_the_notifier_is_given_the_new_file(
    following: PolicyNotifier,
) -> None:
    following.note(switch(FIRST, 0), switch(SECOND))
    await following.take(alert("a", "firing", BEGAN_MS, rule="first"))
    await following.notifier.later(THROTTLE.delay_ms)
    again = PolicyNotifier(following.database, SECOND, following.topics)
    again.notifier.now_ms = following.notifier.now_ms
    await again.heard()  # before it has read the log
    await again.follow()
    await again.heard()
    assert len(await following.database.run(outbox.lasting_messages)) == 1
    assert again.fake.heard == []
    # A recreated state with a log of its own is independent: it does not resolve earlier alerts.
    restarted = PolicyNotifier(following.database, SECOND)
    restarted.notifier.now_ms = following.notifier.now_ms
    restarted.note(switch(SECOND, 0))
    await restarted.policy_log.refresh()
    await restarted.heard()
    assert await following.database.run(outbox.lasting_messages) == []


async def test_policies_missing_from_the_log_are_taken_from_the_settings(following: PolicyNotifier) -> None:
    following.note(switch(FIRST, 0), PolicyChange(FROM, SECOND.sha256, {"id": "of a release to come"}))
    with capture_logs() as logs:
        await following.take(alert("a", "firing", FROM, rule="first"))
        await following.take(alert("b", "firing", FROM, rule="first", tenant="other"))
    assert [line["log_level"] for line in logs if "cannot read" in line["event"]] == ["warning"]
    bare = PolicyNotifier(following.database, topics=FakeTopics(enforcement=2, alerts=2))
    await bare.policy_log.refresh()
    assert bare.notifier.rules_by_policy.begun == FIRST.sha256
    await following.notifier.later(THROTTLE.delay_ms)
    assert {m.behaviour for m in following.fake.heard} == {"blind_calling"}


@pytest.mark.parametrize("error", [PermanentError("no authorisation"), CorruptLog(TP("clock", 0), 1, "it is torn")])
async def test_an_unreadable_log_stops_no_messages(
    following: PolicyNotifier, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = following.topics.read

    def torn(tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        if tp.topic == "clock":
            raise error
        return read(tp, start, stop)

    following.note(switch(FIRST, 0), switch(SECOND))
    monkeypatch.setattr(following.topics, "read", torn)
    with capture_logs() as logs:
        await following.take(warned("a", FROM, FIRST, "one"))
        await following.take(warned("b", FROM, FIRST, "two"))
    assert [line["why"] for line in logs if "cannot be read" in line["event"]] == [str(error)]
    assert [what for what, *_ in await following.heard()] == ["warning", "warning"]


async def test_a_log_that_was_recreated_is_read_from_its_beginning(following: PolicyNotifier) -> None:
    following.note(switch(FIRST, 0), ClockAdvance(1, 2), ClockAdvance(2, 3))
    await following.follow()
    following.topics.logs[TP("clock", 0)].clear()
    following.note(switch(SECOND, 0))
    await following.take(alert("a", "firing", FROM, rule="second"))
    await following.notifier.later(THROTTLE.delay_ms)
    assert {m.behaviour for m in following.fake.heard} == {"blind_calling"}
