"""Polls the queue for changes, which other processes make too, and sends them to open pages."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from sqlalchemy import Connection, func, select

from streams.console import outbox
from streams.console.cases import queue
from streams.console.four_eyes import ProposalKind, pending_proposers
from streams.console.tables import OUTBOX, POSITIONS
from streams.console.telemetry import STATES, ConsoleMetrics, ConsoleState
from streams.consumers.database import Database
from streams.kafka.api import TransientError

log = structlog.get_logger("callwarden")

_MOST_STREAMS: Final = 200
_MOST_OF_A_USER: Final = 20
_LOOK_S: Final = 1.5
_AGAIN_MS: Final = 15_000
"""After this long the counts are read again: cases come near to their deadline, and postponed ones come back."""


class ChangeWatch:
    """The version of the queue: it grows with each change. ``policy_proposers``: who proposed the policies that wait
    for a second person.

    ``failure``: why the database could not be read when it was looked at last.
    """

    def __init__(
        self,
        database: Database,
        now_ms: Callable[[], int],
        telemetry: ConsoleMetrics,
        notice: Callable[[], str | None] = lambda: None,
    ) -> None:
        """``now_ms`` gives epoch ms; ``notice`` what every page says, which is watched, too."""
        self._notice, self._noticed = notice, notice()
        self._database, self._now_ms, self._telemetry = database, now_ms, telemetry
        self.version = 0
        self._streams: Counter[str] = Counter()
        self.counts: queue.QueueCounts | None = None
        self.policy_proposers: list[str] = []
        self.failure: str | None = None
        self._seen: object = None
        self._mark: object = None
        self._again_ms = 0
        self._changed = asyncio.Event()
        self.closed = False

    @property
    def streams(self) -> int:
        """How many pages are open."""
        return self._streams.total()

    @contextmanager
    def stream_of(self, subject: str) -> Iterator[bool]:
        """A page of this user is open meanwhile; False if there are too many, or too many of this user."""
        has_room = self.streams < _MOST_STREAMS and self._streams[subject] < _MOST_OF_A_USER
        taken = has_room and not self.closed
        self._streams[subject] += taken
        try:
            yield taken
        finally:
            self._streams[subject] -= taken
            if not self._streams[subject]:
                del self._streams[subject]

    async def run(self) -> None:
        """Watch until cancelled; the streams end then."""
        try:
            while True:
                try:
                    await self.look()
                    self.failure = None
                except TransientError as error:
                    self.failure = str(error)
                    log.debug("the queue cannot be watched", why=str(error))
                await asyncio.sleep(_LOOK_S)
        finally:
            self.closed = True
            self._changed.set()

    async def look(self) -> None:
        """Compare with what was seen last. Raises TransientError."""
        if (noticed := self._notice()) != self._noticed:
            self._noticed = noticed
            self._grow()
        seen = await asyncio.to_thread(self._read)
        if seen is None:
            return
        self.counts, self.policy_proposers, newest, oldest_due_ms = seen
        queued = {name: getattr(self.counts, name) for name in STATES}
        self._telemetry.state = ConsoleState(queued, oldest_due_ms, self.streams)
        if (self.counts, newest) != self._seen:
            self._seen = self.counts, newest
            self._grow()

    def _grow(self) -> None:
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed_since(self, version: int, within_s: float) -> bool:
        """Wait for another version than this; False after ``within_s``, and when the watch has ended."""
        if self.version == version and not self.closed:
            try:
                async with asyncio.timeout(within_s):
                    await self._changed.wait()
            except TimeoutError:
                return False
        return self.version != version

    def _read(self) -> tuple[queue.QueueCounts, list[str], int, int | None] | None:
        """What is to be seen; None if nothing was written and no time has come since."""
        now_ms = self._now_ms()
        with self._database.reading() as connection:
            mark = connection.execute(select(POSITIONS.as_text())).scalar(), _newest_action(connection)
            if mark == self._mark and now_ms < self._again_ms:
                return None
            # Counting reads many rows: as often as something changes, but no more than that.
            self._mark, self._again_ms = mark, now_ms + _AGAIN_MS
            proposers = pending_proposers(connection, ProposalKind.POLICY, now_ms)
            return queue.shared_counts(connection, now_ms), proposers, mark[1], outbox.oldest_due_ms(connection)


def _newest_action(connection: Connection) -> int:
    """Each action of a person is a row of the outbox."""
    return int(connection.execute(select(func.max(OUTBOX.c.number))).scalar() or 0)
