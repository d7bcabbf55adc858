"""One partition of a topic, read by one member of the group at a time, each record's outputs exactly once.

The steps of an owner, in this order:

1. Start the writer under the partition's own transactional id. This fences the former owner, and ends the transaction
   that it had open.
2. The handler restores its state, if it has any: what former owners have committed is in the log by now.
3. Look up the group's committed offset, which the former owner's last transaction has moved. Without one, begin at the
   log's start, or at its end if so configured; that end is committed at once, in a transaction of its own. The note of
   the offset has the topic's id, and that of the topic of the handler's state: if one of them was deleted and created
   again, the partition stops.
4. Read from there, committed records only.
5. The handler takes them slice by slice, in a thread.
6. One transaction: what the handler gives for these slices, and the offset after them. Without outputs the offset is
   committed alone, but only `_ALONE_S` after the last transaction: until then these records are read again after a
   failure, and lead to no output again.

If a step fails, or its outcome is unknown, the handler is discarded, and the owner begins with step 1 after a pause.
Why nothing is written twice: an owner commits only while its writer is the newest of its id (step 1), and it starts
from the offset of the last transaction of that id (step 3), in which the outputs of all records before it were written.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeVar

import structlog

from streams.ingest.partitions.partition_handler import NewHandler, PartitionHandler
from streams.ingest.partitions.slices import bytes_of, slices
from streams.ingest.partitions.start_position import GroupCluster, GroupOptions, StartLookup, StartPosition
from streams.ingest.partitions.telemetry import PartitionMetrics
from streams.kafka.api import TP, Consumer, Fenced, FetchedBatch, PermanentError, TransientError, Writer
from streams.kafka.outputs import OutputRecord
from streams.runtime.retry import Backoff
from streams.topics.transaction_records import must_fit

log = structlog.get_logger("callwarden")

_ALONE_S: Final = 5.0
_MOST_BYTES: Final = 8 << 20  # of outputs in a transaction, and one slice more
_MOST_QUEUED: Final = 2  # batches: one that is worked on, one that is next
_FENCED_S: Final = 2.0  # a former owner hears of the rebalance by then
_LEAVE_S: Final = 6.0

T = TypeVar("T")


class PartitionPhase(Enum):
    """What an owner is doing."""

    OPENING = "opening"
    RUNNING = "running"
    STOPPED = "stopped"  # by an error that a retry does not fix


@dataclass(frozen=True, slots=True)
class PartitionContext:
    """What the partitions of a process share.

    ``thread``: one slice at a time, since two at once take twice the memory and no less time. ``writing`` bounds the
    partitions whose outputs are in memory.
    """

    cluster: GroupCluster
    options: GroupOptions
    new_handler: NewHandler
    metrics: PartitionMetrics
    thread: asyncio.Lock = field(default_factory=asyncio.Lock)
    writing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(4))


class ExclusivePartition:
    """See the module. `begin` once, then `deliver` batches while it ``takes``, then `give_up`."""

    def __init__(self, tp: TP, context: PartitionContext, consumer: Consumer, known_topic_id: str | None) -> None:
        """``known_topic_id``: the topic that this process has read so far."""
        self.tp = tp
        self.phase = PartitionPhase.OPENING
        self.why = ""
        self.next_offset = 0
        self._context, self._consumer = context, consumer
        self._lookup = StartLookup(context.cluster, context.options)
        self._backoff = Backoff()
        self._queue: deque[tuple[FetchedBatch, int]] = deque()
        self._wake = asyncio.Event()
        self._leaving = False
        self._reopening = self._finishing = ""
        self._task: asyncio.Task[None] | None = None
        self._writer: Writer | None = None
        self._handler: PartitionHandler | None = None
        self._note, self.topic_id = "", known_topic_id
        self.state_id: str | None = None  # None before it is opened
        self._fed = self._committed = 0  # the offsets after what was fed, and what is committed
        self._committed_s = self._active_s = 0.0
        self._working = False

    def begin(self) -> None:
        """Open it and work until `give_up`."""
        self._task = asyncio.create_task(self._run(), name=f"partition-{self.tp.partition}")

    @property
    def takes(self) -> bool:
        """Whether it can take another batch."""
        ending = self._reopening or self._finishing or self._leaving
        return self.phase is PartitionPhase.RUNNING and not ending and len(self._queue) < _MOST_QUEUED

    @property
    def held_bytes(self) -> int:
        """About how much memory its batches hold."""
        return sum(size for _, size in self._queue)

    def deliver(self, batch: FetchedBatch) -> None:
        """Take a fetched batch; one that does not continue the last one is fetched again."""
        if not self.takes:
            return  # opening seeks
        if batch.start != self.next_offset:
            self._consumer.seek(self.tp, self.next_offset)
            return
        self.next_offset = batch.stop
        self._queue.append((batch, bytes_of(batch)))
        if len(batch):
            self._active_s = _now_s()
        self._wake.set()

    def reopen(self, why: str) -> None:
        """Discard what it knows and begin with step 1."""
        self._reopening = why
        self._wake.set()

    def finish(self, why: str) -> None:
        """Stop it for good once what was delivered is committed: an operator's new offset then skips only the rest."""
        if not self._finishing:
            self._finishing = why
            self._consumer.pause([self.tp])
            self._wake.set()

    def _halt(self, why: str) -> None:
        """Stop it for good, loudly; other partitions continue."""
        log.error("partition stopped", topic=self.tp.topic, partition=self.tp.partition, why=why)
        self.phase, self.why = PartitionPhase.STOPPED, why
        self._queue.clear()
        self._consumer.pause([self.tp])

    async def give_up(self) -> None:
        """Finish the slice and the transaction under way, and close. It is held up for `_LEAVE_S` at most."""
        self._leaving = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_LEAVE_S)
            self._task.cancel()
            await asyncio.wait([self._task])

    def idle_handler(self, end: int) -> PartitionHandler | None:
        """Its handler, if it has been idle for long enough; the log ends at ``end``. The time then begins again."""
        handler = self._handler
        if handler is None or handler.idle_after_s is None or self.phase is not PartitionPhase.RUNNING:
            return None
        busy = self._working or self._queue or self._reopening or self._leaving or self.next_offset < end
        if busy or _now_s() - self._active_s < handler.idle_after_s:
            return None
        self._active_s = _now_s()
        return handler

    # The work ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while not self._leaving and self.phase is not PartitionPhase.STOPPED:
                await self._attempt()
        except PermanentError as error:
            self._halt(str(error))
        except Exception as error:
            log.exception("partition stopped by an unexpected error", partition=self.tp.partition)
            self._halt(f"unexpected {type(error).__name__}: see the log")
        finally:
            await self._close()

    async def _attempt(self) -> None:
        """Open and work until something fails."""
        try:
            await self._open()
            await self._work()
        except (TransientError, Fenced) as error:
            if self._leaving:
                return
            self._discard()
            self.why = str(error)
            self._context.metrics.failed()
            delay_s = max(self._backoff.next_s(), _FENCED_S if isinstance(error, Fenced) else 0.0)
            log.warning("partition is opened again", partition=self.tp.partition, why=str(error), again_in_s=delay_s)
            await self._close()
            await self._pause(delay_s)

    async def _open(self) -> None:
        """Steps 1 to 4."""
        context, tp = self._context, self.tp
        self._discard()
        await self._close()
        writer = self._writer = context.cluster.writer(f"{context.options.transactional_prefix}-{tp.partition}")
        await writer.start()
        handler = self._handler = context.new_handler(tp)
        await handler.restore()
        position = await self._lookup.find(tp, self.topic_id)
        self._begin_at(position)
        if not position.committed and context.options.from_end:
            await self._commit_offset()
        if self._leaving or self._reopening:
            return
        self._consumer.seek(tp, self.next_offset)
        self._consumer.resume([tp])
        self.phase, self.why = PartitionPhase.RUNNING, ""
        log.info("partition opened", topic=tp.topic, partition=tp.partition, offset=self.next_offset)

    def _discard(self) -> None:
        self.phase, self._reopening, self._finishing = PartitionPhase.OPENING, "", ""
        self._consumer.pause([self.tp])
        self._queue.clear()

    def _begin_at(self, position: StartPosition) -> None:
        self._note, self.topic_id, self.state_id = position.note, position.topic_id, position.state_id
        self.next_offset = self._fed = self._committed = position.offset
        self._committed_s = self._active_s = _now_s()

    async def _work(self) -> None:
        """Steps 5 and 6, until it is to stop."""
        while not (self._leaving or self._reopening):
            if self._queue:
                self._working = True
                try:
                    async with self._context.writing:
                        await self._take()
                finally:
                    self._working = False
            elif self._fed > self._committed and (self._finishing or _now_s() - self._committed_s >= _ALONE_S):
                await self._commit_offset()
            elif self._finishing:
                self._halt(self._finishing)
                return
            else:
                await self._pause(_ALONE_S)
        if self._leaving and self._fed > self._committed:
            await self._commit_offset()

    async def _take(self) -> None:
        """One batch, in as many transactions as its outputs need."""
        handler = self._the(self._handler)
        for some in slices(self._queue[0][0]):
            rest: FetchedBatch | None = some
            while rest is not None and not self._leaving and not self._reopening:
                fed = await self._beside(handler.feed, rest)
                self._fed = fed.position
                more = fed.more or fed.position < rest.stop
                if more or fed.waiting_bytes >= _MOST_BYTES:
                    await self._transact(handler)
                rest = rest.after(fed.position) if more else None
        await self._transact(handler)
        if self._queue:
            self._queue.popleft()

    async def _transact(self, handler: PartitionHandler) -> None:
        """Step 6 for what was fed."""
        outs = await self._beside(_checked, handler)
        if outs:
            await self._the(self._writer).commit(outs, {self.tp: self._fed}, self._note)
            self._moved()
        handler.committed()

    async def _commit_offset(self) -> None:
        await self._the(self._writer).commit([], {self.tp: self._fed}, self._note)
        self._moved()

    def _moved(self) -> None:
        self._committed, self._committed_s = self._fed, _now_s()
        self._backoff.reset()

    async def _beside(self, work: Callable[..., T], *args: object) -> T:
        """Run it in a thread, one of all partitions at a time."""
        async with self._context.thread:
            return await asyncio.to_thread(work, *args)

    async def _pause(self, most_s: float) -> None:
        """Wait until it is called for."""
        self._wake.clear()
        if self._queue or self._leaving or self._reopening or self._finishing:
            return
        try:
            async with asyncio.timeout(most_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _close(self) -> None:
        writer, self._writer, self._handler = self._writer, None, None
        if writer is not None:
            await writer.stop()

    @staticmethod
    def _the(one: T | None) -> T:
        assert one is not None
        return one


def _checked(handler: PartitionHandler) -> list[OutputRecord]:
    outs = handler.take()
    must_fit(outs)
    return outs


def _now_s() -> float:
    return asyncio.get_running_loop().time()
