"""The review service: brings the ledger up to date, reserves and sends verdicts, and reports their outcomes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from sqlalchemy import Connection

from monitor.policy.model import OpenKind
from monitor.text.durations import DAY
from schemas.outputs import Enforcement
from streams.consumers.ledger.queries.lookup import decision_delay_ms, events_of_review
from streams.consumers.ledger.tables import REJECTIONS
from streams.consumers.ledger.up_to_date import is_up_to_date, may_be_reread
from streams.consumers.record_decoding import review_of
from streams.kafka.api import TP
from streams.reviews.reservation_sender import AT_ONCE, ReservationSender
from streams.reviews.reservations import Replace, Reservation, ReviewedBy, claim, unanswered, withdraw
from streams.reviews.sender_context import SenderContext
from streams.reviews.signatures import SignedValue
from streams.reviews.validation import ReviewRefused, Verdict
from streams.runtime.wall_clock import epoch_ms

_LOOK_S = 1.0
_FORGOTTEN_MS = 90 * DAY  # how long rejections are kept

Rejections = Callable[[], Awaitable[dict[SignedValue, str]]]
"""Reviews that the worker has rejected since, with the reason."""


class CaseSearch(Protocol):
    """A search of the dead letters; `streams.reviews.rejections.RejectedReviews` implements it."""

    async def read_new(self) -> dict[SignedValue, str]:
        """The rejected reviews, with the reason."""
        ...

    def positions(self) -> Mapping[TP, int]:
        """The offsets up to which it has searched."""
        ...


Since = Callable[[int, Mapping[TP, int]], Awaitable[CaseSearch]]
"""The rejections since a time (epoch ms by the reviewers' clocks), except what was searched before."""


@dataclass
class SubmittedReviews:
    """The result of submitting verdicts: the reservations, and by the given id why others were refused."""

    claims: list[Reservation] = field(default_factory=list)
    refused: dict[str, ReviewRefused] = field(default_factory=dict)


@dataclass
class ReviewOutcomes:
    """The outcomes of reservations, by the id in force: events, or why the worker rejected the review."""

    events: dict[str, list[Enforcement]] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)


class ReviewService:
    """Submits reviews. Safe to use while `callwarden ledger run` is running."""

    def __init__(self, context: SenderContext, before_reading: Callable[[], None] = lambda: None) -> None:
        """``before_reading`` is called before the topics are read, since reading logs."""
        self._topics, self._database, self._names = context.topics, context.database, context.names
        self._before_reading = before_reading
        self._sender = ReservationSender(context, self._catch_up)

    async def begin(self) -> None:
        """Create or migrate the ledger, and bring it up to the topics' ends.

        If it is up to date already, nothing is read from the topics.
        """
        await self._database.migrate()
        if await self._database.run(may_be_reread):
            from streams.consumers.ledger.reparse import reparse_faulty

            await self._database.run(reparse_faulty)
        await self._catch_up()

    async def settle(self, since: Since) -> list[Reservation]:
        """Withdraw and return the verdicts of earlier commands that the worker rejected after those had ended.

        Dead letters that were searched before are not read again: a review is always rejected after it is reserved.
        """
        now_ms = epoch_ms()
        waiting = await self._database.run(partial(unanswered, since_ms=now_ms - _FORGOTTEN_MS))
        if not waiting:
            return []
        searched = await self._database.run(REJECTIONS.known)
        rejections = await since(min(one.claimed_ms for one in waiting), searched)
        rejected = await rejections.read_new()
        reasons = ((one, rejected.get(one.signed_value)) for one in waiting)
        settled = [replace(one, withdrawn=why) for one, why in reasons if why is not None]

        def write(connection: Connection) -> None:
            for one in settled:
                withdraw(connection, one, one.withdrawn or "", now_ms)
            REJECTIONS.raise_to(connection, rejections.positions())

        if settled or rejections.positions() != searched:
            await self._database.run(write)
        return settled

    async def give(
        self,
        ids: Sequence[str],
        verdict: Verdict,
        by: ReviewedBy,
        *,
        again: Replace | None = None,
        kind: OpenKind | None = None,
    ) -> SubmittedReviews:
        """Submit the same verdict on all of these decisions. ``kind``: the kind that an uphold gives them, if any.

        Raises TransientError or PermanentError; the ledger service then sends what is reserved.
        """
        given = SubmittedReviews()
        # Sorted, so that two commands that submit many at once do not deadlock.
        ids = sorted(set(ids))
        for start in range(0, len(ids), AT_ONCE):
            claim_some = partial(
                _claim, ids=ids[start : start + AT_ONCE], verdict=verdict, by=by, again=again, kind=kind
            )
            some = await self._database.run(claim_some)
            sent = await self._sender.send(some.claims)
            late = {one.review_id: ReviewRefused(str(one.withdrawn)) for one in sent.withdrawn}
            given.claims += [one for one in some.claims if one.review_id not in late]
            given.refused |= some.refused
            given.refused |= {one.enforcement_id: late[one.review_id] for one in some.claims if one.review_id in late}
        return given

    async def outcomes(self, claims: Sequence[Reservation], within_s: float, rejections: Rejections) -> ReviewOutcomes:
        """The outcomes by then. A rejected reservation is withdrawn, so that another verdict can be submitted."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        found = ReviewOutcomes()
        while True:
            await self._catch_up()
            rejected = await rejections()
            for one in claims:
                if events := await self._database.run(partial(_events, claim=one)):
                    found.events[one.enforcement_id] = events
                elif one.signed_value in rejected:
                    found.rejected[one.enforcement_id] = rejected[one.signed_value]
                    gone = partial(withdraw, claim=one, why=rejected[one.signed_value], now_ms=epoch_ms())
                    await self._database.run(gone)
            if len(found.events) + len(found.rejected) == len(claims) or loop.time() >= until:
                return found
            await asyncio.sleep(_LOOK_S)

    async def delay_ms(self) -> int | None:
        """The expected delay until a verdict takes effect, from recent decisions; None if there are none."""
        return await self._database.run(decision_delay_ms)

    async def _catch_up(self) -> None:
        if await is_up_to_date(self._topics, self._database, self._names):
            return
        from streams.consumers.ledger.catch_up import catch_up

        self._before_reading()
        await catch_up(self._topics, self._database, self._names)


def _claim(
    connection: Connection,
    ids: Sequence[str],
    verdict: Verdict,
    by: ReviewedBy,
    again: Replace | None,
    kind: OpenKind | None,
) -> SubmittedReviews:
    now_ms, given = epoch_ms(), SubmittedReviews()
    for named in ids:
        try:
            given.claims.append(claim(connection, named, verdict, by, now_ms, again=again, kind=kind))
        except ReviewRefused as why:
            given.refused[named] = why
    return given


def _events(connection: Connection, claim: Reservation) -> list[Enforcement]:
    return events_of_review(connection, review_of(claim.value))
