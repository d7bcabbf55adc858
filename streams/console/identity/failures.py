"""Failed sign-ins as actions: at most one a minute for each account, however many there are."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy import Connection

from streams.console import actions
from streams.console.actions import ADDRESS, About
from streams.consumers.database import Database
from streams.kafka.api import TransientError

_EVERY_MS: Final = 60_000
_MOST: Final = 5_000


@dataclass(slots=True)
class _Failures:
    recorded_ms: int
    waiting: int = 0
    address: str = ""


class FailedSignIns:
    """Counts failures by account, and records them.

    The topic of actions never expires, and anybody may fail to sign in. So the first failure is recorded at once, and
    those of the next minute together, with their count. Names that nobody has are counted as one.
    """

    def __init__(
        self, database: Database, clock: Callable[[], int], counted: Callable[[], None] = lambda: None
    ) -> None:
        """``counted`` is called for each."""
        self._database, self._clock, self._counted = database, clock, counted
        self._of: OrderedDict[str | None, _Failures] = OrderedDict()

    async def add(self, subject: str | None, address: str) -> None:
        """Count a failure. ``subject`` None: under a name that nobody has. Raises TransientError."""
        self._counted()
        now_ms = self._clock()
        found = self._of.setdefault(subject, _Failures(now_ms - _EVERY_MS))
        self._of.move_to_end(subject)
        found.waiting, found.address = found.waiting + 1, address
        if now_ms - found.recorded_ms >= _EVERY_MS:
            await self._record(subject, found, now_ms)
        if len(self._of) > _MOST:
            await self.flush()

    async def flush(self, *, all_of_them: bool = False) -> None:
        """Record those that have waited for a minute, or all, as before the process ends. Raises TransientError."""
        now_ms = self._clock()
        due = [
            (subject, found)
            for subject, found in self._of.items()
            if all_of_them or len(self._of) > _MOST or now_ms - found.recorded_ms >= _EVERY_MS
        ]
        for subject, found in due:
            if found.waiting:
                await self._record(subject, found, now_ms)
            else:
                self._of.pop(subject, None)

    async def _record(self, subject: str | None, found: _Failures, now_ms: int) -> None:
        count, before_ms = found.waiting, found.recorded_ms
        details = {"count": str(count), ADDRESS: found.address}
        found.waiting, found.recorded_ms = 0, now_ms  # before it is awaited: other requests count on meanwhile
        try:
            await self._database.run(partial(_write, now_ms=now_ms, about=About(subject=subject, details=details)))
        except TransientError:
            found.waiting, found.recorded_ms = found.waiting + count, before_ms
            raise


def _write(connection: Connection, now_ms: int, about: About) -> None:
    actions.record(connection, None, "sign_in_failed", now_ms, about)
