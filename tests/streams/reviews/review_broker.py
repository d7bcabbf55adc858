"""The topics of reviews in memory, and the services that write to them."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from helpers.ledger_samples import NAMES, address, topics
from oracle.ledger import DAY, T0
from schemas import codec
from schemas.inputs import Review
from streams.consumers.database import Database
from streams.consumers.ledger.catch_up import catch_up
from streams.kafka.api import OutputRecord, TransientError
from streams.ops.control_client import Superseded
from streams.reviews.interrupted_reservations import InterruptedReservations
from streams.reviews.reservation_sender import ReservationSender, Write, Writing
from streams.reviews.reservations import ReviewedBy
from streams.reviews.service import ReviewService

NOW = T0 + DAY
WANG, LI = ReviewedBy("wang", "looked into"), ReviewedBy("li", "another view")


class Broker:
    """The topics, and the records written to them; ``fail`` raises before or after a write."""

    def __init__(self) -> None:
        self.held = topics(2)
        self.written: list[OutputRecord] = []
        self.fail: Iterator[str] = iter(())
        self._started = 0

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Write]:
        """Replaces `writing_to` a cluster: a writer is fenced by the next one."""
        self._started += 1
        number = self._started

        async def write(records: Sequence[OutputRecord]) -> None:
            if number != self._started:
                raise Superseded("another one is writing")
            await self.write(records)

        yield write

    async def write(self, records: Sequence[OutputRecord]) -> None:
        await asyncio.sleep(0)
        how = next(self.fail, "")
        if how == "before":
            raise TransientError("the broker is away")
        self.written += records
        for out in records:
            self.held.put(out.topic, out.partition, out.value, headers=out.headers)
        if how == "after":
            raise TransientError("the broker went away: whether it was written is not known")

    def reviews(self) -> list[Review]:
        return [review for out in self.written if isinstance(review := codec.read(out.value or b""), Review)]


@asynccontextmanager
async def desk_at(folder: Path, broker: Broker) -> AsyncIterator[ReviewService]:
    """The service as a command uses it, in a process of its own."""
    database = Database(address(folder), "ledger")
    try:
        yield ReviewService(broker.held, database, NAMES, "murmur2", broker.writing)
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

    return InterruptedReservations(
        database, ReservationSender(broker.held, database, NAMES, "murmur2", writing, followed)
    )
