"""The reviewers' desk: the ledger up to the topics' ends, verdicts claimed and sent, and what comes of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from sqlalchemy import Connection

from monitor.partition.key_check import Partitioner
from monitor.text.durations import DAY
from schemas.outputs import Enforcement
from streams.consumers.database import Database
from streams.consumers.ledger.queries.lookup import decision_delay_ms, events_of_review
from streams.consumers.ledger.tables import REJECTIONS
from streams.consumers.ledger.up_to_date import is_up_to_date, may_be_reread
from streams.consumers.record_decoding import review_of
from streams.consumers.topic_reader import TopicReader
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames
from streams.reviews.claim_sender import AT_ONCE, ClaimSender, Writing
from streams.reviews.claims import Replace, Reservation, ReviewedBy, claim, unanswered, withdraw
from streams.reviews.validation import ReviewRefused, Verdict

_LOOK_S = 1.0
_FORGOTTEN_MS = 90 * DAY  # for so long rejections are kept

Rejections = Callable[[], Awaitable[dict[bytes, str]]]
"""Values of reviews that the judge has rejected since, with the reason."""


class CaseSearch(Protocol):
    """A search among the dead letters; `streams.reviews.rejections.RejectedReviews` is one."""

    async def look(self) -> dict[bytes, str]:
        """Values of the reviews that were rejected, with the reason."""
        ...

    def at(self) -> Mapping[TP, int]:
        """Up to where was searched."""
        ...


Since = Callable[[int, Mapping[TP, int]], Awaitable[CaseSearch]]
"""The rejections since an instant, epoch ms by the reviewers' clocks, without what was searched before."""


@dataclass
class SubmittedReviews:
    """What came of giving verdicts: those that were claimed, and why others could not be given, by the id named."""

    claims: list[Reservation] = field(default_factory=list)
    refused: dict[str, ReviewRefused] = field(default_factory=dict)


@dataclass
class ReviewOutcomes:
    """What has come of claims, by the id that was in force: events, or why the judge has rejected the review."""

    events: dict[str, list[Enforcement]] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)


class ReviewService:
    """Where reviews are given. All of it works beside a running `callwarden ledger run`."""

    def __init__(
        self,
        topics: TopicReader,
        database: Database,
        names: TopicNames,
        partitioner: Partitioner,
        writing: Writing,
        before_reading: Callable[[], None] = lambda: None,
    ) -> None:
        """``writing`` writes records: `writing_to` a cluster. ``before_reading`` is called before the topics are read,
        which logs."""
        self._topics, self._database, self._names = topics, database, names
        self._before_reading = before_reading
        self._sender = ClaimSender(topics, database, names, partitioner, writing, self._catch_up)

    async def begin(self) -> None:
        """Make or migrate the ledger, and bring it up to the topics' ends.

        What is up to date already is only looked at: nothing is read from the topics.
        """
        await self._database.migrate()
        if await self._database.run(may_be_reread):
            from streams.consumers.ledger.reparse import reparse_faulty

            await self._database.run(reparse_faulty)
        await self._catch_up()

    async def settle(self, since: Since) -> list[Reservation]:
        """Withdraw the verdicts of former commands that the judge has rejected after those had ended; these.

        What was searched for rejections before is not read again: whatever is rejected is so after it was claimed.
        """
        now_ms = _now_ms()
        waiting = await self._database.run(partial(unanswered, since_ms=now_ms - _FORGOTTEN_MS))
        if not waiting:
            return []
        searched = await self._database.run(REJECTIONS.known)
        rejections = await since(min(one.claimed_ms for one in waiting), searched)
        rejected = await rejections.look()
        settled = [replace(one, withdrawn=rejected[one.value]) for one in waiting if one.value in rejected]

        def write(connection: Connection) -> None:
            for one in settled:
                withdraw(connection, one, one.withdrawn or "", now_ms)
            REJECTIONS.raise_to(connection, rejections.at())

        if settled or rejections.at() != searched:
            await self._database.run(write)
        return settled

    async def give(
        self, ids: Sequence[str], verdict: Verdict, by: ReviewedBy, *, again: Replace | None = None
    ) -> SubmittedReviews:
        """Give the same verdict on all of these decisions.

        Unavailable, Refused: the ledger service sends what is claimed.
        """
        given = SubmittedReviews()
        # Sorted, so that two who give many at once do not wait for each other.
        ids = sorted(set(ids))
        for start in range(0, len(ids), AT_ONCE):
            claim_some = partial(_claim, ids=ids[start : start + AT_ONCE], verdict=verdict, by=by, again=again)
            some = await self._database.run(claim_some)
            sent = await self._sender.send(some.claims)
            late = {one.review_id: ReviewRefused(one.withdrawn) for one in sent.withdrawn}
            given.claims += [one for one in some.claims if one.review_id not in late]
            given.refused |= some.refused
            given.refused |= {one.enforcement_id: late[one.review_id] for one in some.claims if one.review_id in late}
        return given

    async def outcomes(self, claims: Sequence[Reservation], within_s: float, rejections: Rejections) -> ReviewOutcomes:
        """What has come of the claims by then. A rejected one is withdrawn: another verdict can be given."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        found = ReviewOutcomes()
        while True:
            await self._catch_up()
            rejected = await rejections()
            for one in claims:
                if events := await self._database.run(partial(_events, claim=one)):
                    found.events[one.enforcement_id] = events
                elif one.value in rejected:
                    found.rejected[one.enforcement_id] = rejected[one.value]
                    gone = partial(withdraw, claim=one, why=rejected[one.value], now_ms=_now_ms())
                    await self._database.run(gone)
            if len(found.events) + len(found.rejected) == len(claims) or loop.time() >= until:
                return found
            await asyncio.sleep(_LOOK_S)

    async def delay_ms(self) -> int | None:
        """After how long a verdict takes effect, as decisions have come of late; None where there are none."""
        return await self._database.run(decision_delay_ms)

    async def _catch_up(self) -> None:
        if await is_up_to_date(self._topics, self._database, self._names):
            return
        from streams.consumers.ledger.catch_up import catch_up

        self._before_reading()
        await catch_up(self._topics, self._database, self._names)


def _claim(
    connection: Connection, ids: Sequence[str], verdict: Verdict, by: ReviewedBy, again: Replace | None
) -> SubmittedReviews:
    now_ms, given = _now_ms(), SubmittedReviews()
    for named in ids:
        try:
            given.claims.append(claim(connection, named, verdict, by, now_ms, again=again))
        except ReviewRefused as why:
            given.refused[named] = why
    return given


def _events(connection: Connection, claim: Reservation) -> list[Enforcement]:
    return events_of_review(connection, review_of(claim.value).tenant_id, claim.review_id)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
