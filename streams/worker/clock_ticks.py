"""Ticks: records that a worker writes to the clock log to learn the broker's time from their acknowledgements.

Idle clocks follow it, not the host's clock. Ticks decide nothing: readers of the clock log skip them.
"""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import structlog

from monitor.text.timestamps import rfc3339
from streams.kafka.api import PermanentError, TransientError
from streams.kafka.outputs import OutputRecord
from streams.runtime.monotonic import BrokerClock, Moment
from streams.topics.transaction_records import DecisionDelays, encode_tick
from streams.wording.worker_wording import worker_text
from streams.worker.context import WorkerContext

log = structlog.get_logger("callwarden")

_SETTLED_S = 300.0  # between two ticks, if the last two agree
_UNSETTLED_S = 30.0  # if they do not; less for a shorter `idle_after`
_GOOD_S = 900.0  # a tick is valid for this long
_STUCK_S = 60.0
_SKEWED_MS = 1_000
_TELL_AGAIN_S = 3_600.0


class _Waiting(NamedTuple):
    at_s: float
    host_ms: int


class _Said(NamedTuple):
    """What a tick says besides the time."""

    waits: Mapping[int, list[str]]
    delays: DecisionDelays | None = None


class ClockTicks:
    """Keeps a worker's `BrokerClock` accurate, with one tick at a time."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._unsettled_s = min(context.live.idle_after_ms / 1000, _UNSETTLED_S)
        self._ticking: asyncio.Task[None] | None = None
        self._tried_s: float | None = None
        self._ticked_s: float | None = None
        self._waiting: _Waiting | None = None  # since when a tick is wanted and none is acknowledged
        self._why = ""
        self._said = self._sent = _Said({})
        self._told_s: dict[str, float] = {}

    def start_due(
        self,
        number: int | None,
        waits: Mapping[int, list[str]],
        delays: DecisionDelays | None = None,
    ) -> None:
        """Start a tick in the clock log of partition ``number`` if one is due; None: this worker has no partition.

        A tick carries ``waits``, what each partition of this worker waits for, and its ``delays``. It is due when they
        change, too.
        """
        self._said = _Said({number: list(lines) for number, lines in waits.items()}, delays)
        clock, now_s = self._context.broker_clock, asyncio.get_running_loop().time()
        if self._ticked_s is not None and now_s - self._ticked_s > _GOOD_S:
            clock.forget()
        if number is None:
            self._waiting = None
        elif self._due(clock, now_s):
            self._waiting = self._waiting or _Waiting(now_s, self._context.now_ms())
            self._tried_s = now_s
            self._ticking = asyncio.create_task(self._tick(number), name="tick")

    def _due(self, clock: BrokerClock, now_s: float) -> bool:
        if self._ticking is not None and not self._ticking.done():
            return False
        if self._tried_s is None or clock.at_ms(0) is None:
            return self._tried_s is None or now_s - self._tried_s >= self._unsettled_s / 3
        settled = clock.settled and self._said == self._sent
        return now_s - self._tried_s >= (_SETTLED_S if settled else self._unsettled_s)

    async def _tick(self, number: int) -> None:
        context = self._context
        sent, said = self._moment(), self._said
        value = encode_tick(sent.host_ms, said.waits, said.delays)
        tick = OutputRecord(context.names.output("clock"), number, str(number).encode(), value)
        try:
            broker_ms = await context.cluster.stamp(tick)
        except (TransientError, PermanentError) as error:
            self._why = str(error)
            if isinstance(error, PermanentError):
                self._tell("no tick reaches the clock topic; clocks of silent sources stop", why=self._why)
            return
        context.broker_clock.tick(sent, self._moment(), broker_ms)
        self._sent = said
        self._ticked_s, self._waiting = asyncio.get_running_loop().time(), None
        skew_ms = context.broker_clock.skew_ms or 0
        context.telemetry.skew(skew_ms / 1000)
        if abs(skew_ms) > _SKEWED_MS:
            self._tell("the clock of this host differs from the broker's", ahead_s=skew_ms / 1000)

    def _moment(self) -> Moment:
        return Moment(self._context.now_ms(), self._context.broker_clock.steady_ms())

    def _tell(self, event: str, **more: object) -> None:
        now_s = asyncio.get_running_loop().time()
        if event not in self._told_s or now_s - self._told_s[event] >= _TELL_AGAIN_S:
            self._told_s[event] = now_s
            log.warning(event, **more)

    @property
    def notices(self) -> list[str]:
        """What an operator should know about ticks and the host's clock, one sentence each."""
        said = []
        if self._waiting is not None and asyncio.get_running_loop().time() - self._waiting.at_s > _STUCK_S:
            waiting = {"topic": self._context.names.output("clock"), "since": rfc3339(self._waiting.host_ms)}
            if self._why:
                said.append(worker_text("no_tick_because", **waiting, why=self._why))
            else:
                said.append(worker_text("no_tick", **waiting))
        skew_ms = self._context.broker_clock.skew_ms or 0
        if abs(skew_ms) > _SKEWED_MS:
            code = "clock_ahead" if skew_ms > 0 else "clock_behind"
            said.append(worker_text(code, seconds=f"{abs(skew_ms) / 1000:.1f}"))
        return said

    async def stop(self) -> None:
        """Cancel the tick in progress."""
        if self._ticking is not None and not self._ticking.done():
            self._ticking.cancel()
            await asyncio.wait([self._ticking])
