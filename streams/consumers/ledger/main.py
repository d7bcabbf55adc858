"""`callwarden ledger run`: appends new records, publishes the chain heads daily, serves the health endpoints."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection

from monitor.text.timestamps import day
from streams.consumers.data_loss import RecordsLost
from streams.consumers.database import Database
from streams.consumers.follower import Follower
from streams.consumers.ledger import published_heads as heads
from streams.consumers.ledger.access import database_of
from streams.consumers.ledger.catch_up import follower_of, lost
from streams.consumers.ledger.progress import note_progress
from streams.consumers.ledger.published_heads import ChainHead
from streams.consumers.ledger.reparse import reparse_faulty
from streams.consumers.ledger.tables import JOURNAL, POSITIONS
from streams.consumers.ledger.up_to_date import topics_of
from streams.consumers.ledger.verify import last_verification
from streams.consumers.ledger.verify.last_verification import Verification
from streams.consumers.ledger.writer import LedgerWriter
from streams.consumers.service import FollowedTopics, host, lag_reason, once_available, pages_app
from streams.consumers.topic_reader import TopicReader
from streams.kafka.api import TP, TransientError
from streams.kafka.topic_names import TopicNames
from streams.metrics.factory import LabelValues, counter, gauge
from streams.runtime.log_limiter import LogLimiter
from streams.runtime.wall_clock import epoch_ms
from streams.settings.load import Settings

log = structlog.get_logger("callwarden")

_LOOK_S = 5.0
_LONGEST_RETRY_S = 5.0


Beside = Callable[[Database], Coroutine[Any, Any, None]]
"""Work that runs beside the follower on its database, once the database is migrated to this release."""


async def run_ledger(settings: Settings, cluster: TopicReader, beside: Beside) -> None:
    """Run the ledger until a stop is requested. Raises PermanentError or CorruptLog."""
    names = TopicNames.from_settings(settings)
    database = database_of(settings)
    registry = CollectorRegistry()
    meters = LedgerMetrics(registry, topics_of(names))
    keeper = LedgerWriter(meters.kept)
    follower = follower_of(cluster, database, names, keeper)
    registry.register(FollowedTopics("ledger", follower))

    begun = asyncio.Event()

    async def keep() -> None:
        meters.begin(await _begun(database))
        begun.set()
        try:
            await follower.run()
        except RecordsLost as error:
            raise lost(error) from None

    async def work_beside() -> None:
        await begun.wait()
        await beside(database)

    async def note() -> None:
        await begun.wait()
        await keep_progress(database, follower)

    async def show() -> None:
        await begun.wait()
        await show_verification(database, meters)

    try:
        app = pages_app(registry, lambda: lag_reason(follower))
        work = [keep(), Publisher(database, follower, settings, meters).run(), note(), show(), work_beside()]
        address = settings.web_host, settings.ledger_port
        await host(work, app, address, "CALLWARDEN_LEDGER_PORT", settings.stop_within_ms / 1000, registry)
    finally:
        database.close()


async def keep_progress(database: Database, follower: Follower) -> None:
    """Store the follower's progress and a heartbeat of the service in the database until cancelled."""
    limited = LogLimiter()
    while True:
        at, as_of_ms = follower.positions(), follower.progress().as_of_ms
        note = partial(_note, follower=follower, at=at, as_of_ms=as_of_ms)
        try:
            await database.run(note)
        except TransientError as error:  # the follower, which writes only if there are records, may not notice it
            limited.warn("the progress cannot be stored", why=str(error))
        await asyncio.sleep(_LOOK_S)


async def show_verification(database: Database, meters: "LedgerMetrics") -> None:
    """Show the last verification that `ledger verify --record` noted, until cancelled."""
    while True:
        with suppress(TransientError):  # the follower logs why
            if (done := await asyncio.to_thread(_last_verification, database)) is not None:
                meters.verified(done)
        await asyncio.sleep(_LOOK_S)


def _last_verification(database: Database) -> Verification | None:
    with database.reading() as connection:
        return last_verification.last(connection)


def _note(connection: Connection, follower: Follower, at: Mapping[TP, int], as_of_ms: int | None) -> None:
    follower.check(at, POSITIONS.known(connection))
    note_progress(connection, as_of_ms, service_ms=epoch_ms())


class LedgerMetrics:
    """The ledger's metrics, other than the lag metrics."""

    def __init__(self, registry: CollectorRegistry, topics: Sequence[str]) -> None:
        self._entries = gauge("callwarden_ledger_entries", registry)
        self._unreadable = counter("callwarden_ledger_unreadable_total", registry)
        for topic in topics:  # or the first one would not count as an increase
            self._unreadable.labels(topic)
        self.published = LabelValues("callwarden_ledger_heads_published_timestamp_seconds", registry)
        self._verified = LabelValues("callwarden_ledger_verified_timestamp_seconds", registry)
        self._differences = LabelValues("callwarden_ledger_verified_differences", registry)
        self._verified_entries = gauge("callwarden_ledger_verified_entries", registry)

    def begin(self, heads_: Sequence[heads.PublishedHead]) -> None:
        """Initialise the entry counts from the stored heads."""
        for head in heads_:
            if head.topic == JOURNAL.topic:
                continue  # other processes write it: its count here would never change
            self._entries.labels(head.topic, head.partition).set(head.number)

    def verified(self, done: Verification) -> None:
        """Show the verification that was recorded last."""
        self._verified.set(done.at_ms / 1000)
        self._differences.set(done.differences)
        for tp, number in done.entries.items():
            self._verified_entries.labels(tp.topic, tp.partition).set(number)

    def kept(self, tp: TP, head: ChainHead, unread: int) -> None:
        """See `LedgerWriter`."""
        self._entries.labels(tp.topic, tp.partition).set(head.number)
        self._unreadable.labels(tp.topic).inc(unread)


class Publisher:
    """Publishes the heads once a day (UTC), at the start of the day or when the service starts."""

    def __init__(self, database: Database, follower: Follower, settings: Settings, meters: LedgerMetrics) -> None:
        self._database, self._follower = database, follower
        self._path, self._meters = settings.ledger_heads, meters

    async def run(self) -> None:
        """Publish each day until cancelled. Failures of the file or the database are logged and retried."""
        while True:
            now_ms, as_of_ms = epoch_ms(), self._follower.progress().as_of_ms
            try:
                # The heads of a day include everything committed before it began.
                if as_of_ms is not None and day(as_of_ms) >= day(now_ms):
                    await self.publish(now_ms)
            except (OSError, TransientError) as error:
                log.error("the heads cannot be published; retrying", why=str(error))
            await asyncio.sleep(_LOOK_S)

    async def publish(self, now_ms: int) -> None:
        """Publish the heads of that day unless they are published. Raises TransientError or OSError."""
        today = day(now_ms)
        if (at_ms := await self._database.run(lambda connection: heads.published_ms(connection, today))) is not None:
            self._meters.published.set(at_ms / 1000)
            return
        line = heads.HeadReport(today, now_ms, await self._database.run(heads.heads_of))
        if not line.heads:
            return
        # Published before it is recorded: a crash in between publishes twice, never not at all.
        if self._path:
            heads.append(self._path, line)
        log.info(
            "heads published", day=today, heads=[f"{h.topic}-{h.partition} {h.number} {h.hash}" for h in line.heads]
        )
        await self._database.run(lambda connection: heads.note_published(connection, today, now_ms))
        self._meters.published.set(now_ms / 1000)


async def _begun(database: Database) -> tuple[heads.PublishedHead, ...]:
    """Create or migrate the ledger and return its heads; retry while the database is unavailable."""

    async def begin() -> tuple[heads.PublishedHead, ...]:
        await database.migrate()
        await database.run(reparse_faulty)
        return await database.run(heads.heads_of)

    return await once_available(begin, _LONGEST_RETRY_S)
