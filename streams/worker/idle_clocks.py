"""Idle clocks: checks the ends of a worker's input logs and advances the clocks of silent sources."""

import asyncio
from collections.abc import Callable, Mapping, Set

from monitor.decoding.input_topics import INPUTS
from monitor.partition.idleness import SilentSources
from monitor.partition.waiting.decision_times import DecisionForecast
from streams.kafka.api import TP
from streams.worker.call_feed import CallFeed
from streams.worker.clock_ticks import ClockTicks
from streams.worker.context import OwnedPhase, WorkerContext
from streams.worker.partition_owner import PartitionOwner
from streams.worker.wait_reasons import WaitReasons

UNANSWERED_S = 4.0
"""Without an answer for so long, a worker is not ready: a broker answers within a second, a new leader after two or
three."""


class IdleClocks:
    """The idle clocks of the ``owners`` of the ``assigned`` partition numbers; both may change between checks.

    ``undecided`` gives the first offsets of open transactions. ``behind`` is the number of unread records of each log
    at the last check, None before the first.
    """

    def __init__(
        self,
        context: WorkerContext,
        owners: Mapping[int, PartitionOwner],
        assigned: Set[int],
        undecided: Callable[[], Mapping[TP, int]],
    ) -> None:
        self._context, self._owners, self._assigned, self._undecided = context, owners, assigned, undecided
        self._silence: SilentSources[TP] = SilentSources(context.live.idle_after_ms)
        self._feed = CallFeed(context, self._silence)
        self._ticks = ClockTicks(context)
        self._waits = WaitReasons(context, self._silence)
        self._asked_s: float | None = None
        self.behind: dict[TP, int] | None = None

    @property
    def unanswered_s(self) -> float:
        """Seconds for which the current check has been waiting for the broker's answer; else 0."""
        return 0.0 if self._asked_s is None else asyncio.get_running_loop().time() - self._asked_s

    @property
    def notices(self) -> list[str]:
        """What an operator should know, one sentence each."""
        waiting = [line for number in sorted(self._waits.sentences) for line in self._waits.sentences[number]]
        return [*self._ticks.notices, *waiting]

    @property
    def forecasts(self) -> dict[int, DecisionForecast]:
        """When each partition decides what it has read, as of the last check, if the broker answers."""
        return self._waits.forecasts if self.unanswered_s < UNANSWERED_S else {}

    async def stop(self) -> None:
        """Stop writing ticks."""
        await self._ticks.stop()

    def blind(self) -> None:
        """Record that a check failed."""
        self._silence.blind()
        self._waits.forecasts = {}

    async def check(self) -> None:
        """Check the ends of the logs and advance the clocks of those silent for long enough.

        Raises TransientError.
        """
        context, names = self._context, self._context.names
        numbers = sorted(n for n in self._assigned if self._owners[n].phase is not OwnedPhase.MISCONFIGURED)
        inputs = [TP(topic, number) for topic in names.inputs for number in numbers]
        began_ms = context.broker_clock.steady_ms()  # before the check, so that the clock does not pass records of it
        self._asked_s = asyncio.get_running_loop().time()
        try:
            ends = await context.cluster.ends(sorted({*self._feed.tps, *inputs}))
        finally:
            self._asked_s = None
        self._silence.observe(round(asyncio.get_running_loop().time() * 1000), ends)
        now_ms = context.broker_clock.at_ms(began_ms)
        current = await self._feed.is_current(self._mine(), ends, now_ms)
        for owner in self._mine().values():
            self._advance(owner, ends, now_ms, current)
        owned = {tp: self._owners[tp.partition] for tp in inputs if tp.partition in self._assigned}
        self.behind = {tp: ends[tp] - owner.next_offset(tp) for tp, owner in owned.items() if owner.partition}
        self._feed.report_outage()
        for topic, name in zip(INPUTS, names.inputs, strict=True):
            quiet = [self._silence.quiet(tp, owner.reading(tp)) for tp, owner in owned.items() if tp.topic == name]
            context.telemetry.silent(topic, min(one.for_ms for one in quiet) / 1000 if quiet else None)

        running = [number for number, owner in self._mine().items() if owner.phase is OwnedPhase.RUNNING]
        self._waits.update(self._mine(), ends, self._undecided(), current)
        self._ticks.start_due(running[0] if running else None, self._waits.sentences, self._waits.delays)

    def _advance(self, owner: PartitionOwner, ends: Mapping[TP, int], now_ms: int | None, feed_current: bool) -> None:
        """Advance the clocks of the silent sources of a partition, given the logs' ``ends``.

        ``now_ms`` is the broker's time when the ends were requested; if None (unknown), no clock moves.
        """
        running, telemetry, silence = owner.running, self._context.telemetry, self._silence
        if owner.phase is not OwnedPhase.RUNNING or running is None or running.busy:
            return
        with owner.guard("moving the clock of a silent source"):
            sources = running.task.sources
            for source, offset in enumerate(sources.offsets):
                tp = owner.input.tps[source]
                if tp in ends:
                    telemetry.lag(INPUTS[source], owner.number, max(ends[tp] - offset, 0))
                    quiet = silence.quiet(tp, sources.reading(source))
                    if now_ms is not None and quiet.for_ms >= silence.idle_after_ms:
                        sources.idle(source, now_ms - quiet.ago_ms, feed_current)
            for topic, at_ms in zip(INPUTS, sources.clocks_ms, strict=True):
                telemetry.clock(topic, owner.number, at_ms)
            telemetry.watermark(owner.number, running.task.watermark.ms)

    def _mine(self) -> dict[int, PartitionOwner]:
        return {number: self._owners[number] for number in sorted(self._assigned)}
