"""A console without Kafka and without a clock: its database, intake and outbox on topics in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Table, select

from helpers.fake_topics import FakeTopics
from helpers.fenced_writer import FencedWriter
from oracle.ledger import T0
from schemas import codec
from schemas.inputs import Application, Review, Tenant
from schemas.outputs import Alert, Enforcement
from streams.console.context import ConsoleContext
from streams.console.intake.handler import CaseIntake, followed_topics
from streams.console.main import NAME, PACKAGE
from streams.console.outbox import OutboxSender
from streams.console.tables import POSITIONS
from streams.console.telemetry import ConsoleMetrics
from streams.consumers.database import Database
from streams.consumers.follower import Follower, FollowerHooks
from streams.kafka.outputs import OutputRecord
from streams.kafka.topic_names import TopicNames
from streams.reviews.sender_context import SenderContext, Write
from streams.settings.load import Settings, load

NAMES = TopicNames()
ONE_PARTITION = "actions"


def topics(partitions: int = 2) -> FakeTopics:
    """The topics that the console follows and writes, empty."""
    names = [*followed_topics(NAMES), NAMES.output("state"), NAMES.output(ONE_PARTITION)]
    held = FakeTopics(**{name: 1 if name.endswith(ONE_PARTITION) else partitions for name in names})
    held.now_ms = 4_000_000_000_000
    return held


class ConsoleHarness:
    """One console process. ``now_ms`` is its clock; ``writer`` says how its next writes to Kafka fail."""

    def __init__(self, held: FakeTopics, database: Database, settings: Settings) -> None:
        self.held, self.database, self.settings = held, database, settings
        self.now_ms = T0 + 1_000
        self.writer = FencedWriter(held)
        self.telemetry = ConsoleMetrics()
        intake = CaseIntake(NAMES, self.telemetry, self.clock)
        self._intake = intake
        self.follower = self._new_follower()
        self.context = ConsoleContext(settings, database, self.telemetry, self.follower.progress, self.clock)
        self.sender = OutboxSender(SenderContext(held, database, NAMES, "murmur2", self.writing), self.clock)

    def clock(self) -> int:
        """Epoch ms."""
        return self.now_ms

    async def follow(self) -> None:
        """Have the console read everything that the topics hold."""
        # The topics' clock is ahead: to a follower that has read once, everything seems to be read.
        self.follower = self._new_follower()
        await self.follower.catch_up()

    def _new_follower(self) -> Follower:
        hooks = FollowerHooks(pass_over=self._intake.pass_over)
        topics = list(followed_topics(NAMES))
        return Follower(self.held, self.database, POSITIONS, topics, self._intake.handle, hooks=hooks)

    async def put(self, *records: Enforcement | Alert | Review | Tenant | Application, shadow: bool = False) -> None:
        """Append records to their topics, and have the console read them."""
        for record in records:
            self.held.put(topic_of(record, shadow), 0, codec.encode(record), key=tenant_of(record).encode())
        await self.follow()

    async def send(self) -> int:
        """Send what is due, as `OutboxSender.run` does, while the follower reads."""
        total = 0
        while sent := await self.sender.send_due():
            total += sent
        await self.follow()
        return total

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Write]:
        """Open a writer once the console has read what the topics hold."""
        async with self.writer.writing() as write:
            await self.follow()
            yield write

    @property
    def written(self) -> list[OutputRecord]:
        """What was written to Kafka."""
        return self.writer.written

    def rows(self, table: Table) -> list[dict[str, Any]]:
        """All rows of a table by its primary key."""
        with self.database.reading() as connection:
            found = connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
            return [dict(row) for row in found]


def topic_of(record: Enforcement | Alert | Review | Tenant | Application, shadow: bool = False) -> str:
    """The topic of a record."""
    match record:
        case Enforcement():
            return NAMES.output("shadow" if shadow else "enforcement")
        case Alert():
            return NAMES.output("alerts")
        case Review():
            return f"{NAMES.input_prefix}reviews"
        case _:
            return f"{NAMES.input_prefix}tenants"


def tenant_of(record: Enforcement | Alert | Review | Tenant | Application) -> str:
    """The key of a record."""
    return record.subject if isinstance(record, Enforcement) else record.tenant_id


@asynccontextmanager
async def console_at(
    place: Path | str, held: FakeTopics | None = None, **settings: Any
) -> AsyncIterator[ConsoleHarness]:
    """A console process with a database in a folder, or at an address; closing it is a kill: nothing is finished."""
    named = {name.removeprefix("CALLWARDEN_").lower(): value for name, value in settings.items()}
    url = place if isinstance(place, str) else f"sqlite:///{place / 'console.db'}"
    database = Database(url, NAME, package=PACKAGE)
    try:
        await database.migrate()
        yield ConsoleHarness(held if held is not None else topics(), database, load(named))
    finally:
        database.close()
