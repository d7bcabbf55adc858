"""The consumer loop: one consumer for all partitions of a worker, and one owner for each partition number."""

import asyncio
from collections.abc import Iterable, Mapping

import structlog

from monitor.partition.waiting.decision_times import DecisionForecast
from streams.kafka.api import TP, Consumer, CorruptLog, FetchedBatch, Listener, OffsetOutOfRange, TransientError
from streams.runtime.retry import Backoff
from streams.wording.worker_wording import worker_text
from streams.worker.context import OwnedPhase, WorkerContext
from streams.worker.idle_clocks import UNANSWERED_S, IdleClocks
from streams.worker.partition_owner import PartitionOwner
from streams.worker.running.input_delivery import FEW_ROWS, Agents, InputDelivery
from streams.worker.running.left_open import LeftOpen
from streams.worker.running.owner_ban_feed import OwnerBanFeed
from streams.worker.running.running_partition import RunningPartition
from streams.worker.topic_guard import TopicGuard

log = structlog.get_logger("callwarden")

_POLL_ROWS = 20_000
_POLL_S = 0.2
_BUSY_POLL_S = 0.02  # while a partition is busy and will take more soon
# A round costs as much for a few rows as for hundreds: a busy worker has three a second, each with all its partitions.
_COLLECT_S = 0.3  # early alerts come within half a second: this, a round, and a transaction
_LINGER_S = 0.05  # for the answers of other brokers
_CONFIRM_S = 1.0  # a suspected topic change is confirmed by a second check after this time
_PARKED_MS = 120_000  # the memory of a revoked partition is kept this long


class ConsumerLoop:
    """Polls the assigned partitions and feeds their owners, which decide.

    ``run`` works until ``stop``, and raises an error that affects more than one partition.
    """

    def __init__(self, context: WorkerContext, agents: Agents) -> None:
        self._context = context
        self._agents = agents
        self.owners: dict[int, PartitionOwner] = {}
        self._assigned: set[int] = set()
        self._parked_ms: dict[int, int] = {}
        topics = [*context.names.inputs, context.names.output("control")]
        self._consumer: Consumer = context.cluster.consumer(topics, _COLLECT_S)
        self._stopping = asyncio.Event()
        self._joined = False
        self._clocks = IdleClocks(context, self.owners, self._assigned, self._consumer.undecided)
        self._topics = TopicGuard(context, self.owners, self._assigned)
        self._left_open = LeftOpen(context, self._running)
        self._delivery = InputDelivery(context, agents, self.owners, self._assigned, self._consumer)
        self._bans = OwnerBanFeed(context, lambda: [*self._running().values()])
        self._away = False
        self._shared_out = False  # partitions were assigned since the last revocation
        self._turned_s: float | None = None
        self._unanswered_s = 0.0

    async def run(self) -> None:
        """Join the group and work until `stop` is called."""
        try:
            if await self._join():
                await self._work()
        finally:
            await self._consumer.stop()

    async def _work(self) -> None:
        looks = [
            asyncio.create_task(self._look_on(), name="look"),
            asyncio.create_task(self._left_open.run(), name="left open"),
        ]
        try:
            while not self._stopping.is_set():
                self._turned_s = asyncio.get_running_loop().time()
                for looking in looks:
                    if looking.done():
                        looking.result()
                self._bans.start_due()
                await self._round()
        finally:
            for looking in looks:
                looking.cancel()
            await asyncio.wait(looks)
            await self._clocks.stop()
            await self._bans.stop()
            self._stopping.set()  # for any reason the loop ended: open no more partitions
            await asyncio.gather(*(owner.give_up() for owner in self.owners.values()))

    def stop(self) -> None:
        """Ask `run` to end: it commits what is due and leaves the group."""
        self._stopping.set()

    @property
    def partitions_not_running(self) -> dict[int, str]:
        """The assigned partitions that are not running, each with its phase and reason."""
        owned = ((number, self.owners[number]) for number in sorted(self._assigned))
        return {n: _why_not_running(one) for n, one in owned if one.phase is not OwnedPhase.RUNNING}

    @property
    def not_ready(self) -> list[str]:
        """Why the worker is not ready, one line per reason: the broker, the group, its partitions, or its lag."""
        if self._away or not self._joined:
            return [worker_text("broker_away")]
        if self._unanswered_s > UNANSWERED_S:
            return [worker_text("unanswered", seconds=f"{self._unanswered_s:.0f}")]
        if not self._shared_out:
            return [worker_text("rebalancing")]
        still = self._topics.watch.faults
        if not self._topics.watch.halting:
            still += [worker_text("partition", number=n, why=why) for n, why in self.partitions_not_running.items()]
        still += [self._bans.fault] if self._bans.fault else []
        if still or self._clocks.behind is None:
            return still or [worker_text("lag_unknown")]
        behind = {tp: records for tp, records in self._clocks.behind.items() if tp.partition in self._assigned}
        return _lagging(behind, self._context.ready_lag)

    @property
    def notices(self) -> list[str]:
        """What an operator should know even if the worker is ready, one sentence each."""
        # None while the broker does not answer: to end an outage by earlier knowledge could make calls late.
        return [] if self._away or self._unanswered_s > UNANSWERED_S else self._clocks.notices

    @property
    def forecasts(self) -> dict[int, DecisionForecast]:
        """When each partition decides what it has read."""
        return self._clocks.forecasts

    @property
    def stuck_s(self) -> float:
        """Seconds since the loop last began a round."""
        return 0.0 if self._turned_s is None else asyncio.get_running_loop().time() - self._turned_s

    async def _join(self) -> bool:
        """Join the group, retrying while the broker is away; False if `stop` came first."""
        backoff = Backoff()
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            while True:
                joining = asyncio.create_task(self._consumer.start(Listener(self._revoked, self._assign)))
                await asyncio.wait([joining, stopped], return_when=asyncio.FIRST_COMPLETED)
                if not joining.done():
                    joining.cancel()
                    await asyncio.wait([joining])
                    return False
                try:
                    joining.result()
                except TransientError as error:
                    self._broker(str(error))
                    await asyncio.wait([stopped], timeout=backoff.next_s())
                else:
                    self._broker(None)
                    self._joined = True
                    return True
                if stopped.done():
                    return False
        finally:
            stopped.cancel()

    def _broker(self, why: str | None) -> None:
        """Record that the broker is reachable (None), or why not; a change is logged once."""
        if why is not None and not self._away:
            log.warning("the broker is away; waiting for it", why=why)
        if why is None and self._away:
            log.info("the broker is back")
        self._away = why is not None
        self._context.telemetry.broker(self._away)

    # The group --------------------------------------------------------------------------------------------------

    async def _assign(self, tps: frozenset[TP]) -> None:
        if self._stopping.is_set():
            return
        self._shared_out = True
        for number in sorted({tp.partition for tp in tps} - self._assigned):
            owner = self.owners.get(number)
            if owner is None:
                owner = self.owners[number] = PartitionOwner(number, self._context, self._consumer)
            self._assigned.add(number)
            self._topics.begin(owner, tps)

    async def _revoked(self, tps: frozenset[TP]) -> None:
        self._shared_out, self._clocks.behind = False, None
        numbers = sorted({tp.partition for tp in tps} & self.owners.keys())
        self._parked_ms |= dict.fromkeys(self._assigned.intersection(numbers), self._context.broker_clock.steady_ms())
        self._assigned.difference_update(numbers)
        await asyncio.gather(*(self.owners[number].give_up() for number in numbers))

    def _running(self) -> dict[int, RunningPartition]:
        """The assigned partitions that run now."""
        owned = ((number, self.owners[number]) for number in sorted(self._assigned))
        return {n: one.running for n, one in owned if one.phase is OwnedPhase.RUNNING and one.running is not None}

    # Reading and deciding ---------------------------------------------------------------------------------------

    async def _round(self) -> None:
        owners = [self.owners[number] for number in sorted(self._assigned)]
        wanted = [tp for one in owners for tp in one.wanted if self._agents.reads(self._context.names.source(tp.topic))]
        fetched: dict[TP, FetchedBatch] = {}
        try:
            # Poll even if nothing is wanted: only a poll reveals that the membership has failed.
            fetched = await self._consumer.poll(wanted, _patience_s(owners), _POLL_ROWS)
        except OffsetOutOfRange as truncated:
            if truncated.tp in wanted:
                owner = self.owners[truncated.tp.partition]
                if truncated.tp in owner.wanted:
                    log.warning("a log was truncated or recreated; its partition is opened again", why=str(truncated))
                    owner.forget()
                    owner.begin(self._context.rest_s)
        except CorruptLog as torn:
            if torn.tp in wanted:
                around = self.owners[torn.tp.partition].torn(torn)
                fetched = {} if around is None else {torn.tp: around}
        except TransientError as error:
            self._broker(str(error))
            await asyncio.sleep(1.0)
        # Read only after the poll, which handles answers that arrived while this process was stopped.
        self._unanswered_s = max(self._consumer.unanswered_s, self._clocks.unanswered_s)
        held = [one for owner in owners if owner.takes for one in owner.input.release()]
        batches = [*held, *fetched.items()]
        async with self._context.turns.of_loop():
            await self._delivery.take(batches)
            for owner in owners:
                if owner.number in self._assigned:
                    owner.tick()
                    await asyncio.sleep(0)  # early evaluations of all partitions together would hold the event loop
        if 0 < sum(len(batch) for _, batch in batches) < FEW_ROWS:
            await asyncio.sleep(_LINGER_S)

    # Silent sources ---------------------------------------------------------------------------------------------

    async def _look_on(self) -> None:
        every_s = min(self._context.live.idle_after_ms / 6, 5_000) / 1000
        while True:
            await asyncio.sleep(min(every_s, _CONFIRM_S) if self._topics.watch.suspected else every_s)
            try:
                if await self._topics.check(self._consumer.assignment()):
                    await self._clocks.check()
                else:
                    self._clocks.blind()
            except TransientError as error:
                self._clocks.blind()
                self._broker(str(error))
            else:
                self._broker(None)
                self._let_go()

    def _let_go(self) -> None:
        """Drop the memory of partitions that were revoked more than `_PARKED_MS` ago."""
        now_ms = self._context.broker_clock.steady_ms()
        for number in set(self.owners) - self._assigned:
            if now_ms - self._parked_ms.get(number, now_ms) > _PARKED_MS:
                del self.owners[number]


def _why_not_running(owner: PartitionOwner) -> str:
    """The phase of a partition that does not run, and why."""
    phase = owner.phase.value
    return worker_text(f"{phase}_because", why=owner.why) if owner.why else worker_text(phase)


def _lagging(behind: Mapping[TP, int], most: int) -> list[str]:
    """The logs with more than ``most`` unread records, a sentence each."""
    return [
        worker_text("lagging", log=f"{tp.topic}-{tp.partition}", records=records, most=most)
        for tp, records in behind.items()
        if records > most
    ]


def _patience_s(owners: Iterable[PartitionOwner]) -> float:
    """How long to wait for more records, in seconds: 0 if held records can be taken now.

    Not beyond the time at which rules may be evaluated early: that would be just before the next records come, and
    keep theirs from being evaluated at once.
    """
    owners = list(owners)
    if any(owner.input.holds and owner.takes for owner in owners):
        return 0.0
    idle = [owner.idle for owner in owners]
    looks = [wait_s for one in idle if one is not None and (wait_s := one.look_in_s()) is not None]
    return min([_POLL_S if all(owner.takes for owner in owners) else _BUSY_POLL_S, *looks])
