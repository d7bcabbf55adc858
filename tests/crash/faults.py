"""Worlds of random faults: processes are killed and stopped where they write or read, and the broker restarts."""

import asyncio
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar

from crash.broker import Broker
from crash.log import Record
from crash.memory_link import Link
from crash.virtual import Process, VirtualClock, VirtualLoop
from streams.kafka.api import TP

_LONGEST_FAULT_S = 30


class FaultyWorld:
    """A broker in virtual time. ``kills`` counts the points at which processes died; ``calm`` ends the faults."""

    def __init__(self, seed: int, topics: Mapping[str, int], start_ms: int, transaction_timeout_s: float) -> None:
        print("seed", seed)
        self.loop, self.rng = VirtualLoop(), random.Random(seed)
        clock = VirtualClock(self.loop, start_ms)
        self.broker = Broker(self.loop, clock, self.rng, topics, transaction_timeout_s=transaction_timeout_s)
        self.kills: Counter[str] = Counter()
        self.calm = False

    async def broker_restarts(self, within_s: float = 15) -> None:
        """The broker is down twice, for a short time."""
        for _ in range(2):
            await asyncio.sleep(self.rng.uniform(1, within_s))
            self.broker.up = False
            await asyncio.sleep(self.rng.choice((0.3, 4.0)))
            self.broker.up = True

    async def settle(self, complete: Callable[[], bool], most_s: float) -> None:
        """End the faults; wait until everything is written, or ``most_s``, and then until every process that was
        stopped or dead has continued: what one writes a second time must show.
        """
        self.calm = True
        until_s = self.loop.time() + most_s
        while self.loop.time() < until_s and not complete():
            await asyncio.sleep(2)
        await asyncio.sleep(_LONGEST_FAULT_S + 20)

    def committed(self, topic: str) -> list[Record]:
        """The records of a topic, those of the first partition first."""
        return [
            entry.record
            for number in range(self.broker.topics[topic])
            for entry in self.broker.logs[TP(topic, number)].committed(0)
            if entry.record is not None
        ]


class Member(Protocol):
    """One process, and its connections to the broker."""

    process: Process
    link: Link


M = TypeVar("M", bound=Member)


class GroupWorld(FaultyWorld, ABC, Generic[M]):
    """A broker and the members of a group: each dies or stops now and then, and is cut off meanwhile."""

    def __init__(self, seed: int, topics: Mapping[str, int], start_ms: int) -> None:
        super().__init__(seed, topics, start_ms, transaction_timeout_s=20.0)
        self.members: dict[str, M] = {}

    @abstractmethod
    def member(self, name: str) -> M:
        """Start a process."""

    def start(self, *names: str) -> None:
        for name in names:
            self.members[name] = self.member(name)

    def passing(self, process: Process, point: str) -> None:
        """Now and then the process dies or stops there."""
        luck = self.rng.random() / (5 if point.startswith(("commit", "writer.start")) else 1)
        if self.calm or not process.alive or process.stopped or luck > 0.008:
            return
        member = self.members[process.name]
        member.link.fall_silent()
        if luck < 0.004:
            self.kills[point] += 1
            process.kill()
            self.loop.outside(self.rng.choice((0.1, 3.0, 15.0)), lambda: self.start(process.name))
        else:
            process.stop()

            def resume() -> None:
                process.resume()
                member.link.be_heard()

            self.loop.outside(self.rng.choice((0.5, 5.0, 25.0)), resume)
