"""Sends reserved verdicts to the workers, each exactly once, wherever a sender is stopped."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from monitor.partition.key_check import Partitioner, partition_of
from streams.consumers.database import Database
from streams.consumers.record_decoding import review_of
from streams.consumers.topic_reader import TopicReader
from streams.kafka.api import Cluster, OutputRecord, PermanentError
from streams.kafka.topic_names import TopicNames
from streams.ops.control_client import Superseded, commit_records, open_operator_writer
from streams.reviews.reservations import Reservation, mark_sent, unsent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AT_ONCE = 200
_TRIES = 10
_TURN_S = 15.0
"""A sender that is stalled for longer is fenced by the next one."""

Write = Callable[[Sequence[OutputRecord]], Awaitable[object]]
"""Writes records in one transaction."""

Writing = Callable[[], AbstractAsyncContextManager[Write]]
"""A writer that has fenced every earlier one, and whose transactions fail once a later one is started."""


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

    def __init__(
        self,
        topics: TopicReader,
        database: Database,
        names: TopicNames,
        partitioner: Partitioner,
        writing: Writing,
        catch_up: Callable[[], Awaitable[None]],
    ) -> None:
        """``catch_up`` brings the ledger up to the topics' ends, or raises TransientError."""
        self._topics, self._database, self._names = topics, database, names
        self._partitioner, self._writing, self._catch_up = partitioner, writing, catch_up

    async def send(self, claims: Sequence[Reservation]) -> SentReviews:
        """Send those that are not sent yet. Raises TransientError or PermanentError; the next sender sends the rest."""
        sent = SentReviews()
        for start in range(0, len(claims), AT_ONCE):
            some = await self._send_some(claims[start : start + AT_ONCE])
            sent.claims += some.claims
            sent.withdrawn += some.withdrawn
        return sent

    async def _send_some(self, claims: Sequence[Reservation]) -> SentReviews:
        for retry in range(_TRIES):
            try:
                # Each try fences the other senders, so concurrent senders would stop one another.
                async with self._database.turn("reviews", _TURN_S):
                    return await self._try(claims)
            except Superseded:
                if retry == _TRIES - 1:
                    raise
                # Random, not a backoff: two senders that fenced each other must not meet again.
                await asyncio.sleep(random.uniform(0.1, 1.0))
        raise AssertionError  # the last try returns or raises

    async def _try(self, claims: Sequence[Reservation]) -> SentReviews:
        async with self._writing() as write:  # 1
            await self._catch_up()  # 2
            waiting, withdrawn = await self._database.run(partial(unsent, claims=claims, now_ms=_now_ms()))  # 3
            if waiting:
                await write(await self._records(waiting))  # 4
                await self._database.run(partial(mark_sent, claims=waiting, now_ms=_now_ms()))  # 5
            return SentReviews(waiting, withdrawn)

    async def _records(self, claims: Sequence[Reservation]) -> list[OutputRecord]:
        topic = f"{self._names.input_prefix}reviews"
        counts = await self._topics.partitions([topic, self._names.output("state")])
        if topic not in counts:
            raise PermanentError(f"there is no topic {topic}; `callwarden topics create` creates it")
        count = min(counts.values())  # if the topic was given more partitions, those that are read
        keys = [review_of(one.value).tenant_id.encode() for one in claims]
        return [
            OutputRecord(topic, partition_of(key, count, self._partitioner), key, one.value, one.signed_value.headers)
            for key, one in zip(keys, claims, strict=True)
        ]


def writing_to(cluster: Cluster, application_id: str) -> Writing:
    """What opens a writer of verdicts, or of the console's outbox. All writers with one ``application_id`` share a
    transactional id.
    """

    @asynccontextmanager
    async def writing() -> "AsyncIterator[Write]":
        async with open_operator_writer(cluster, f"{application_id}-reviews") as writer:

            async def write(records: Sequence[OutputRecord]) -> None:
                await commit_records(writer, records)

            yield write

    return writing


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
