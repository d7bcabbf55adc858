"""The owner of one partition number: opens its state, runs it, and hands it over.

`streams.worker.running` has what it runs: the input, the partition in memory, and the transaction. After a transaction
that failed, or may have failed, the memory is discarded and the state is read again.
"""

import asyncio
from typing import Any

import structlog

from monitor.core.decisions.record_handlers import UndecidableError
from monitor.core.threshold_distance import DistanceOptions, ThresholdDistances
from monitor.partition.record_batch import RecordBatch
from streams.kafka.api import (
    TP,
    Consumer,
    CorruptLog,
    Fenced,
    FetchedBatch,
    PermanentError,
    TransientError,
    Writer,
)
from streams.runtime.retry import Backoff
from streams.wording.worker_wording import worker_text
from streams.worker.context import OwnedPhase, WorkerContext
from streams.worker.recovery import RecoveryRefused, delete_left, has_grown, open_partition
from streams.worker.running.owned_partition import OwnedPartition
from streams.worker.running.running_partition import Due, RunningPartition

log = structlog.get_logger("callwarden")

_LEAVE_S = 6.0  # a revoked partition is held back no longer than this


class PartitionOwner(OwnedPartition):
    """One partition number of all topics, for as long as this worker owns it.

    A partition that was revoked keeps its memory for a quick return.
    """

    def __init__(self, number: int, context: WorkerContext, consumer: Consumer) -> None:
        super().__init__(number, context, consumer)
        self._writer: Writer | None = None
        self._opening: asyncio.Task[None] | None = None
        self._working: asyncio.Task[Any] | None = None
        self._leaving: asyncio.Task[None] | None = None

    # Assignment and revocation ----------------------------------------------------------------------------------

    def begin(self, after_s: float = 0.0) -> None:
        """Open the partition, which was assigned or is retried, ``after_s`` seconds from now."""
        self._show(OwnedPhase.OPENING)
        self.input.pause()
        self.input.release()
        if self._opening is not None:
            self._opening.cancel()
        under_way = [task for task in (self._opening, self._working, self._leaving) if task is not None]
        self._opening = asyncio.create_task(self._open(after_s, under_way), name=f"open-{self.number}")

    def refuse(self, why: str) -> None:
        """Mark an assigned partition as misconfigured: no operator command can make it open."""
        if (self.phase, self.why) == (OwnedPhase.MISCONFIGURED, why):
            return
        if self._opening is not None:
            self._opening.cancel()
        self.why = why
        self.forget()
        self._show(OwnedPhase.MISCONFIGURED)
        self.input.pause()
        log.error("partition refused", partition=self.number, why=why)

    async def give_up(self) -> None:
        """Hand the partition over to another worker: end running work, and keep the memory for a quick return.

        Concurrent callers wait for the same handover. Cancelling a caller does not cancel it.
        """
        if self.phase is not OwnedPhase.PARKED:
            before, self.phase = self.phase, OwnedPhase.PARKED
            self._leaving = asyncio.create_task(self._leave(before, self._leaving), name=f"leave-{self.number}")
        if self._leaving is not None:
            await asyncio.shield(self._leaving)

    async def _leave(self, before: OwnedPhase, earlier: asyncio.Task[None] | None) -> None:
        if before is OwnedPhase.RUNNING:
            log.info("partition handed over", partition=self.number)
        if earlier is not None:
            await asyncio.wait([earlier])
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            await asyncio.wait([self._opening])
        try:
            async with asyncio.timeout(_LEAVE_S):
                if self._working is not None:
                    await asyncio.wait([self._working])
                if before is OwnedPhase.RUNNING and self.running is not None:
                    # Decide what is due and hand over what was read, so that the next owner need not read it again.
                    await self._commit(hand_over=True)
        except TimeoutError:
            # The broker may be away: other partitions must not wait, and the commit's outcome is unknown.
            if self._working is not None:
                self._working.cancel()
                await asyncio.wait([self._working])
            self.forget()
        if self._writer is not None:
            await self._writer.stop()
            self._writer = None
        self.phase = OwnedPhase.PARKED
        self._context.telemetry.released(self.number)

    async def _open(self, after_s: float, under_way: list[asyncio.Task[None]]) -> None:
        if under_way:
            await asyncio.wait(under_way)
        self._show(OwnedPhase.OPENING)
        await asyncio.sleep(after_s)
        backoff, refused = Backoff(), False
        while True:
            try:
                await self._open_once()
            except (TransientError, Fenced) as error:
                delay_s = backoff.next_s()
                log.warning("partition cannot be opened yet", partition=self.number, why=str(error), again_in_s=delay_s)
                await asyncio.sleep(delay_s)
            except RecoveryRefused as error:
                # A former owner that still reads while the present one commits sees half of that: retry once.
                if refused:
                    self._halt(OwnedPhase.REFUSED, str(error))
                    return
                refused = True
                await asyncio.sleep(self._context.rest_s)
            except PermanentError as error:
                self._halt(OwnedPhase.REFUSED, str(error))
                return
            except Exception as error:  # noqa: BLE001 - stops this partition, loudly
                self._fault("opening", error)
                return
            else:
                return

    async def _open_once(self) -> None:
        context, control = self._context, self.input.control
        loop = asyncio.get_running_loop()
        began = loop.time()
        # If opening fails, the operator's commands from here on are read.
        self.input.control_next = (await context.cluster.ends([control]))[control]
        if self._writer is not None:
            await self._writer.stop()
        self._writer = context.cluster.writer(f"{context.application_id}-{self.number}")
        await self._writer.start()
        running = self.running
        if running is None or await has_grown(context.cluster, context.names, self.number, running.state_end):
            running = None  # or two would be in memory
            self.forget()
            new = context.new_task(self.number)
            try:
                opened = await open_partition(context.cluster, context.names, self.number, new)
            except RecoveryRefused as refused:
                self.input.control_next = refused.control_end
                raise
            await delete_left(opened, context.names, self._writer)
            context.log_differences(opened.partition)
            running = self.running = RunningPartition(opened, context)
        self.input.start(running.task)
        self._show(OwnedPhase.RUNNING)
        context.telemetry.review_keys(self.number, running.task.sources.review_keys)
        context.telemetry.opened(self.number, loop.time() - began, running.task.shard.policy, self.measure)
        log.info("partition opened", partition=self.number, took_s=round(loop.time() - began, 3))

    # Input ------------------------------------------------------------------------------------------------------

    def failed(self, tp: TP, rows: RecordBatch, error: BaseException) -> None:
        """Handle an unexpected error of feeding ``rows``: locate the record, then stop the partition."""
        offset = self.input.locate(tp, rows)
        if offset is None:
            # Open again and read the same rows one by one, so that the error names its record.
            self.forget()
            self.begin()
        else:
            self._fault(f"{tp.topic} offset {offset}", error)

    def control(self, fetched: FetchedBatch) -> None:
        """Apply fetched commands; while the partition is not running, any command opens it again."""
        with self.guard(f"{self.input.control.topic} offset {fetched.start}"):
            self.input.control_next = fetched.stop
            if self.phase is OwnedPhase.RUNNING:
                assert self.running is not None
                self.running.control(fetched)
            elif len(fetched):
                self.forget()
                self.begin()

    def torn(self, torn: CorruptLog) -> FetchedBatch | None:
        """Handle a damaged log: the row that represents the range an operator skipped, or None.

        If no skip covers the damage, the partition stops.
        """
        tp = torn.tp
        if tp not in self.wanted:
            return None  # it is not read any more
        if tp == self.input.control:
            values = {"damage": torn, "offset": torn.last + 1, "number": tp.partition, "topic": tp.topic}
            self.refuse(worker_text("control_damaged", **values))  # no command can be read
            return None
        if self.running is None:
            return None
        try:
            return self.input.read_around(torn, self.running.task)
        except CorruptLog:
            at = f"--topic {tp.topic} --partition {tp.partition} --offset {torn.offset}"
            why = worker_text("input_damaged", damage=torn, command=f"callwarden skip {at} --reason WHY")
            log.error("partition stopped: its log is damaged", partition=self.number, why=why)
            self._halt(OwnedPhase.STOPPED, why)
            return None

    # Deciding ---------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Start a transaction or an early evaluation if one is due."""
        running = self.idle
        if running is None:
            return
        with self.guard("early evaluation"):
            due = running.due()
            if due is not None:
                work = self._early(running) if due is Due.EARLY else self._commit()
                self._working = asyncio.create_task(work, name=f"{due.name.lower()}-{self.number}")
                # What is due after it does not wait for the next round.
                self._working.add_done_callback(lambda _: self.tick())

    @property
    def idle(self) -> RunningPartition | None:
        """The running partition if no transaction or other task of it is under way."""
        working = self._working is not None and not self._working.done()
        return self.running if self.phase is OwnedPhase.RUNNING and not working else None

    async def measure(self, options: DistanceOptions) -> ThresholdDistances | None:
        """Measure the tenants' distances in a thread; None while other work is under way or nothing is loaded."""
        running = self.idle
        if running is None or running.busy:
            return None
        # In the place of a transaction: none may begin meanwhile, and a handover waits.
        measuring = self._working = asyncio.create_task(running.measure(options), name=f"measure-{self.number}")
        measuring.add_done_callback(lambda _: self.tick())
        await asyncio.wait([measuring])
        return None if measuring.cancelled() or running.discarded else measuring.result()

    async def _early(self, running: RunningPartition) -> None:
        with self.guard("early evaluation"):
            await running.early()

    async def _commit(self, hand_over: bool = False) -> None:
        assert self.running is not None
        assert self._writer is not None
        running, before = self.running, self.running.state_end
        try:
            if not await running.transact(self._writer, hand_over):
                return
        except (Fenced, TransientError) as error:
            log.warning("transaction failed; the state is read again", partition=self.number, why=str(error))
            self._context.telemetry.transaction_failed()
            self.forget()
            if self.phase is OwnedPhase.RUNNING:
                # A slow owner may have been fenced by its own time-out; a former owner will see a rebalance.
                self.begin(self._context.rest_s)
        except PermanentError as error:
            self._halt(OwnedPhase.REFUSED, str(error))
        except UndecidableError as error:
            tp = self.input.tps[error.ref.source]
            self._fault(f"{tp.topic} offset {error.ref.offset}", error.__cause__ or error)
        except Exception as error:  # noqa: BLE001 - stops this partition, loudly
            self._fault("deciding", error)
        else:
            if running.task.switching:
                # Another policy applies from here on: read the state with it, and read open records again.
                self._again()
            elif running.state_end <= before:
                log.error("the log of the state was recreated; its partition is opened again", partition=self.number)
                self._again()

    def _again(self) -> None:
        self.forget()
        if self.phase is OwnedPhase.RUNNING:
            self.begin()
