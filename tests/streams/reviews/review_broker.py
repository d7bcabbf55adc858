"""The topics of reviews in memory, and the services that write to them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from helpers.fenced_writer import FencedWriter
from helpers.ledger_samples import NAMES, address, topics
from oracle.ledger import DAY, T0
from schemas import codec
from schemas.inputs import Review
from streams.consumers.database import Database
from streams.consumers.ledger.catch_up import catch_up
from streams.reviews.interrupted_reservations import InterruptedReservations
from streams.reviews.reservation_sender import ReservationSender
from streams.reviews.reservations import ReviewedBy
from streams.reviews.sender_context import SenderContext, Writing
from streams.reviews.service import ReviewService

NOW = T0 + DAY
WANG, LI = ReviewedBy("wang", "looked into"), ReviewedBy("li", "another view")


class Broker(FencedWriter):
    """The topics, and the reviews written to them."""

    def __init__(self) -> None:
        super().__init__(topics(2))

    def reviews(self) -> list[Review]:
        return [review for out in self.written if isinstance(review := codec.read(out.value or b""), Review)]


@asynccontextmanager
async def desk_at(folder: Path, broker: Broker) -> AsyncIterator[ReviewService]:
    """The service as a command uses it, in a process of its own."""
    database = Database(address(folder), "ledger")
    try:
        yield ReviewService(context_of(database, broker, broker.writing))
    finally:
        database.close()


@asynccontextmanager
async def service_at(folder: Path, broker: Broker) -> AsyncIterator[InterruptedReservations]:
    """The service as the ledger service uses it."""
    database = Database(address(folder), "ledger")
    try:
        yield service_of(database, broker, broker.writing)
    finally:
        database.close()


def service_of(database: Database, broker: Broker, writing: Writing) -> InterruptedReservations:
    async def followed() -> None:
        await catch_up(broker.held, database, NAMES)

    return InterruptedReservations(database, ReservationSender(context_of(database, broker, writing), followed))


def context_of(database: Database, broker: Broker, writing: Writing) -> SenderContext:
    return SenderContext(broker.held, database, NAMES, "murmur2", writing)
