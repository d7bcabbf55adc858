"""The owner of one partition number: opens its state, feeds the records that were read, and commits the decisions.

One transaction carries everything that an advance produced together with the resulting state, so both are stored or
neither is. After a transaction that failed, or may have failed, the state in memory is discarded and read again.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import structlog

from monitor.core.decisions.record_handlers import UndecidableError
from monitor.core.threshold_distance import DistanceOptions, ThresholdDistances, measure_distances
from monitor.decoding.input_topics import INPUTS
from monitor.partition.idleness import ReadProgress, SilentSources
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from streams.kafka.api import (
    TP,
    Consumer,
    CorruptLog,
    Fenced,
    FetchedBatch,
    OutputRecord,
    PermanentError,
    TransientError,
    Writer,
)
from streams.topics import transaction_records as emit
from streams.topics.control_topic import (
    AcceptCommand,
    Command,
    PolicyCommand,
    apply_command,
    commands_in,
    refused_command_entry,
)
from streams.worker.context import OwnerPhase, WorkerContext
from streams.worker.recovery import RecoveredPartition, RecoveryRefused, open_partition

log = structlog.get_logger("callwarden")

_LARGE = 50_000  # work, counted in calls of closing panes: more is decided and serialized in a thread
_MOST_AT_ONCE = 5_000  # records or lapses decided in one transaction
_LOOK_S = 0.25  # least interval of early evaluations: their cost depends on what is open, not on what has come
_LOOK_REST = 10.0  # the next one also waits this many times the duration of the last
_QUIET_S = 1.0  # without new records for longer, a partition has been read to its end; others may take turns with it
_SOON_S = 1.0  # output that is not urgent is committed within this time
_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 15.0
_PRESENT_MS = 10_000  # records newer than this mean that the partition has caught up
_FREED_AT_ONCE = 20_000  # records of a committed transaction that are freed in one step
_LEAVE_S = 6.0  # a revoked partition is held back no longer than this

_T = TypeVar("_T")
_STANDING_STILL = (OwnerPhase.REFUSED, OwnerPhase.STOPPED)  # until an operator's command arrives


class PartitionOwner:
    """One partition number of all topics, for as long as this worker owns it."""

    def __init__(self, number: int, context: WorkerContext, consumer: Consumer) -> None:
        self.number = number
        self.phase = OwnerPhase.OPENING
        self.busy = False  # a thread works on the partition
        self.control_next = 0
        self.why = ""
        self._context = context
        self._consumer = consumer
        self._tps = context.names.of(number)
        self._partition: StreamTask | None = None
        self._writer: Writer | None = None
        self._state_end = -1
        self._opening: asyncio.Task[None] | None = None
        self._committing: asyncio.Task[Any] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._waiting_since: float | None = None
        self._control_moved = False
        self._held: list[tuple[TP, FetchedBatch]] = []
        self._probe: tuple[TP, int, int] | None = None
        self._fed = False
        self._fed_s = self._looked_s = 0.0
        self._look_after_s = _LOOK_S
        self._caught_up = False

    # Assignment and revocation ----------------------------------------------------------------------------------

    def begin(self, after_s: float = 0.0) -> None:
        """Open the partition, which was assigned or is retried, ``after_s`` seconds from now."""
        self._show(OwnerPhase.OPENING)
        self._consumer.pause(self._tps)
        self._held = []
        if self._opening is not None:
            self._opening.cancel()
        under_way = [task for task in (self._opening, self._committing, self._leaving) if task is not None]
        self._opening = asyncio.create_task(self._open(after_s, under_way), name=f"open-{self.number}")

    def refuse(self, why: str) -> None:
        """Mark an assigned partition as unfit: no operator command can make it open."""
        if (self.phase, self.why) == (OwnerPhase.UNFIT, why):
            return
        if self._opening is not None:
            self._opening.cancel()
        self.why = why
        self.forget()
        self._show(OwnerPhase.UNFIT)
        self._consumer.pause(self._tps)
        log.error("partition refused", partition=self.number, why=why)

    async def give_up(self) -> None:
        """Hand the partition over to another worker: end running work, and keep the memory for a quick return.

        Concurrent callers wait for the same handover. Cancelling a caller does not cancel it.
        """
        if self.phase is not OwnerPhase.PARKED:
            before, self.phase = self.phase, OwnerPhase.PARKED
            self._leaving = asyncio.create_task(self._leave(before, self._leaving), name=f"leave-{self.number}")
        if self._leaving is not None:
            await asyncio.shield(self._leaving)

    async def _leave(self, before: OwnerPhase, earlier: asyncio.Task[None] | None) -> None:
        if before is OwnerPhase.RUNNING:
            log.info("partition handed over", partition=self.number)
        if earlier is not None:
            await asyncio.wait([earlier])
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            await asyncio.wait([self._opening])
        try:
            async with asyncio.timeout(_LEAVE_S):
                if self._committing is not None:
                    await asyncio.wait([self._committing])
                if before is OwnerPhase.RUNNING and self._partition is not None:
                    # Decide what is due and hand over what was read, so that the next owner need not read it again.
                    await self._commit(hand_over=True)
        except TimeoutError:
            # The broker may be away: other partitions must not wait, and the commit's outcome is unknown.
            if self._committing is not None:
                self._committing.cancel()
                await asyncio.wait([self._committing])
            self.forget()
        if self._writer is not None:
            await self._writer.stop()
            self._writer = None
        self.phase = OwnerPhase.PARKED
        self._context.telemetry.gone(self.number)

    async def _open(self, after_s: float, under_way: list[asyncio.Task[None]]) -> None:
        if under_way:
            await asyncio.wait(under_way)
        self._show(OwnerPhase.OPENING)
        await asyncio.sleep(after_s)
        delay, refused = _FIRST_RETRY_S, False
        while True:
            try:
                await self._open_once()
            except (TransientError, Fenced) as error:
                log.warning("partition cannot be opened yet", partition=self.number, why=str(error), again_in_s=delay)
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LAST_RETRY_S)
            except RecoveryRefused as error:
                # A former owner that still reads while the present one commits sees half of that: retry once.
                if refused:
                    self._halt(OwnerPhase.REFUSED, str(error))
                    return
                refused = True
                await asyncio.sleep(self._context.rest_s)
            except PermanentError as error:
                self._halt(OwnerPhase.REFUSED, str(error))
                return
            except Exception as error:  # noqa: BLE001 - stops this partition, loudly
                self._fault("opening", error)
                return
            else:
                return

    async def _open_once(self) -> None:
        context, control = self._context, self._tps[-1]
        loop = asyncio.get_running_loop()
        began = loop.time()
        # If opening fails, the operator's commands from here on are read.
        self.control_next = (await context.cluster.ends([control]))[control]
        if self._writer is not None:
            await self._writer.stop()
        self._writer = context.cluster.writer(f"{context.application_id}-{self.number}")
        await self._writer.start()
        if not await self._still_mine():
            self._partition = None
            try:
                opened = await open_partition(
                    context.cluster, context.names, self.number, context.partition(self.number)
                )
            except RecoveryRefused as refused:
                self.control_next = refused.control_end
                raise
            context.log_differences(opened.partition)
            self._adopt(opened)
        assert self._partition is not None
        self.control_next = self._partition.control
        offsets = [*self._partition.sources.offsets, self.control_next]
        for tp, offset in zip(self._tps, offsets, strict=True):
            self._consumer.seek(tp, offset)
        self._show(OwnerPhase.RUNNING)
        self._consumer.resume(self._tps)
        context.telemetry.opened(self.number, loop.time() - began, self._partition.shard.policy, self.measure)
        log.info("partition opened", partition=self.number, took_s=round(loop.time() - began, 3))

    def _adopt(self, opened: RecoveredPartition) -> None:
        self._partition = opened.partition
        self._state_end = opened.state_end
        self._caught_up = False
        self._fed = True  # records may have been handed over and not evaluated
        for offset, command in opened.commands:
            self._command(offset, command, opened.accepted)
        self._partition.control = opened.control_end

    async def _still_mine(self) -> bool:
        """Whether the memory equals the stored state, because nothing was written to the state's log since."""
        if self._partition is None:
            return False
        state = TP(self._context.names.output("state"), self.number)
        end = (await self._context.cluster.ends([state]))[state]
        async for fetched in self._context.cluster.read(state, self._state_end, end):
            if len(fetched):
                return False
        return True

    # Reading ----------------------------------------------------------------------------------------------------

    @property
    def wanted(self) -> list[TP]:
        """The topic partitions to fetch now; for a stopped or refused partition only the operator's commands."""
        partition = self._partition
        if self.phase is OwnerPhase.RUNNING and partition is not None:
            if self.busy:
                return []
            *inputs, control = self._tps
            if partition.full or self._held:
                return [control]
            return [*(tp for source, tp in enumerate(inputs) if not partition.ahead(source)), control]
        if self.phase in _STANDING_STILL:
            return self._tps[-1:]
        return []

    def listens(self, tp: TP) -> bool:
        """Whether it can use records of ``tp`` in its present phase."""
        return self.phase is OwnerPhase.RUNNING or (self.phase in _STANDING_STILL and tp == self._tps[-1])

    @property
    def takes(self) -> bool:
        """Whether the partition can take more records: no thread works on it, and the next transaction has room."""
        return not self.busy and not (self._partition is not None and self._partition.full)

    @property
    def holds(self) -> bool:
        """Whether fetched batches are held."""
        return bool(self._held)

    def hold(self, tp: TP, fetched: FetchedBatch) -> None:
        """Keep a batch that the partition could not take; no more inputs are fetched until it is fed."""
        self._held.append((tp, fetched))

    def held(self) -> list[tuple[TP, FetchedBatch]]:
        """Remove and return the held batches in order; empty while the partition cannot take them."""
        if not self.takes:
            return []
        held, self._held = self._held, []
        return held

    def next_offset(self, tp: TP) -> int:
        """The offset at which reading of ``tp`` continues."""
        source = self._context.names.source(tp.topic)
        if source is None or self._partition is None:
            return self.control_next
        return self._partition.sources.offsets[source]

    def reading(self, tp: TP) -> ReadProgress | None:
        """How far an input has been read; None if no partition is loaded or ``tp`` is not an input."""
        source = self._context.names.source(tp.topic)
        return None if self._partition is None or source is None else self._partition.sources.reading(source)

    def slices(self, tp: TP, fetched: FetchedBatch, most: int, most_bytes: int) -> list[RecordBatch]:
        """The batch in pieces of at most ``most`` rows and ``most_bytes`` bytes; a larger row is a piece of its own.

        Pieces have one row while an error is being located.
        """
        rows = fetched.rows
        if self._probe is not None and self._probe[0] == tp:
            _, first, last = self._probe
            if fetched.start >= last:
                self._probe = None  # this time there was no error
            elif fetched.stop > first:
                most = 1
        cuts = _cuts(fetched.values, most, most_bytes)
        return rows.cut(fetched.offsets[cuts].tolist()) if cuts else [rows]

    def feed(self, partition: StreamTask, source: int, rows: RecordBatch) -> None:
        """Feed the next rows to the ``partition`` that they were fetched for, not to one opened since.

        Rows that do not start at the source's next offset are dropped; the engine seeks back to the gap.
        """
        if partition is not self._partition or self.busy or rows.start != partition.sources.offsets[source]:
            return
        partition.feed(source, rows)
        self._fed, self._fed_s = True, asyncio.get_running_loop().time()
        if len(rows):
            now_ms = self._context.broker_clock.rough_ms
            self._caught_up = now_ms is not None and int(rows.timestamps_ms[-1]) >= now_ms - _PRESENT_MS

    @property
    def partition(self) -> StreamTask | None:
        """The partition in memory, or None."""
        return self._partition

    def failed(self, tp: TP, rows: RecordBatch, error: BaseException) -> None:
        """Handle an unexpected error of `feed`: locate the record, then stop the partition."""
        if len(rows) > 1:
            # Open again and read the same rows one by one, so that the error names its record.
            self._probe = (tp, int(rows.offsets[0]), rows.stop)
            self.forget()
            self.begin()
            return
        self._probe = None
        offset = int(rows.offsets[0]) if len(rows) else rows.stop
        self._fault(f"{tp.topic} offset {offset}", error)

    def control(self, fetched: FetchedBatch) -> None:
        """Apply fetched commands; while the partition is not running, any command opens it again."""
        with self._guard(f"{self._tps[-1].topic} offset {fetched.start}"):
            self._control(fetched)

    def _control(self, fetched: FetchedBatch) -> None:
        self.control_next = fetched.stop
        if self.phase is not OwnerPhase.RUNNING:
            if len(fetched):
                self.forget()
                self.begin()
            return
        for offset, command in commands_in(fetched):
            self._command(offset, command)
        assert self._partition is not None
        self._partition.control = fetched.stop

    def _command(self, offset: int, command: Command | str, accepted: Sequence[AcceptCommand] = ()) -> None:
        """Apply a command; the next transaction notes it. ``accepted`` are those applied when opening."""
        assert self._partition is not None
        self._control_moved = True
        wrong = apply_command(command, self._partition, self._context.names, accepted)
        if wrong is None and isinstance(command, PolicyCommand):
            version, later = self._partition.newest, self._partition.judged_later()
            told_of = {"policy": version.policy.sha256[:12], "from_ms": version.from_ms, "judged_later_ms": later}
            log.info("another policy will hold", partition=self.number, **told_of)
        if wrong:
            self._partition.refuse(refused_command_entry(offset, command, wrong))
            log.error("command refused", partition=self.number, offset=offset, why=wrong)
        else:
            log.info("command taken", partition=self.number, offset=offset, command=type(command).__name__)

    def idle(self, silence: SilentSources[TP], ends: Mapping[TP, int], now_ms: int | None, feed_current: bool) -> None:
        """Advance the clocks of silent sources, given the logs' ``ends``.

        ``now_ms`` is the broker's time when the ends were requested; if None (unknown), no clock moves.
        """
        if self.phase is not OwnerPhase.RUNNING or self._partition is None or self.busy:
            return
        with self._guard("moving the clock of a silent source"):
            self._idle(self._partition, silence, ends, now_ms, feed_current)

    def _idle(
        self,
        partition: StreamTask,
        silence: SilentSources[TP],
        ends: Mapping[TP, int],
        now_ms: int | None,
        feed_current: bool,
    ) -> None:
        telemetry = self._context.telemetry
        for source, offset in enumerate(partition.sources.offsets):
            tp = self._tps[source]
            if tp in ends:
                telemetry.lag(INPUTS[source], self.number, max(ends[tp] - offset, 0))
                quiet = silence.quiet(tp, partition.sources.reading(source))
                if now_ms is not None and quiet.for_ms >= silence.idle_after_ms:
                    partition.sources.idle(source, now_ms - quiet.ago_ms, feed_current)
        for topic, at_ms in zip(INPUTS, partition.sources.clocks_ms, strict=True):
            telemetry.clock(topic, self.number, at_ms)
        telemetry.watermark(self.number, partition.watermark_ms)

    def torn(self, torn: CorruptLog) -> FetchedBatch | None:
        """Handle a damaged log: the row that stands for the range an operator skipped, or None.

        If no skip covers the damage, the partition stops.
        """
        tp, partition = torn.tp, self._partition
        if tp not in self.wanted:
            return None  # it is not read any more
        if tp == self._tps[-1]:
            self.refuse(  # no command can be read
                f"{torn}. To go on without the commands up to there: kafka-delete-records.sh with offset "
                f"{torn.last + 1} of partition {tp.partition} of {tp.topic}, then start the worker again"
            )
            return None
        source = self._context.names.source(tp.topic)
        if partition is None or source is None:
            return None
        if torn.offset != partition.sources.offsets[source]:
            self._consumer.seek(tp, partition.sources.offsets[source])
            return None
        through = partition.sources.read_around(source, torn.offset, torn.last)
        if through is None:
            at = f"--topic {tp.topic} --partition {tp.partition} --offset {torn.offset}"
            why = f"{torn}. To read around it: callwarden skip {at} --reason WHY"
            log.error("partition stopped: its log is damaged", partition=self.number, why=why)
            self._halt(OwnerPhase.STOPPED, why)
            return None
        log.warning("reading around what is damaged", partition=self.number, through=through, why=str(torn))
        self._consumer.seek(tp, through + 1)
        return torn.passed_over(torn.offset, through)

    # Deciding ---------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Start a transaction or an early evaluation if one is due."""
        if self.phase is not OwnerPhase.RUNNING or self._partition is None:
            return
        if self._committing is not None and not self._committing.done():
            return
        with self._guard("looking ahead"):
            self._tick(self._partition)

    def _tick(self, partition: StreamTask) -> None:
        now = asyncio.get_running_loop().time()
        present = self._caught_up or now - self._fed_s >= _QUIET_S
        if self._fed and not self.busy and present and now - self._looked_s >= self._look_after_s:
            # Only when caught up: alerts on a backlog would report windows that closed long ago.
            self._fed = False
            if partition.early_work > _LARGE:
                self._committing = asyncio.create_task(self._look(partition), name=f"look-{self.number}")
                return
            partition.early()
            self._looked(now)
        if partition.pending or self._control_moved:
            self._waiting_since = now if self._waiting_since is None else self._waiting_since
        waited = self._waiting_since is not None and now - self._waiting_since >= _SOON_S
        if partition.due or partition.alerting or partition.full or waited:
            self._committing = asyncio.create_task(self._commit(), name=f"commit-{self.number}")

    def _looked(self, began_s: float) -> None:
        """Record an early evaluation that began at ``began_s``, and delay the next in proportion to its duration."""
        self._looked_s = asyncio.get_running_loop().time()
        self._look_after_s = max(_LOOK_S, _LOOK_REST * (self._looked_s - began_s))

    async def _look(self, partition: StreamTask) -> None:
        """Run an early evaluation in a thread."""
        began_s = asyncio.get_running_loop().time()
        with self._guard("looking ahead"):
            await self._beside(StreamTask.early, partition)
            self._looked(began_s)

    async def measure(self, options: DistanceOptions) -> ThresholdDistances | None:
        """Measure the tenants' distances in a thread; None while other work is under way or nothing is loaded."""
        partition = self._partition
        if self.phase is not OwnerPhase.RUNNING or partition is None or self.busy:
            return None
        if self._committing is not None and not self._committing.done():
            return None

        shard = partition.shard

        async def measured() -> ThresholdDistances:
            self.busy = True
            try:
                return await asyncio.to_thread(measure_distances, shard, options)
            finally:
                self.busy = False

        # In the place of a transaction: none may begin meanwhile, and a handover waits.
        measuring = asyncio.create_task(measured(), name=f"measure-{self.number}")
        self._committing = measuring
        await asyncio.wait([measuring])
        return None if measuring.cancelled() or partition is not self._partition else measuring.result()

    async def _beside(self, work: Callable[..., _T], partition: StreamTask, *more: bool) -> _T | None:
        """Run ``work`` in a thread and return its result; None if the partition was discarded before its turn."""
        async with self._context.large:
            if partition is not self._partition:
                return None
            self.busy = True
            try:
                return await asyncio.to_thread(work, partition, *more)
            finally:
                self.busy = False

    async def _commit(self, hand_over: bool = False) -> None:
        assert self._partition is not None
        assert self._writer is not None
        partition, writer, context = self._partition, self._writer, self._context
        loop = asyncio.get_running_loop()
        try:
            work = partition.work(_MOST_AT_ONCE) + (partition.open_work if hand_over else 0)
            if work > _LARGE:
                decided = await self._beside(self._decide, partition, hand_over)
                if decided is None:
                    return
                outs, count = decided
            else:
                outs, count = self._decide(partition, hand_over)
            done = dict(zip(self._tps, partition.sources.done, strict=False))
            began, before = loop.time(), self._state_end
            self._state_end = await writer.commit(outs, done) + 1
            while len(outs) > _FREED_AT_ONCE:  # freeing hundreds of thousands at once would block the event loop
                del outs[-_FREED_AT_ONCE:]
                await asyncio.sleep(0)
        except (Fenced, TransientError) as error:
            log.warning("transaction failed, the state is read again", partition=self.number, why=str(error))
            context.telemetry.transaction_failed()
            self.forget()
            if self.phase is OwnerPhase.RUNNING:
                # A slow owner may have been fenced by its own time-out; a former owner will see a rebalance.
                self.begin(context.rest_s)
        except PermanentError as error:
            self._halt(OwnerPhase.REFUSED, str(error))
        except UndecidableError as error:
            self._fault(f"{self._tps[error.ref.source].topic} offset {error.ref.offset}", error.__cause__ or error)
        except Exception as error:  # noqa: BLE001 - stops this partition, loudly
            self._fault("deciding", error)
        else:
            count(loop.time() - began)
            if partition.switching:
                # Another policy applies from here on: read the state with it, and read open records again.
                self._again()
            elif self._state_end <= before:
                log.error("the log of the state was recreated, its partition is opened again", partition=self.number)
                self._again()

    def _again(self) -> None:
        self.forget()
        if self.phase is OwnerPhase.RUNNING:
            self.begin()

    def _decide(self, partition: StreamTask, hand_over: bool) -> tuple[list[OutputRecord], Callable[[float], None]]:
        partition.advance(_MOST_AT_ONCE)
        taken = partition.take()
        state = partition.snapshot(hand_over)
        self._waiting_since, self._control_moved = None, False
        outs = emit.records(self._context.names, self.number, taken, state)
        counts = self._context.telemetry.counts(taken)
        return outs, partial(self._context.telemetry.committed, self.number, counts, partition.watermark_ms)

    def forget(self) -> None:
        """Discard the memory."""
        self._partition = None
        self._held = []
        self._state_end = -1
        self._waiting_since, self._control_moved = None, False

    # Stopping ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _guard(self, at: str) -> Iterator[None]:
        """Make an error stop only this partition: else it would end this worker, and then the next owner's."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - stops this partition, loudly
            self._fault(at, error)

    def _fault(self, at: str, error: BaseException) -> None:
        read = (
            dict(zip(self._context.names.inputs, self._partition.sources.offsets, strict=True))
            if self._partition
            else None
        )
        log.error("partition stopped by an unforeseen error", partition=self.number, at=at, read=read, exc_info=error)
        self._halt(OwnerPhase.STOPPED, f"{at}: {type(error).__name__}")

    def _halt(self, phase: OwnerPhase, why: str) -> None:
        self.why = why
        self.forget()
        self._show(phase)
        if phase is OwnerPhase.REFUSED:
            log.error("partition refused", partition=self.number, why=why)
        self._consumer.pause(self._tps)
        control = self._tps[-1]
        self._consumer.seek(control, self.control_next)
        self._consumer.resume([control])

    def _show(self, phase: OwnerPhase) -> None:
        self.phase = phase
        if phase is OwnerPhase.RUNNING:
            self.why = ""
        self._context.telemetry.phase(self.number, phase.value)


def _cuts(values: Sequence[bytes | None], most: int, most_bytes: int) -> list[int]:
    """The first rows of all pieces but the first; a piece has at most ``most`` rows and ``most_bytes`` bytes."""
    cuts, first, size = [], 0, 0
    for row, value in enumerate(values):
        size += len(value or b"")
        if row - first >= most or (size > most_bytes and row > first):
            cuts.append(row)
            first, size = row, len(value or b"")
    return cuts
