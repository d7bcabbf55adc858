"""Simulated traffic into Kafka: the past as fast as it can, then each record when it arrives."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from monitor.decoding.input_topics import INPUTS
from monitor.simulate.arrivals import CALLS, Arrivals
from monitor.simulate.run import Run
from monitor.simulate.settings import DAY_MS, HOUR_MS, SimulationSettings
from streams.kafka.api import TP, PermanentError
from streams.kafka.cluster import KafkaCluster
from streams.kafka.produce.keyed_producer import Producer
from streams.settings.load import Settings as Connection

MARK = ("made-by", b"callwarden traffic")
"""A header of every record of ours: simulated records must not come among a platform's unasked."""
DAYS = 2
"""How long a run is where nothing else is said: bad tenants do in it what they do in any."""
# So many records at the end of a partition tell whose they are.
_NEWEST = 100
# Acknowledgements are awaited for so many records together.
_MOST = 20_000
# Live, records are sent at most so often: the fewer requests, the less it costs.
_TICK_S = 0.02


def now_ms() -> int:
    """The time, in epoch ms."""
    return time.time_ns() // 1_000_000


def around(at_ms: int, *, tenants: int, days: int, seed: int, rate: float, lateness_ms: int) -> SimulationSettings:
    """A run whose first day ends at ``at_ms``, up to an hour earlier; ``rate`` is calls a second on a weekday.

    Its ids are its own, but for runs that began in the same hour: those are one and the same.
    """
    start_ms = (at_ms - DAY_MS) // HOUR_MS * HOUR_MS
    per_day = rate * DAY_MS / 1000
    return SimulationSettings(tenants, days, seed, per_day, start_ms, lateness_ms=lateness_ms, mark=start_ms // HOUR_MS)


def hours_of(settings: SimulationSettings, endless: bool) -> Iterator[Arrivals]:
    """What arrives, hour by hour, sorted, in the end the rest; ``endless``: the same tenants' next run begins then.

    What a run leaves over arrives among the records of the next.
    """
    over: list[Arrivals] = []
    while True:
        for number, arrivals in enumerate(Run(settings).hours(), 1):
            over.append(arrivals)
            end_ms = settings.start_ms + number * HOUR_MS
            if end_ms <= settings.end_ms:
                together = Arrivals.joined(over)
                due = together.arrival_ms < end_ms
                over = [together.take(~due)]
                yield _sorted(together.take(due))
        if not endless:
            yield _sorted(Arrivals.joined(over))
            return
        settings = replace(settings, start_ms=settings.end_ms, mark=settings.end_ms // HOUR_MS)


def _sorted(arrivals: Arrivals) -> Arrivals:
    return arrivals.take(np.argsort(arrivals.arrival_ms, kind="stable"))


class TrafficFeed:
    """Sends the records of a run to the input topics, keyed by tenant; ``endless``: of one run after the other.

    ``producer`` has been started, and places keys. ``sent`` counts what was acknowledged, by bare topic.
    """

    def __init__(
        self,
        producer: Producer,
        settings: SimulationSettings,
        prefix: str = "callwarden.",
        endless: bool = False,
        clock_ms: Callable[[], int] = now_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._producer, self._settings, self._endless = producer, settings, endless
        self._topics = [prefix + name for name in INPUTS]
        self._clock_ms, self._sleep = clock_ms, sleep
        self.sent: Counter[str] = Counter()
        self.began_ms = clock_ms()

    async def past(self) -> None:
        """Send what arrived before `began_ms`: calls last, or the watermark would wait for the others' clocks."""
        await self._past(calls=False)
        await self._past(calls=True)

    async def live(self) -> None:
        """Send what arrives from `began_ms` on, when it does; ends with the run, if that ends."""
        hours = hours_of(self._settings, self._endless)
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
                await self._producer.send(
                    self._topics[topic], line.rstrip("\n").encode(), tenant.encode(), headers=[MARK]
                )
                for topic, tenant, line in zip(topics, arrivals.tenant[some], arrivals.line[some], strict=True)
            ]
            # All are awaited: a failure that nobody looked at would be told by asyncio, with a traceback.
            for outcome in await asyncio.gather(*sending, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
            self.sent.update(INPUTS[topic] for topic in topics)


class InputTopicsFound(NamedTuple):
    """What the input topics hold: whether there are ``calls``, and the topics with records that are not of ours."""

    calls: bool
    others: list[str]


async def inspect_inputs(connection: Connection) -> InputTopicsFound:
    """Look at the input topics. Raises `PermanentError` for one that is not there, `Unavailable`."""
    topics = [connection.input_prefix + name for name in INPUTS]
    cluster = KafkaCluster(connection)
    try:
        counts = await cluster.partitions(topics)
        for topic in topics:
            if topic not in counts:
                raise PermanentError(f"there is no topic {topic}; `callwarden topics create` makes it")
        tps = [TP(topic, number) for topic in topics for number in range(counts[topic])]
        starts, ends = await cluster.starts(tps), await cluster.ends(tps)
        others = [tp.topic for tp in tps if not await _all_ours(cluster, tp, starts[tp], ends[tp])]
        return InputTopicsFound(any(ends[tp] for tp in tps if tp.topic == topics[CALLS]), list(dict.fromkeys(others)))
    finally:
        await cluster.stop()


async def _all_ours(cluster: KafkaCluster, tp: TP, start: int, end: int) -> bool:
    async for records in cluster.records(tp, max(start, end - _NEWEST), end):
        if not all(MARK in record.headers for record in records):
            return False
    return True
