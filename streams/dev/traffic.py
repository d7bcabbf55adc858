"""Sends simulated traffic to Kafka: past records as fast as possible, then each record when it arrives."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from monitor.decoding.input_topics import INPUTS
from monitor.simulate.arrivals import CALLS, Arrivals
from monitor.simulate.run import Run
from monitor.simulate.settings import DAY_MS, HOUR_MS, SimulationSettings
from streams.kafka.api import TP
from streams.kafka.cluster import KafkaCluster
from streams.kafka.produce.keyed_producer import Producer
from streams.kafka.topic_names import require_topics
from streams.runtime.wall_clock import epoch_ms
from streams.settings.load import Settings as Connection

MARK = ("made-by", b"callwarden traffic")
"""A header of every simulated record, so that these are not mixed with a platform's records by accident."""
DAYS = 2
"""The default length of a run; bad tenants show all their behaviour in it."""
# The number of records at the end of a partition that are checked for the mark.
_NEWEST = 100
# The number of records whose acknowledgements are awaited together.
_MOST = 20_000
# The least interval of sends of live records: fewer requests cost less.
_TICK_S = 0.02


def around(at_ms: int, *, tenants: int, days: int, seed: int, rate: float, lateness_ms: int) -> SimulationSettings:
    """A run whose first day ends at ``at_ms``, or up to an hour earlier; ``rate`` is calls per second on a weekday.

    Its ids are unique, except that runs that begin in the same hour are identical.
    """
    start_ms = (at_ms - DAY_MS) // HOUR_MS * HOUR_MS
    per_day = rate * DAY_MS / 1000
    return SimulationSettings(tenants, days, seed, per_day, start_ms, lateness_ms=lateness_ms, mark=start_ms // HOUR_MS)


def hours_of(settings: SimulationSettings, endless: bool) -> Iterator[Arrivals]:
    """The arrivals hour by hour, sorted, and the rest at the end; ``endless``: then the same tenants' next run begins.

    Arrivals after the end of a run come among those of the next.
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
    """Sends the records of a run, or if ``endless`` of one run after the other, to the input topics, keyed by tenant.

    ``producer`` is started and partitions by key. ``sent`` counts acknowledged records by bare topic.
    """

    def __init__(
        self,
        producer: Producer,
        settings: SimulationSettings,
        prefix: str = "callwarden.",
        endless: bool = False,
        clock_ms: Callable[[], int] = epoch_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._producer, self._settings, self._endless = producer, settings, endless
        self._topics = [prefix + name for name in INPUTS]
        self._clock_ms, self._sleep = clock_ms, sleep
        self.sent: Counter[str] = Counter()
        self.began_ms = clock_ms()

    async def past(self) -> None:
        """Send the records that arrived before `began_ms`; calls last, or the watermark would wait for other clocks."""
        await self._past(calls=False)
        await self._past(calls=True)

    async def live(self) -> None:
        """Send each record from `began_ms` on when it arrives, until the run ends, if it does."""
        hours = hours_of(self._settings, self._endless)
        # In a thread: an hour of a large run takes seconds to generate.
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
        # The same settings generate the same records again, which is cheaper than keeping a day's calls.
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
            # Await all: asyncio would log a failure that was never retrieved, with a traceback.
            for outcome in await asyncio.gather(*sending, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
            self.sent.update(INPUTS[topic] for topic in topics)


class InputTopicsFound(NamedTuple):
    """The content of the input topics: whether there are ``calls``, and the topics with records of other sources."""

    calls: bool
    others: list[str]


async def inspect_inputs(connection: Connection) -> InputTopicsFound:
    """Inspect the input topics. Raises TransientError, and PermanentError if one is missing."""
    topics = [connection.input_prefix + name for name in INPUTS]
    cluster = KafkaCluster(connection)
    try:
        counts = await cluster.partitions(topics)
        require_topics(counts, topics)
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
