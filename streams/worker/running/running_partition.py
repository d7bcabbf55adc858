"""A partition in memory: it takes records and commands, and decides what is due in transactions."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Any, TypeVar

import structlog

from monitor.core.threshold_distance import DistanceOptions, ThresholdDistances, measure_distances
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from schemas.owners import OwnerBan
from streams.kafka.api import TP, FetchedBatch, Writer
from streams.topics.control_topic import (
    AcceptCommand,
    Command,
    PolicyCommand,
    apply_command,
    commands_in,
    refused_command_entry,
)
from streams.worker.context import WorkerContext
from streams.worker.recovery import RecoveredPartition
from streams.worker.running.transaction import MOST_AT_ONCE, Transaction, commit, prepare, prepare_output
from streams.worker.running.work_estimate import early_work, handover_work, transaction_work

log = structlog.get_logger("callwarden")

_LARGE = 50_000  # work (`work_estimate`): more is decided and serialized in a thread
_LOOK_S = 0.2  # least interval of early evaluations: less than that of the rounds of a busy worker
_LOOK_REST = 5.0  # the next one also waits this many times the duration of the last
_QUIET_S = 1.0  # without new records for longer, a partition has been read to its end; others may take turns with it
# Seconds for which few rows are fed at once, after rows of which more than 10 %, and more than this number, were
# rejected or late.
_COSTLY_S, _COSTLY_ROWS = 60.0, 100
_SOON_S = 1.0  # commands and bans of owners are committed within this time
_PASSED_ON_S = 3.0  # late and rejected records, alone: else a worker's transactions would mostly be for them
_PRESENT_MS = 10_000  # records newer than this mean that the partition has caught up
# Until it has caught up, a partition decides at most this often, or after so many rows: a transaction costs as much for
# a few rows as for thousands. The rows of a second bound the memory of a worker; those of a partition, its share.
_BACKLOG_S, _BACKLOG_ROWS = 1.0, 10_000

_T = TypeVar("_T")


class Due(Enum):
    """What a partition has to do next, as a task of its own."""

    EARLY = "early evaluation in a thread"
    COMMIT = "transaction"


class RunningPartition:
    """The stream task of a partition, as opened from its stored state, until it is discarded.

    ``state_end`` is the end of the state's log that the memory equals. ``busy``: a thread works on the task.
    """

    def __init__(self, opened: RecoveredPartition, context: WorkerContext) -> None:
        self.task = opened.partition
        self.state_end = opened.state_end
        self.busy = False
        self.discarded = False
        self._context = context
        self._waiting_since: float | None = None
        self._commanded = False  # commands or bans of owners came since the last transaction
        self._fed = True  # records may have been handed over and not evaluated
        self._fed_s = self._looked_s = 0.0
        self._costly_s = -_COSTLY_S  # when costly rows last came
        self._look_after_s = _LOOK_S
        self._turn_s = 0.0  # when its last work in a thread began, after it had waited for its turn
        self._caught_up = False
        self._decided_s = 0.0
        self._undecided_rows = 0  # fed since the last transaction
        self._deciding = False  # a transaction is under way
        self._unfinished = False  # the last transaction decided only a part of what was due
        self._left_open: Sequence[TP] = ()
        self._committed = False  # a transaction of its own, since it was opened
        for offset, command in opened.commands:
            self._command(offset, command, opened.accepted)
        self.task.control = opened.control_end

    # Input ------------------------------------------------------------------------------------------------------

    @property
    def takes(self) -> bool:
        """Whether it can take more records: no thread works on it, and the next transaction has room."""
        return not (self.busy or self.crowded or self.task.passed_on.full)

    @property
    def crowded(self) -> bool:
        """Whether it has taken many records since the transaction under way began, perhaps by waiting for its turn."""
        return self._deciding and self._undecided_rows >= _BACKLOG_ROWS

    @property
    def costly_rows(self) -> bool:
        """Whether the next rows may cost much each, because many of those before were rejected or late."""
        return asyncio.get_running_loop().time() - self._costly_s < _COSTLY_S

    def feed(self, source: int, rows: RecordBatch) -> None:
        """Feed the next rows of a source.

        Rows are dropped if they do not start at the source's next offset; the consumer loop seeks back to the gap.
        """
        if self.discarded or self.busy or rows.start != self.task.sources.offsets[source]:
            return
        before = len(self.task.passed_on)
        self.task.feed(source, rows)
        self._fed, self._fed_s = True, asyncio.get_running_loop().time()
        if len(self.task.passed_on) - before > max(len(rows) / 10, _COSTLY_ROWS):
            self._costly_s = self._fed_s
        self._undecided_rows += len(rows)
        if len(rows):
            now_ms = self._context.broker_clock.rough_ms
            self._caught_up = now_ms is not None and int(rows.timestamps_ms[-1]) >= now_ms - _PRESENT_MS

    def control(self, fetched: FetchedBatch) -> None:
        """Apply the commands in a batch."""
        for offset, command in commands_in(fetched):
            self._command(offset, command)
        self.task.control = fetched.stop

    def _command(self, offset: int, command: Command | str, accepted: Sequence[AcceptCommand] = ()) -> None:
        """Apply a command; the next transaction records it. ``accepted`` are those applied when opening."""
        task, number = self.task, self.task.place.number
        self._commanded = True
        wrong = apply_command(command, task, self._context.names, accepted)
        if wrong is None and isinstance(command, PolicyCommand):
            version, later = task.policies.newest, task.policies.judged_later()
            told_of = {"policy": version.policy.sha256[:12], "from_ms": version.from_ms, "judged_later_ms": later}
            log.info("another policy is scheduled", partition=number, **told_of)
        if wrong:
            task.journal.add(refused_command_entry(offset, command, wrong))
            log.error("command refused", partition=number, offset=offset, why=wrong)
        else:
            log.info("command taken", partition=number, offset=offset, command=type(command).__name__)

    def take_owner_bans(self, bans: Sequence[OwnerBan], offset: int) -> int:
        """Take the values of the topic of owners before ``offset``; the next transaction records them.

        Returns how many were new.
        """
        taken = self.task.owners.take(self.task.shard, bans, offset)
        self._commanded = self._commanded or taken > 0
        return taken

    # Deciding ---------------------------------------------------------------------------------------------------

    def due(self) -> Due | None:
        """What to do next, or None. An early evaluation that does not take long is done here."""
        now, task = asyncio.get_running_loop().time(), self.task
        if self._ends_left_open:
            return Due.COMMIT
        if self._may_look():
            if early_work(task) > _LARGE:
                self._fed = False
                return Due.EARLY
            self._look(now)
        if task.pending or self._commanded:
            self._waiting_since = now if self._waiting_since is None else self._waiting_since
        patience_s = _SOON_S if self._commanded else _PASSED_ON_S
        waited = self._waiting_since is not None and now - self._waiting_since >= patience_s
        decides = self._is_present(now) or self._unfinished or self._decides_backlog(now)
        return Due.COMMIT if (decides and task.due) or task.alerting or task.passed_on.full or waited else None

    def _decides_backlog(self, now_s: float) -> bool:
        """Whether to decide what is due now, with a backlog still to read."""
        return self._undecided_rows >= _BACKLOG_ROWS or now_s - self._decided_s >= _BACKLOG_S

    def _is_present(self, now_s: float) -> bool:
        """Whether it has read its input up to now."""
        return self._caught_up or now_s - self._fed_s >= _QUIET_S

    def look_in_s(self) -> float | None:
        """Seconds until it may evaluate rules early; None if nothing came since the last time, or other work is first.

        Only when caught up, for alerts on a backlog would report windows that closed long ago.
        """
        now, task = asyncio.get_running_loop().time(), self.task
        if not self._fed or self.busy or task.shard.partial or task.alerting or not self._is_present(now):
            return None
        return max(0.0, self._looked_s + self._look_after_s - now)

    def _may_look(self) -> bool:
        return self.look_in_s() == 0.0

    def _look(self, now_s: float) -> None:
        """Evaluate rules early, in the event loop."""
        self._fed = False
        self._looked(now_s, self.task.early())

    def _looked(self, began_s: float, more: bool) -> None:
        """Record an early evaluation that began at ``began_s``, and delay the next in proportion to its duration.

        With ``more`` it comes as soon as the alerts of this one are written.
        """
        self._looked_s = asyncio.get_running_loop().time()
        self._look_after_s = _LOOK_S if more else max(_LOOK_S, _LOOK_REST * (self._looked_s - began_s))
        self._fed = self._fed or more

    async def early(self) -> None:
        """Run an early evaluation in a thread."""
        more = bool(await self._beside(self._context.turns.of_thread(), StreamTask.early))
        self._looked(self._turn_s, more)

    def end_left_open(self, tps: Sequence[TP]) -> None:
        """Commit again what is open in these of its topics, at once or after its first own transaction.

        Until then it may be what a former owner has aborted.
        """
        self._left_open = tps

    @property
    def _ends_left_open(self) -> bool:
        return bool(self._left_open) and self._committed

    async def transact(self, writer: Writer, hand_over: bool = False) -> bool:
        """Run a transaction (`streams.worker.running.transaction`); False if it was discarded before its turn, or if
        the transaction only ended others.

        Raises Fenced, TransientError, PermanentError, and any error of deciding. The memory is then to be discarded.
        """
        if self._ends_left_open and not hand_over:
            tps, self._left_open = self._left_open, ()
            await writer.commit_again(tps)
            return False
        self._deciding, self._decided_s, self._undecided_rows = True, asyncio.get_running_loop().time(), 0
        try:
            work = transaction_work(self.task, MOST_AT_ONCE) + (handover_work(self.task) if hand_over else 0)
            if work > _LARGE:
                turn = self._context.turns.of_thread_after(lambda: self._write_alerts(writer), _LOOK_S)
                transaction = await self._beside(turn, self._decide, hand_over)
                if transaction is None:
                    return False
            else:
                transaction = self._decide(self.task, hand_over)
            await self._commit(transaction, writer)
        finally:
            self._deciding = False
        return True

    async def _write_alerts(self, writer: Writer) -> None:
        """Look for alerts and write them in a transaction of their own, while deciding waits for its turn.

        Windows of all partitions end at the same times: the last of them would be late with its alerts.
        """
        now = asyncio.get_running_loop().time()
        if self.discarded:
            return
        if self._may_look() and early_work(self.task) <= _LARGE:
            self._look(now)
        if self.task.alerting:
            await self._commit(prepare_output(self.task, self._context), writer)

    async def _commit(self, transaction: Transaction, writer: Writer) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        self.state_end = await commit(transaction, writer)
        self._committed = True
        took_s, number = loop.time() - began_s, self.task.place.number
        self._context.telemetry.committed(number, transaction.counts, transaction.watermark_ms, took_s)

    def _decide(self, task: StreamTask, hand_over: bool) -> Transaction:
        transaction = prepare(task, self._context, hand_over)
        self._waiting_since, self._commanded, self._unfinished = None, False, task.due
        return transaction

    async def measure(self, options: DistanceOptions) -> ThresholdDistances:
        """Measure in a thread how far the tenants are from the thresholds and escalations."""
        self.busy = True
        try:
            return await asyncio.to_thread(measure_distances, self.task.shard, options, self.task.watermark.ms)
        finally:
            self.busy = False

    async def _beside(self, turn: AbstractAsyncContextManager[None], work: Callable[..., _T], *more: Any) -> _T | None:
        """Run ``work`` on the task in a thread in its turn, and return its result; None if it was discarded before."""
        async with turn:
            if self.discarded:
                return None
            self.busy, self._turn_s = True, asyncio.get_running_loop().time()
            try:
                return await asyncio.to_thread(work, self.task, *more)
            finally:
                self.busy = False
                self._fed_s = asyncio.get_running_loop().time()  # it could take nothing: that was no silence
