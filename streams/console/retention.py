"""Deletes what the console no longer needs, some rows at a time. Cases, their events, notes and verdicts stay."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

import structlog
from sqlalchemy import ColumnElement, Connection, Table, delete, select, true, tuple_

from monitor.text.durations import DAY
from streams.console.evidence.tables import EVIDENCE
from streams.console.identity.tables import API_TOKENS, SESSIONS
from streams.console.tables import ACTIONS, ALERTS, EVENTS, NAMED_IDS
from streams.consumers.database import Database
from streams.kafka.api import TransientError

log = structlog.get_logger("callwarden")

AT_ONCE: Final = 1_000
"""Rows in one transaction: writers wait for it on SQLite."""
_EVERY_S: Final = 3_600.0
_BETWEEN_S: Final = 0.2


class Kept(NamedTuple):
    """Rows that are deleted ``keep_ms`` after the time in ``at``, if ``which`` holds."""

    table: Table
    at: ColumnElement[Any]
    keep_ms: int
    which: ColumnElement[bool]


REVIEWABLE_MS: Final = 400 * DAY
"""How long a worker knows a decision, so that a review of it takes effect (`retention`)."""

KEPT: Final = (
    Kept(EVIDENCE, EVIDENCE.c.added_ms, REVIEWABLE_MS, true()),
    Kept(NAMED_IDS, NAMED_IDS.c.at_ms, REVIEWABLE_MS, true()),
    Kept(EVENTS, EVENTS.c.timestamp_ms, 90 * DAY, EVENTS.c.shadow.is_(True)),
    # One that fires is current, however old.
    Kept(ALERTS, ALERTS.c.updated_ms, 90 * DAY, ALERTS.c.state == "resolved"),
    # The topic and the ledger keep them forever.
    Kept(ACTIONS, ACTIONS.c.at_ms, 400 * DAY, true()),
    Kept(SESSIONS, SESSIONS.c.expires_ms, DAY, true()),
    Kept(API_TOKENS, API_TOKENS.c.expires_ms, DAY, true()),
)
"""What is deleted, and when (docs/guides/console.md)."""


def forget(connection: Connection, kept: Kept, now_ms: int) -> int:
    """Delete some rows that are too old. Returns how many."""
    key = tuple_(*kept.table.primary_key.columns)
    old = select(*kept.table.primary_key.columns).where(kept.at < now_ms - kept.keep_ms, kept.which).limit(AT_ONCE)
    return connection.execute(delete(kept.table).where(key.in_(old))).rowcount


class RowCleanup:
    """Deletes old rows each hour. Several processes with one database may run it."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        """``clock`` gives epoch ms."""
        self._database, self._clock = database, clock

    async def run(self) -> None:
        """Delete until cancelled."""
        while True:
            try:
                await self.forget_due()
            except TransientError as error:
                log.warning("old rows of the console cannot be deleted yet", why=str(error))
            await asyncio.sleep(_EVERY_S)

    async def forget_due(self) -> None:
        """Delete all rows that are too old, with pauses in which others write. Raises TransientError."""
        for kept in KEPT:
            total = 0
            while count := await self._database.run(partial(forget, kept=kept, now_ms=self._clock())):
                total += count
                await asyncio.sleep(_BETWEEN_S)
            if total:
                log.info("old rows of the console were deleted", table=kept.table.name, rows=total)
