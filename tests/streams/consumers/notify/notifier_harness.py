"""A notifier with its own clock and fake receivers, for tests."""

from collections.abc import Sequence
from typing import Any

import msgspec
from rules_harness import POLICY, THROTTLE

from monitor.policy.model import Policy
from streams.consumers.database import Database
from streams.consumers.follower import FollowedRecord
from streams.consumers.notify.channels import Channel, DeliveryFailed
from streams.consumers.notify.delivery.sender import Sender
from streams.consumers.notify.handler import NotifyHandler
from streams.consumers.notify.messages.message import Message
from streams.consumers.notify.rules.rules_by_policy import RulesByPolicy
from streams.consumers.notify.telemetry import NotifyMetrics
from streams.kafka.api import TP

BEGAN_MS = 1_772_409_600_000


class FakeChannel:
    """A channel that receives all messages, unless it is set to fail.

    ``failing``: at every message; ``refuses``: these ids, with a reason; ``breaks``: a request with one of these,
    without a reason.
    """

    at_once = 1

    def __init__(self, name: str, per_minute: int | None = None) -> None:
        self.name, self.per_minute = name, per_minute
        self.heard: list[Message] = []
        self.failing: DeliveryFailed | None = None
        self.refuses: set[str] = set()
        self.breaks: set[str] = set()
        self.requests = 0

    async def send(self, messages: Sequence[Message], since_ms: Sequence[int]) -> str:
        self.requests += 1
        if self.failing is not None:
            raise self.failing
        if any(message.id in self.refuses for message in messages):
            raise DeliveryFailed("it does not like it", message_alone=True)
        if any(broken in said(message) for message in messages for broken in self.breaks):
            raise DeliveryFailed("it answers 500")
        self.heard += messages
        return "ok"


def said(message: Message) -> list[str]:
    """The ids of a message: its own, and the tenants of its items."""
    return [message.id, *(item.tenant_id for item in message.items)]


class Notifier:
    """A whole notifier, with its own clock and fake receivers."""

    def __init__(self, database: Database, *ears: Channel, policy: Policy = POLICY) -> None:
        self.database, self.now_ms = database, BEGAN_MS
        names = [fake.name for fake in ears]
        self.telemetry, self.ears = NotifyMetrics(names, lambda: self.now_ms), ears
        self.rules_by_policy = RulesByPolicy(policy, THROTTLE)
        self.consumer = NotifyHandler(
            self.rules_by_policy, THROTTLE, names, "enforcement", lambda: self.now_ms, self.telemetry
        )
        self.elapsed_s, self.offset = 0.0, 0
        self.restart()

    def restart(self) -> None:
        """Restart: the in-memory state of sent messages is lost."""
        self.senders = [
            Sender(fake, self.database, lambda: self.now_ms, self.telemetry, lambda: self.elapsed_s)
            for fake in self.ears
        ]

    async def take(self, *records: Any, written_ms: int | None = None) -> None:
        """Handle records of the topics, written just now unless given otherwise."""
        rows = []
        for record in records:
            topic = "enforcement" if hasattr(record, "subject") else "alerts"
            value = record if isinstance(record, bytes) else msgspec.json.encode(record)
            rows.append(FollowedRecord(TP(topic, 0), self.offset, written_ms or self.now_ms, None, value))
            self.offset += 1
        (await self.database.run(lambda connection: self.consumer.handle(connection, rows)))()

    async def later(self, ms: int = 1000) -> None:
        """Advance the clock, and let every part do its work."""
        self.now_ms += ms
        self.elapsed_s += ms / 1000
        await self.database.run(self.consumer.tick)
        for sender in self.senders:
            await sender.step()

    def metric(self, name: str, **labels: str) -> float | None:
        return self.telemetry.registry.get_sample_value(name, labels)
