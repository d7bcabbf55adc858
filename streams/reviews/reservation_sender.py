"""Sends reserved verdicts to the workers, each exactly once, wherever a sender is stopped."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from streams.consumers.record_decoding import review_of
from streams.kafka.outputs import OutputRecord
from streams.kafka.topic_names import require_topics
from streams.reviews.reservations import Reservation, mark_sent, unsent
from streams.reviews.sender_context import SenderContext
from streams.runtime.wall_clock import epoch_ms

AT_ONCE = 200


@dataclass
class SentReviews:
    """The reservations that were sent, and those withdrawn because their case was decided otherwise meanwhile."""

    claims: list[Reservation] = field(default_factory=list)
    withdrawn: list[Reservation] = field(default_factory=list)


class ReservationSender:
    """Sends reservations that are not sent yet. Several processes may send the same ones at the same time.

    The order of the steps makes each review one record in the topic:

    1. Start the writer. It fences every earlier writer, and completes or aborts that writer's transaction.
    2. Bring the ledger up to the topics' ends. It then has everything that earlier writers have committed.
    3. Select the reservations that are neither marked as sent nor in the ledger.
    4. Write them in one transaction. It fails if another process has started its writer since step 1.
    5. Mark them as sent. After a crash between 4 and 5, step 3 of the next sender finds them in the ledger.
    """

    def __init__(self, context: SenderContext, catch_up: Callable[[], Awaitable[None]]) -> None:
        """``catch_up`` brings the ledger up to the topics' ends, or raises TransientError."""
        self._context, self._catch_up = context, catch_up

    async def send(self, claims: Sequence[Reservation]) -> SentReviews:
        """Send those that are not sent yet. Raises TransientError or PermanentError; the next sender sends the rest."""
        sent = SentReviews()
        for start in range(0, len(claims), AT_ONCE):
            some = await self._context.in_turn("reviews", partial(self._try, claims[start : start + AT_ONCE]))
            sent.claims += some.claims
            sent.withdrawn += some.withdrawn
        return sent

    async def _try(self, claims: Sequence[Reservation]) -> SentReviews:
        database = self._context.database
        async with self._context.writing() as write:  # 1
            await self._catch_up()  # 2
            waiting, withdrawn = await database.run(partial(unsent, claims=claims, now_ms=epoch_ms()))  # 3
            if waiting:
                await write(await self._records(waiting))  # 4
                await database.run(partial(mark_sent, claims=waiting, now_ms=epoch_ms()))  # 5
            return SentReviews(waiting, withdrawn)

    async def _records(self, claims: Sequence[Reservation]) -> list[OutputRecord]:
        context, topic = self._context, self._context.reviews
        counts = await context.topics.partitions([topic, context.names.output("state")])
        require_topics(counts, [topic])
        keys = [review_of(one.value).tenant_id.encode() for one in claims]
        return [
            OutputRecord(topic, context.partition_of_review(key, counts), key, one.value, one.signed_value.headers)
            for key, one in zip(keys, claims, strict=True)
        ]
