"""A process's connection to the broker in memory, on which each request and each response may fail."""

import asyncio
import random
from collections.abc import Callable
from typing import TypeVar

from crash.broker import Broker
from crash.group import Member
from crash.virtual import Process
from streams.kafka.api import (
    TP,
    CorruptLog,
    TransientError,
)

T = TypeVar("T")
REQUEST_TIMEOUT_S = 2.0
BACKOFF_S = 0.5


class Link:
    """A process's connection to the broker, through which all its calls pass.

    ``passing`` is called before each request (``name?``) and response (``name!``). It may kill or stop the process, or
    raise TransientError. ``cut`` is a network partition of this process. ``rank`` is the prefix of its member ids;
    members are assigned in the order of ids. ``slow_share`` of the calls are slow, and a tenth of that share of the
    polls that have fetched records fail.
    """

    def __init__(self, broker: Broker, process: Process, rng: random.Random) -> None:
        self.broker, self.process, self.rng = broker, process, rng
        self.cut = False
        self.rank = ""
        self.slow_share = 0.02
        self.passing: Callable[[Process, str], None] = lambda process, point: None
        self.members: list[Member] = []
        self._silences: list[tuple[Member, object]] = []

    @property
    def reaches(self) -> bool:
        """Whether a request of the process reaches the broker now."""
        return self.broker.up and not self.cut

    def fall_silent(self) -> None:
        """Stop the heartbeats of this process. Call it when the process is killed, stopped or cut off."""
        self._silences += [(member, self.broker.group.silence(member)) for member in self.members]

    def be_heard(self) -> None:
        """Resume the heartbeats."""
        for member, silence in self._silences:
            self.broker.group.heard(member, silence)
        self._silences.clear()

    async def call(self, name: str, effect: Callable[[], T]) -> T:
        """Send a request, run its effect, receive the response. After a TransientError the effect may have happened."""
        await self.passes(f"{name}?")
        result = effect()
        await self.passes(f"{name}!")
        return result

    async def passes(self, point: str) -> None:
        """One direction of a call. Raises TransientError."""
        await asyncio.sleep(self._latency_s())
        self.passing(self.process, point)
        await self.process.pause_point()
        if not self.reaches:
            await asyncio.sleep(self.rng.choice((0.0, REQUEST_TIMEOUT_S)))
            if not self.reaches:
                raise self.refusal()

    def refusal(self) -> TransientError:
        """The error that a client raises when it receives no response."""
        self.broker.refusals += 1
        return TransientError("the broker cannot be reached")

    def readable(self, tp: TP, start: int, stop: int) -> int:
        """Return how far ``[start, stop)`` can be read. Raises CorruptLog."""
        first, last = self.broker.damaged.get(tp, (stop, stop))
        if last < start or first >= stop:
            return stop
        if start < first:
            return first
        raise CorruptLog(tp, start, "as if it were torn", last, b"damaged")

    def _latency_s(self) -> float:
        luck = self.rng.random()
        if luck < self.slow_share:
            return self.rng.uniform(0.1, REQUEST_TIMEOUT_S)
        return 0.0 if luck < 0.7 else self.rng.uniform(0.0, 0.005)
