"""What the partitions of a worker wait for, as sentences for an operator, by partition number."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

from monitor.decoding.input_topics import INPUTS
from monitor.partition.idleness import CALLS, SilentSources, feed_is_current
from monitor.partition.waiting.decision_times import (
    DecisionForecast,
    DecisionTime,
    WaitCause,
    forecast,
    grace_ms,
    source_forecast,
)
from monitor.partition.waiting.watermark_holds import (
    END_OUTAGE,
    HoldReason,
    SourceState,
    WatermarkHold,
    held_by,
    open_transaction,
    outage_grace,
    sentence,
)
from monitor.text.timestamps import rfc3339
from streams.kafka.api import TP
from streams.topics.transaction_records import DecisionDelays
from streams.worker.context import OwnedPhase, WorkerContext
from streams.worker.partition_owner import PartitionOwner

_CALLS = INPUTS.index(CALLS)
_OPEN_MS = 30_000  # a transaction open for longer is reported
_MOST = 50  # sentences of one worker
_MOST_IN_JSON = 1_000  # partitions

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class WaitReasons:
    """Tracks since when clocks are stalled, old records hold decisions back, and transactions are open."""

    def __init__(self, context: WorkerContext, silence: SilentSources[TP]) -> None:
        self._context, self._silence = context, silence
        self._stands: dict[TP, tuple[int, int]] = {}
        self._old: dict[TP, tuple[None, int]] = {}
        self._open: dict[TP, tuple[int, int]] = {}
        self.sentences: dict[int, list[str]] = {}
        self.forecasts: dict[int, DecisionForecast] = {}
        self.delays: DecisionDelays | None = None

    def update(
        self,
        owners: Mapping[int, PartitionOwner],
        ends: Mapping[TP, int],
        undecided: Mapping[TP, int],
        feed_current: bool,
    ) -> None:
        """Update from a check of these ``ends``; ``undecided`` are the first offsets of open transactions.

        ``feed_current``: some partition of this worker is silent, and other partitions have current calls.
        """
        now_ms = self._context.broker_clock.rough_ms
        if now_ms is None:
            self.sentences = {number: [] for number in owners}
            self.delays = self._delays(owners, {}, {})
            return
        others = self._others_current(owners, now_ms)
        forecasts = {n: self._forecast(n, one, ends, now_ms, feed_current or others(n)) for n, one in owners.items()}
        self.forecasts = {number: one for number, one in forecasts.items() if one is not None}
        inputs = self._context.names.inputs
        self._open = _since(self._open, {tp: at for tp, at in undecided.items() if tp.topic in inputs}, now_ms)
        clocks: dict[TP, int] = {}
        for number, owner in owners.items():
            if owner.phase is OwnedPhase.RUNNING and owner.partition is not None:
                tps = [TP(topic, number) for topic in inputs]
                clocks |= dict(zip(tps, owner.partition.sources.clocks_ms, strict=True))
        self._stands = _since(self._stands, clocks, now_ms)
        holds = {number: self._hold(number, owner, ends, now_ms) for number, owner in owners.items()}
        old = {
            TP(inputs[hold.source], number): None
            for number, hold in holds.items()
            if hold is not None and hold.reason is HoldReason.OLD_RECORDS
        }
        self._old = _since(self._old, old, now_ms)
        held = {number: self._of(number, hold, now_ms) for number, hold in holds.items()}
        graces = {number: self._grace(number, owner) for number, owner in owners.items()}
        left, self.sentences = _MOST, {}
        for number, lines in held.items():
            said = lines + [line for line in [graces[number]] if line is not None]
            self.sentences[number], left = said[:left], max(left - len(said), 0)
        self.delays = self._delays(owners, held, graces)

    def _delays(
        self, owners: Mapping[int, PartitionOwner], held: Mapping[int, list[str]], graces: Mapping[int, str | None]
    ) -> DecisionDelays:
        """The delays of this worker: what holds its partitions, and which of them wait for the grace."""
        lateness_ms = [owner.partition.policy.lateness_ms for owner in owners.values() if owner.partition is not None]
        live = self._context.live
        return DecisionDelays(
            max(lateness_ms, default=self._context.policy.lateness_ms),
            live.idle_after_ms,
            live.outage_grace_ms,
            tuple(number for number, line in graces.items() if line is not None),
            tuple(n for n, owner in owners.items() if held.get(n) or owner.phase is not OwnedPhase.RUNNING),
        )

    def _others_current(self, owners: Mapping[int, PartitionOwner], now_ms: int) -> Callable[[int], bool]:
        """Whether current calls arrive in this worker's partitions other than the given one.

        While no partition of the worker is silent, it does not ask about those of other workers (`CallFeed`): a
        forecast then may have the outage grace, and is later than the decision.
        """
        topic, lateness_ms = self._context.names.inputs[_CALLS], self._context.policy.lateness_ms
        current: dict[int, bool] = {}  # by partition that is not silent
        for number, owner in owners.items():
            if owner.partition is not None and not self._silence.silent(tp := TP(topic, number), owner.reading(tp)):
                current[number] = feed_is_current([owner.partition.sources.newest_call_ms], now_ms, lateness_ms)
        count = sum(current.values())

        def others(number: int) -> bool:
            mine = current.get(number)
            old = len(current) - count - (mine is False)
            return not old and count - (mine is True) > 0

        return others

    def _forecast(
        self, number: int, owner: PartitionOwner, ends: Mapping[TP, int], now_ms: int, feed_current: bool
    ) -> DecisionForecast | None:
        """When a partition decides what it has read; None if it does not run."""
        task, live = owner.partition, self._context.live
        tps = [TP(topic, number) for topic in self._context.names.inputs]
        if owner.phase is not OwnedPhase.RUNNING or task is None or not all(tp in ends for tp in tps):
            return None
        sources = task.sources
        forecasts = []
        for source, (tp, clock_ms, offset) in enumerate(zip(tps, sources.clocks_ms, sources.offsets, strict=True)):
            unread = 1 if sources.catches_up(source) else max(ends[tp] - offset, 0)
            quiet = self._silence.quiet(tp, sources.reading(source))
            behind_ms = grace_ms(source, live.outage_grace_ms, feed_current, sources.outage_ended)
            forecasts.append(source_forecast(clock_ms, unread, quiet, now_ms, live.idle_after_ms, behind_ms))
        return forecast(task, forecasts, now_ms)

    def _grace(self, number: int, owner: PartitionOwner) -> str | None:
        """The sentence that a partition waits for the outage grace; None while its calls are not silent."""
        tp = TP(self._context.names.inputs[_CALLS], number)
        if number not in self.forecasts or not self._silence.silent(tp, owner.reading(tp)):
            return None
        return outage_grace(self.forecasts[number], number)

    def _hold(self, number: int, owner: PartitionOwner, ends: Mapping[TP, int], now_ms: int) -> WatermarkHold | None:
        """What holds the watermark of a partition back, or None."""
        partition = owner.partition
        tps = [TP(topic, number) for topic in self._context.names.inputs]
        if owner.phase is not OwnedPhase.RUNNING or partition is None or not all(tp in ends for tp in tps):
            return None
        sources = partition.sources
        states = [
            SourceState(clock_ms, self._silence.silent(tp, sources.reading(source)), max(ends[tp] - at, 0))
            for source, (tp, clock_ms, at) in enumerate(zip(tps, sources.clocks_ms, sources.offsets, strict=True))
        ]
        return held_by(states, now_ms, self._context.live.idle_after_ms)

    def _of(self, number: int, hold: WatermarkHold | None, now_ms: int) -> list[str]:
        tps = [TP(topic, number) for topic in self._context.names.inputs]
        lines = [
            open_transaction(tp.topic, number, at, since_ms)
            for tp in tps
            if tp in self._open
            for at, since_ms in [self._open[tp]]
            if now_ms - since_ms >= _OPEN_MS
        ]
        if hold is not None:
            tp = tps[hold.source]
            # The event times of old records increase; otherwise the source would be silent.
            _, since_ms = self._old[tp] if hold.reason is HoldReason.OLD_RECORDS else self._stands[tp]
            if now_ms - since_ms < 2 * self._context.live.idle_after_ms:
                return lines  # it is being read, or will soon count as silent
            lines.append(sentence(hold, tp.topic, number, since_ms))
        return lines


def _since(before: Mapping[_K, tuple[_V, int]], now: Mapping[_K, _V], now_ms: int) -> dict[_K, tuple[_V, int]]:
    """Each value with the time since which it has been the same."""
    return {tp: before[tp] if tp in before and before[tp][0] == one else (one, now_ms) for tp, one in now.items()}


def waiting_partitions(forecasts: Mapping[int, DecisionForecast]) -> list[dict[str, Any]]:
    """When partitions decide what they have read, as JSON; only those that wait."""
    return [
        {
            "partition": number,
            "records": None if one.record is None else _time(one.record),
            "windows": [{"step_ms": step_ms, **_time(time)} for step_ms, time in one.windows.items()],
            "command": END_OUTAGE if last.cause is WaitCause.OUTAGE_GRACE else None,
        }
        for number, one in sorted(forecasts.items())[:_MOST_IN_JSON]
        if (last := one.last) is not None
    ]


def _time(one: DecisionTime) -> dict[str, Any]:
    decided_at = None if one.at_ms is None else rfc3339(one.at_ms)
    return {
        "until": rfc3339(one.until_ms), "decided_at": decided_at, "waits_for": INPUTS[one.source],
        "why": one.cause.value,
    }  # fmt: skip
