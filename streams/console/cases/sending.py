"""Sends verdicts whose time has come, and finds those that the worker rejected."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, Protocol

import structlog
from sqlalchemy import Connection, Row, select, update

from monitor.text.bilingual import Bilingual
from schemas import codec
from streams.console import outbox
from streams.console.cases.history import case_of
from streams.console.cases.verdicts import given_on, put_back
from streams.console.identity.tables import PROPOSALS
from streams.console.tables import CASES, VERDICTS
from streams.consumers.database import Database
from streams.kafka.api import OffsetOutOfRange, PermanentError, TransientError
from streams.reviews.signatures import SIGNATURE_HEADER, SignedValue
from streams.reviews.validation import ReviewRefused, rejection_reason, review_of

log = structlog.get_logger("callwarden")

Sign = Callable[[bytes], outbox.Headers]
"""The headers of a review of these bytes: its signature."""

AT_ONCE: Final = 200
_LOOK_S: Final = 1.0
_NOT_APPROVED: Final = Bilingual("没有第二人及时批准", "no second person has approved it in time")
_UNKNOWN: Final = Bilingual("未找到该案件", "unknown")


class RejectionSearch(Protocol):
    """A search of the dead letters; `streams.reviews.rejections.RejectedReviews` implements it."""

    async def begin(self, since_ms: int | None = None) -> None:
        """Start at a time, by the reviewers' clocks."""
        ...

    async def read_new(self) -> dict[SignedValue, str]:
        """All rejected reviews since then, with the reason."""
        ...


def release_due(connection: Connection, now_ms: int, sign: Sign) -> int:
    """Put the verdicts that have waited long enough into the outbox, in the caller's transaction. Returns how many.

    Those that nobody has approved in time end, and their cases wait again.
    """
    v = VERDICTS.c
    overdue = select(VERDICTS).join(PROPOSALS, PROPOSALS.c.id == v.proposal_id)
    overdue = overdue.where(v.state == "approval", PROPOSALS.c.expires_ms <= now_ms)
    for row in connection.execute(overdue.limit(AT_ONCE)).all():
        _end(connection, row, "declined", _NOT_APPROVED, now_ms)
    query = select(VERDICTS).where(v.state == "waiting", v.send_ms <= now_ms).order_by(v.send_ms, v.number)
    rows = connection.execute(query.limit(AT_ONCE)).all()
    return sum(_release(connection, row, now_ms, sign) for row in rows)


def _release(connection: Connection, row: Row[Any], now_ms: int, sign: Sign) -> bool:
    case = case_of(connection, row.case_id)
    given = given_on(connection, case, row.verdict, row.kind)
    at_ms = row.approved_ms or row.given_ms
    # A verdict that was in time when it was given may still be in time for the worker.
    why = rejection_reason(case, row.enforcement_id, given, at_ms)
    if why is None and case is not None:
        try:
            value = codec.encode(review_of(case, given, reviewer_of(row), row.reason, at_ms))
        except ReviewRefused as error:
            why = error.both
    if why is not None or case is None:
        _end(connection, row, "withdrawn", why or _UNKNOWN, now_ms)
        return False
    taken = update(VERDICTS).where(VERDICTS.c.number == row.number, VERDICTS.c.state == "waiting")
    if connection.execute(taken.values(state="sent", value=value)).rowcount != 1:
        return False
    outbox.add(connection, "reviews", row.tenant_id.encode(), value, headers=sign(value))
    left = {"queue": None, "claimed_by": None, "claimed_name": None, "claimed_until_ms": 0}
    connection.execute(update(CASES).where(CASES.c.verdict == row.number).values(left))
    return True


def reviewer_of(row: Row[Any]) -> str:
    """The reviewer as the review's text names them: both people of a ban."""
    return f"{row.name} + {row.approved_name}" if row.approved_name else str(row.name)


def unanswered(connection: Connection) -> list[Row[Any]]:
    """The verdicts that were sent and have no effect yet, the oldest first."""
    query = select(VERDICTS).where(VERDICTS.c.state == "sent").order_by(VERDICTS.c.send_ms).limit(1_000)
    return list(connection.execute(query).all())


def end_rejected(connection: Connection, rejected: dict[SignedValue, str], now_ms: int) -> int:
    """End the verdicts whose review the worker rejected; their cases wait again. Returns how many.

    A copy of a review without its signature, which anybody may have sent, is another review.
    """
    values, ended = {one.value for one in rejected}, 0
    for row in unanswered(connection):
        if row.value in values:
            headers = outbox.headers_of(connection, row.tenant_id.encode(), row.value)
            why = rejected.get(SignedValue(row.value, dict(headers).get(SIGNATURE_HEADER)))
            if why is not None:
                _end(connection, row, "rejected", Bilingual("", why), now_ms)
                ended += 1
    return ended


def _end(connection: Connection, row: Row[Any], state: str, why: Bilingual, now_ms: int) -> None:
    ended = update(VERDICTS).where(VERDICTS.c.number == row.number)
    connection.execute(ended.values(state=state, why=why.en, why_zh=why.zh or None, ended_ms=now_ms))
    put_back(connection, row)


class VerdictSending:
    """Releases verdicts, and searches the dead letters for those that were sent. Several processes may run it."""

    def __init__(
        self,
        database: Database,
        sign: Sign,
        rejections: Callable[[], RejectionSearch],
        clock: Callable[[], int],
        released: Callable[[], None],
    ) -> None:
        """``released`` is called when records were put into the outbox."""
        self._database, self._sign, self._rejections = database, sign, rejections
        self._clock, self._released = clock, released
        self._search: RejectionSearch | None = None

    async def run(self) -> None:
        """Release and search until cancelled. Failures are logged and retried."""
        while True:
            for step in (self.release, self.search):
                await self._try(step)
            await asyncio.sleep(_LOOK_S)

    async def _try(self, step: Callable[[], Awaitable[int]]) -> None:
        try:
            await step()
        except (TransientError, PermanentError, OffsetOutOfRange) as error:
            log.warning("verdicts wait", why=str(error))
            self._search = None

    async def release(self) -> int:
        """Put what is due into the outbox. Raises TransientError."""
        work = partial(release_due, now_ms=self._clock(), sign=self._sign)
        if count := await self._database.run(work):
            self._released()
        return count

    async def search(self) -> int:
        """End what was rejected. Raises TransientError or PermanentError."""
        waiting = await self._database.run(unanswered)
        if not waiting:
            self._search = None
            return 0
        if self._search is None:
            search = self._rejections()
            await search.begin(min(row.given_ms for row in waiting))
            self._search = search
        rejected = await self._search.read_new()
        return await self._database.run(partial(end_rejected, rejected=rejected, now_ms=self._clock()))
