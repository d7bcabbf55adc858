"""Finishes interrupted reviews: reservations whose command ended before they were sent. Part of the ledger service."""

import asyncio
from typing import TYPE_CHECKING

import structlog

from streams.consumers.database import Database
from streams.consumers.ledger.up_to_date import is_up_to_date
from streams.kafka.api import OffsetOutOfRange, PermanentError, TransientError
from streams.kafka.topic_names import TopicNames
from streams.reviews.reservation_sender import ReservationSender, SentReviews
from streams.reviews.reservations import Reservation, all_unsent
from streams.reviews.sender_context import SenderContext, writing_to
from streams.runtime.monotonic import steady_s

if TYPE_CHECKING:
    from streams.kafka.cluster import KafkaCluster
    from streams.settings.load import Settings

log = structlog.get_logger("callwarden")

_LOOK_S = 5.0
_INTERRUPTED_S = 15.0
"""A command sends what it has reserved within this time. If it takes longer, both may try, and one of them sends."""
_FOLLOWED_S = 30.0
_POLL_S = 0.25


class InterruptedReservations:
    """Sends the reservations that stay unsent. The same process must run the ledger's follower."""

    def __init__(self, database: Database, sender: ReservationSender) -> None:
        self._database, self._sender = database, sender
        self._seen_s: dict[tuple[str, int], float] = {}

    async def run(self) -> None:
        """Send interrupted reviews periodically until cancelled. Failures are logged and retried."""
        while True:
            try:
                sent = await self.finish(steady_s())
            except (TransientError, PermanentError, OffsetOutOfRange) as error:
                log.warning("interrupted reviews cannot be sent yet; retrying", why=str(error))
            else:
                for claim in sent.claims:
                    log.info("interrupted review sent", enforcement_id=claim.enforcement_id, verdict=claim.verdict)
                for claim in sent.withdrawn:
                    log.info("interrupted review withdrawn", enforcement_id=claim.enforcement_id, why=claim.withdrawn)
            await asyncio.sleep(_LOOK_S)

    async def finish(self, now_s: float) -> SentReviews:
        """Send those that were unsent for long enough. Raises TransientError or PermanentError."""
        claims = await asyncio.to_thread(self._unsent)
        self._seen_s = {_key(claim): self._seen_s.get(_key(claim), now_s) for claim in claims}
        interrupted = [claim for claim in claims if now_s - self._seen_s[_key(claim)] >= _INTERRUPTED_S]
        return await self._sender.send(interrupted) if interrupted else SentReviews()

    def _unsent(self) -> list[Reservation]:
        with self._database.reading() as connection:
            return all_unsent(connection)


async def finish_interrupted(settings: "Settings", cluster: "KafkaCluster", database: Database) -> None:
    """Finish interrupted reviews beside the ledger's follower until cancelled."""
    names = TopicNames.from_settings(settings)

    async def followed() -> None:
        try:
            async with asyncio.timeout(_FOLLOWED_S):
                while not await is_up_to_date(cluster, database, names):
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise TransientError("the ledger has not read the topics to their ends") from None

    writing = writing_to(cluster, settings.application_id)
    context = SenderContext(cluster, database, names, settings.partitioner, writing)
    await InterruptedReservations(database, ReservationSender(context, followed)).run()


def _key(claim: Reservation) -> tuple[str, int]:
    return claim.enforcement_id, claim.claimed_ms
