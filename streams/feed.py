"""Simulated traffic into Kafka: the past as fast as it can, then each record when it arrives."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from monitor.simulate.arrivals import CALLS, Arrivals
from monitor.simulate.run import Run
from monitor.simulate.settings import DAY_MS, HOUR_MS, Settings
from monitor.topics import INPUTS
from streams.cluster import TP, Refused
from streams.kafka import KafkaCluster
from streams.kafka.clients import Clients
from streams.settings import Settings as Connection

# Acknowledgements are awaited for so many records together.
_MOST = 20_000
# So long a broker may be away before a record is given up.
_GIVE_UP_MS = 120_000
# Live, records are sent at most so often: the fewer requests, the less it costs.
_TICK_S = 0.02


def now_ms() -> int:
    """The time, in epoch ms."""
    return time.time_ns() // 1_000_000


def around(at_ms: int, *, tenants: int, days: int, seed: int, rate: float, lateness_ms: int) -> Settings:
    """A run whose first day ends at ``at_ms``, up to an hour earlier; ``rate`` is calls a second on a weekday.

    Its ids are its own, but for runs that began in the same hour: those are one and the same.
    """
    start_ms = (at_ms - DAY_MS) // HOUR_MS * HOUR_MS
    per_day = rate * DAY_MS / 1000
    return Settings(tenants, days, seed, per_day, start_ms, lateness_ms=lateness_ms, mark=start_ms // HOUR_MS)


class Feed:
    """Sends the records of a run to the input topics, keyed by tenant.

    ``producer`` has been started, and places keys by murmur2. ``sent`` counts what was acknowledged, by bare topic.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        settings: Settings,
        prefix: str = "callwarden.",
        clock_ms: Callable[[], int] = now_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._producer, self._settings = producer, settings
        self._topics = [prefix + name for name in INPUTS]
        self._clock_ms, self._sleep = clock_ms, sleep
        self.sent: Counter[str] = Counter()
        self.began_ms = clock_ms()

    async def past(self) -> None:
        """Send what arrived before `began_ms`: calls last, or the watermark would wait for the others' clocks."""
        await self._past(calls=False)
        await self._past(calls=True)

    async def live(self) -> None:
        """Send what arrives from `began_ms` on, when it does; ends with the run."""
        hours = Run(self._settings).hours()
        # In a thread: an hour of a large run takes seconds to make.
        while (arrivals := await asyncio.to_thread(next, hours, None)) is not None:
            arrivals = arrivals.take(arrivals.arrival_ms >= self.began_ms)
            at = 0
            while at < len(arrivals):
                now = self._clock_ms()
                due = int(np.searchsorted(arrivals.arrival_ms, now, side="right"))
                await self._send(arrivals.take(np.arange(at, due)))
                at = due
                if at < len(arrivals):
                    await self._sleep(max(_TICK_S, (int(arrivals.arrival_ms[at]) - now) / 1000))

    async def _past(self, calls: bool) -> None:
        # The same settings give the same records again: cheaper than to keep a day's calls.
        hours = Run(self._settings).hours()
        while (arrivals := await asyncio.to_thread(next, hours, None)) is not None:
            before = arrivals.arrival_ms < self.began_ms
            await self._send(arrivals.take(before & ((arrivals.topic == CALLS) == calls)))
            if not before.all():
                break

    async def _send(self, arrivals: Arrivals) -> None:
        for start in range(0, len(arrivals), _MOST):
            some = slice(start, start + _MOST)
            topics = arrivals.topic[some].tolist()
            sending = [
                await self._producer.send(self._topics[topic], line.rstrip("\n").encode(), tenant.encode())
                for topic, tenant, line in zip(topics, arrivals.tenant[some], arrivals.line[some], strict=True)
            ]
            # All are awaited: a failure that nobody looked at would be told by asyncio, with a traceback.
            for outcome in await asyncio.gather(*sending, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
            self.sent.update(INPUTS[topic] for topic in topics)


async def untouched(connection: Connection) -> bool:
    """Whether no call was ever written. Raises `Refused` for an input topic that is not there, `Unavailable`."""
    topics = [connection.input_prefix + name for name in INPUTS]
    cluster = KafkaCluster(connection)
    try:
        counts = await cluster.partitions(topics)
        for topic in topics:
            if topic not in counts:
                raise Refused(f"there is no topic {topic}; `callwarden topics create` makes it")
        ends = await cluster.ends([TP(topics[CALLS], number) for number in range(counts[topics[CALLS]])])
        return not any(ends.values())
    finally:
        await cluster.stop()


@asynccontextmanager
async def producer_for(connection: Connection) -> AsyncIterator[AIOKafkaProducer]:
    """A producer for `Feed`; what it raises inside comes out as `Unavailable` or `Refused`."""
    clients = Clients(connection)
    producer = AIOKafkaProducer(
        **clients.common(),
        enable_idempotence=True,
        linger_ms=20,
        max_batch_size=1 << 19,
        request_timeout_ms=_GIVE_UP_MS,
    )
    try:
        await producer.start()
        yield producer
    except (KafkaError, OSError) as error:
        raise await clients.why(error, "sending traffic") from None
    finally:
        await producer.stop()
