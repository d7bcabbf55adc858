"""The outbox: records that the console writes to Kafka, each exactly once, wherever a process is stopped.

A record is added in the transaction of what it reports. `OutboxSender` writes it later.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Literal, NamedTuple

import msgspec
import structlog
from sqlalchemy import Connection, case, delete, func, insert, select, update

from monitor.text.durations import DAY
from streams.console.tables import OUTBOX, POSITIONS
from streams.consumers.offsets import hash_of
from streams.kafka.api import TP, OffsetOutOfRange, PermanentError, TransientError
from streams.kafka.outputs import OutputRecord
from streams.kafka.topic_names import require_topics
from streams.reviews.sender_context import SenderContext
from streams.runtime.monotonic import steady_s
from streams.runtime.retry import Backoff
from streams.runtime.wall_clock import epoch_ms

log = structlog.get_logger("callwarden")

Topic = Literal["reviews", "actions", "control"]
Headers = Sequence[tuple[str, bytes]]

TOPICS: Final[tuple[Topic, ...]] = ("reviews", "actions", "control")
AT_ONCE: Final = 200
_BYTES_AT_ONCE: Final = 8 << 20
_FOLLOWED_S: Final = 30.0
_POLL_S: Final = 0.1
_LOOK_S: Final = 1.0
_FORGET_EVERY_S: Final = 600.0
_FORGET_AT_ONCE: Final = 10_000

KEEP_MS: Final = 90 * DAY
"""For how long written records are kept: the headers of a review are needed until the workers have answered it."""


class QueuedRecord(NamedTuple):
    """A row of the outbox; ``headers`` are packed."""

    number: int
    topic: str
    key: bytes
    value: bytes
    headers: bytes


def add(
    connection: Connection, topic: Topic, key: bytes, value: bytes, not_before_ms: int = 0, headers: Headers = ()
) -> int:
    """Queue a record, in the caller's transaction; returns its number.

    It is written once, at ``not_before_ms`` at the earliest. No two records may have the same key and value: a record
    that is found in the topic counts as written. The key of a command in ``control`` is the number of its partition.
    """
    row = {
        "topic": topic,
        "key": key,
        "value": value,
        "headers": msgspec.msgpack.encode(list(headers)),
        "hash": hash_of(key, value),
        "not_before_ms": not_before_ms,
        "added_ms": epoch_ms(),
    }
    return int(connection.execute(insert(OUTBOX).values(row).returning(OUTBOX.c.number)).scalar_one())


def headers_of(connection: Connection, key: bytes, value: bytes) -> Headers:
    """The headers with which a record was queued; none if it was not."""
    query = select(OUTBOX.c.headers).where(OUTBOX.c.hash == hash_of(key, value)).limit(1)
    headers = connection.execute(query).scalar()
    return () if headers is None else tuple(msgspec.msgpack.decode(headers, type=list[tuple[str, bytes]]))


def mark_found(connection: Connection, records: Sequence[tuple[bytes | None, bytes | None]], now_ms: int) -> None:
    """Mark the records with these keys and values as written: the topic has them."""
    hashes = [hash_of(*each) for each in records]
    for start in range(0, len(hashes), AT_ONCE):
        some = OUTBOX.c.hash.in_(hashes[start : start + AT_ONCE])
        connection.execute(update(OUTBOX).where(some, OUTBOX.c.sent_ms.is_(None)).values(sent_ms=now_ms))


def is_due(connection: Connection, now_ms: int) -> bool:
    """Whether a record is to be written now."""
    return bool(unsent(connection, now_ms, 1))


def oldest_due_ms(connection: Connection) -> int | None:
    """Since when the oldest record that is not written could have been, epoch ms; None if there is none."""
    due_ms = func.min(
        case((OUTBOX.c.not_before_ms > OUTBOX.c.added_ms, OUTBOX.c.not_before_ms), else_=OUTBOX.c.added_ms)
    )
    return connection.execute(select(due_ms).where(OUTBOX.c.sent_ms.is_(None))).scalar()


def forget(connection: Connection, now_ms: int) -> int:
    """Delete records that were written more than `KEEP_MS` ago, some at a time. Returns how many."""
    old = select(OUTBOX.c.number).where(OUTBOX.c.sent_ms < now_ms - KEEP_MS).limit(_FORGET_AT_ONCE)
    return connection.execute(delete(OUTBOX).where(OUTBOX.c.number.in_(old.scalar_subquery()))).rowcount


def unsent(connection: Connection, now_ms: int, most: int) -> list[QueuedRecord]:
    """The records that are to be written now, the first of them."""
    o = OUTBOX.c
    due = select(o.number, func.length(o.value)).where(o.sent_ms.is_(None), o.not_before_ms <= now_ms)
    numbers, size = list[int](), 0
    for number, length in connection.execute(due.order_by(o.number).limit(most)):
        size += length
        if numbers and size > _BYTES_AT_ONCE:
            break
        numbers.append(number)
    query = select(o.number, o.topic, o.key, o.value, o.headers).where(o.number.in_(numbers)).order_by(o.number)
    return [QueuedRecord(*row) for row in connection.execute(query)]


def _mark_sent(connection: Connection, numbers: Sequence[int], now_ms: int) -> None:
    these = OUTBOX.c.number.in_(numbers)
    connection.execute(update(OUTBOX).where(these, OUTBOX.c.sent_ms.is_(None)).values(sent_ms=now_ms))


class OutboxSender:
    """Writes the records of the outbox. Several processes with one database may run it.

    The order of the steps makes each row one record in its topic, as `streams.reviews.reservation_sender` does:

    1. Start the writer. It fences every earlier writer, and completes or aborts that writer's transaction.
    2. Wait until the console's follower has read the topics to their ends. `mark_found` then has marked everything that
       earlier writers have committed.
    3. Select the rows that are not marked.
    4. Write them in one transaction. It fails if another process has started its writer since step 1.
    5. Mark them. After a crash between 4 and 5, step 2 of the next sender marks them.
    """

    def __init__(self, context: SenderContext, clock: Callable[[], int]) -> None:
        """A follower of the same database must follow the topics of the outbox. ``clock`` gives epoch ms."""
        self._context, self._database, self._clock = context, context.database, clock
        self._wake = asyncio.Event()
        self._forgot_s = float("-inf")
        self.failures: deque[str] = deque(maxlen=1)

    def wake(self) -> None:
        """Look for records at once."""
        self._wake.set()

    async def run(self) -> None:
        """Send what is due until cancelled. Failures are logged and retried."""
        backoff = Backoff(longest_s=10.0)
        while True:
            try:
                while await self.send_due():
                    pass
                await self._forget()
            except (TransientError, PermanentError, OffsetOutOfRange) as error:
                self.failures.append(str(error))
                delay_s = backoff.next_s()
                log.warning("records of the console cannot be written yet", why=str(error), again_in_s=delay_s)
                await asyncio.sleep(delay_s)
                continue
            self.failures.clear()
            backoff.reset()
            self._wake.clear()
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _forget(self) -> None:
        if steady_s() - self._forgot_s >= _FORGET_EVERY_S:
            await self._database.run(partial(forget, now_ms=self._clock()))
            self._forgot_s = steady_s()

    async def send_due(self) -> int:
        """Send some of what is due; returns how many. Raises TransientError or PermanentError."""
        if not await self._database.run(partial(is_due, now_ms=self._clock())):
            return 0
        return await self._context.in_turn("outbox", self._try)

    async def _try(self) -> int:
        async with self._context.writing() as write:  # 1
            await self._follow()  # 2
            waiting = await self._database.run(partial(unsent, now_ms=self._clock(), most=AT_ONCE))  # 3
            if waiting:
                await write(await self._records(waiting))  # 4
                numbers = [row.number for row in waiting]
                await self._database.run(partial(_mark_sent, numbers=numbers, now_ms=self._clock()))  # 5
            return len(waiting)

    async def _follow(self) -> None:
        counts = await self._context.topics.partitions([self._name(topic) for topic in TOPICS])
        ends = await self._context.topics.ends(
            [TP(topic, number) for topic in counts for number in range(counts[topic])]
        )
        until_s = steady_s() + _FOLLOWED_S
        while True:
            known = await self._database.run(POSITIONS.known)
            if all(known.get(tp, 0) >= end for tp, end in ends.items()):
                return
            if steady_s() >= until_s:
                raise TransientError("the console has not read the topics to their ends")
            await asyncio.sleep(_POLL_S)

    async def _records(self, rows: Sequence[QueuedRecord]) -> list[OutputRecord]:
        names = [self._name(topic) for topic in TOPICS]
        counts = await self._context.topics.partitions([*names, self._context.names.output("state")])
        records = []
        for _, topic, key, value, headers in rows:
            name = self._name(topic)
            require_topics(counts, [name])
            decoded = msgspec.msgpack.decode(headers, type=list[tuple[str, bytes]])
            if topic == "reviews":
                number = self._context.partition_of_review(key, counts)
            else:
                number = int(key) if topic == "control" else 0  # the topic of actions has one partition
            records.append(OutputRecord(name, number, key, value, tuple(decoded)))
        return records

    def _name(self, topic: str) -> str:
        return self._context.reviews if topic == "reviews" else self._context.names.output(topic)
