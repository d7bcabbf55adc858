"""A broker in memory with some topics, on virtual time, and what its tests do with it."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from crash.broker import Broker
from crash.log import Record
from crash.memory import MemoryCluster
from crash.memory_consumer import MemoryConsumer
from crash.memory_link import Link
from crash.virtual import Process, VirtualClock, VirtualLoop, run
from streams.kafka.api import TP, FetchedBatch, Listener
from streams.kafka.outputs import OutputRecord

IN, ALSO, STATE = TP("in", 0), TP("also", 0), TP("state", 0)
SEEDS = range(30)


class Stage:
    """A broker with some topics, and links to it."""

    def __init__(self, seed: int) -> None:
        print("seed", seed)
        self.loop = VirtualLoop()
        self.clock = VirtualClock(self.loop, 1_000_000)
        self.rng = random.Random(seed)
        self.broker = Broker(self.loop, self.clock, self.rng, {"in": 3, "also": 3, "state": 3})

    def link(self, name: str = "one") -> Link:
        link = Link(self.broker, Process(self.loop, name), self.rng)
        link.slow_share = 0.0
        return link

    def cluster(self, name: str = "one") -> MemoryCluster:
        return MemoryCluster(self.link(name))

    def values(self, tp: TP) -> list[bytes | None]:
        return [entry.record.value for entry in self.broker.logs[tp].committed(0) if entry.record is not None]


Play = Callable[[Stage], Coroutine[Any, Any, None]]


def play(seed: int, what: Play) -> Stage:
    """Run ``what`` on a new stage, and return the stage."""
    stage = Stage(seed)
    run(stage.loop, what(stage))
    assert not stage.loop.complaints
    return stage


def out(value: str, tp: TP = STATE, key: str = "k") -> OutputRecord:
    """A record for a writer."""
    return OutputRecord(tp.topic, tp.partition, key.encode(), value.encode())


async def read_all(cluster: MemoryCluster, tp: TP, start: int = 0) -> list[FetchedBatch]:
    """All batches of a log from ``start`` on."""
    end = (await cluster.ends([tp]))[tp]
    return [fetched async for fetched in cluster.read(tp, start, end)]


async def nobody(tps: frozenset[TP]) -> None:
    """A listener that does nothing."""


async def joined(
    cluster: MemoryCluster,
    assigned: Callable[[frozenset[TP]], Awaitable[None]] = nobody,
    revoked: Callable[[frozenset[TP]], Awaitable[None]] = nobody,
) -> MemoryConsumer:
    """A consumer that has joined the group and has partitions."""
    consumer = cluster.consumer(["in", "also"])
    await consumer.start(Listener(revoked, assigned))
    while not consumer.assignment():
        await asyncio.sleep(0.1)
    return consumer


def filled(stage: Stage, consumer: MemoryConsumer) -> list[bytes]:
    """Fill both logs, which the consumer reads from their beginnings; return their content."""
    values = [b"%d" % n for n in range(40)]
    for tp in (IN, ALSO):
        stage.broker.append(tp, *[Record(None, value) for value in values])
        consumer.seek(tp, 0)
    consumer.resume([IN, ALSO])
    return values
