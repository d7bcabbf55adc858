"""Limits how many messages a minute a bot gets. The count is stored, so that a restart does not reset it."""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from streams.consumers.database import Database
from streams.consumers.notify.channels.base import TIMEOUT
from streams.consumers.notify.tables import SENT

_WINDOW_S: Final = 60.0
# A receiver may count a message when it reads it, which is unknown until it answers.
_UNANSWERED_S: Final = _WINDOW_S + (TIMEOUT.total or 0.0)
_KEPT_MS: Final = round(_UNANSWERED_S * 1000)


class RateLimit:
    """The limit of one channel. ``per_minute`` None: no limit. ``clock`` gives epoch ms and may go back; ``elapsed_s``
    only increases. Failed messages count too: the receiver may have counted them."""

    def __init__(
        self,
        channel: str,
        per_minute: int | None,
        database: Database,
        clock: Callable[[], int],
        elapsed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channel, self._per_minute, self._database = channel, per_minute, database
        self._clock, self._elapsed_s = clock, elapsed_s
        self._until_s: deque[float] | None = None  # until when each sent message counts

    async def room(self) -> int | None:
        """How many may be sent now; None for any number. Raises TransientError."""
        if self._per_minute is None:
            return None
        if self._until_s is None:
            self._until_s = deque(await self._database.run(self._stored))
        while self._until_s and self._until_s[0] <= self._elapsed_s():
            self._until_s.popleft()
        return self._per_minute - len(self._until_s)

    async def take(self) -> None:
        """Count one message, committed before it is sent. Raises TransientError."""
        if self._until_s is not None:
            await self._database.run(self._store)
            self._until_s.append(self._elapsed_s() + _UNANSWERED_S)

    def answered(self) -> None:
        """The last counted message was answered: its receiver has counted it by now."""
        if self._until_s:
            self._until_s[-1] = self._elapsed_s() + _WINDOW_S

    def _stored(self, connection: Connection) -> list[float]:
        now_ms, now_s, of_channel = self._clock(), self._elapsed_s(), SENT.c.channel == self._channel
        # A time in the future was stored before the clock was set back: it counts no longer than if sent now.
        connection.execute(update(SENT).where(of_channel, SENT.c.at_ms > now_ms).values(at_ms=now_ms))
        rows = connection.execute(
            select(SENT.c.at_ms).where(of_channel, SENT.c.at_ms > now_ms - _KEPT_MS).order_by(SENT.c.number)
        ).scalars()
        return [now_s + _UNANSWERED_S - (now_ms - at_ms) / 1000 for at_ms in rows]

    def _store(self, connection: Connection) -> None:
        now_ms, of_channel = self._clock(), SENT.c.channel == self._channel
        connection.execute(delete(SENT).where(of_channel, SENT.c.at_ms <= now_ms - _KEPT_MS))
        connection.execute(insert(SENT).values(channel=self._channel, at_ms=now_ms))
