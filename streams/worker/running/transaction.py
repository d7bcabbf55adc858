"""The transaction of a partition. Everything that an advance decides is stored together with the resulting state.

The steps, in this order:

1. advance: the task decides what the clocks of its sources allow, at most `MOST_AT_ONCE` records, as many lapses,
   and about as many decisions and alerts of one window end, or alerts that end with a policy. Not in a transaction
   that is for early alerts alone.
2. take: its output and journal entries since the last transaction.
3. snapshot: what changed in its state, the checkpoint metadata (the head) last.
4. records: output, journal entries and state as records. So the head is the last record.
5. commit: these records, and for each source the offset below which nothing is counted again, in one transaction.
6. the end of the state's log is the offset of the last record, plus one. While the log has nothing after it, no other
   owner has written, and the memory equals the stored state.

If a step fails, the memory may be ahead of the stored state, and whether the transaction was committed is unknown. The
caller discards the memory and reads the state again.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from monitor.partition.task import StreamTask
from streams.kafka.api import TP, Writer
from streams.kafka.outputs import OutputColumns, OutputRecord
from streams.topics import transaction_records
from streams.worker.context import WorkerContext
from streams.worker.metrics import Counts

MOST_AT_ONCE = 5_000  # records or lapses decided, or decisions made by rules, in one transaction
_FREED_AT_ONCE = 20_000  # records of a committed transaction that are freed in one step


@dataclass(slots=True)
class Transaction:
    """The records and offsets to commit. ``counts`` and ``watermark_ms`` are for the metrics, once it is committed."""

    records: list[OutputRecord | OutputColumns]
    offsets: Mapping[TP, int]
    counts: Counts
    watermark_ms: int


def prepare(task: StreamTask, context: WorkerContext, hand_over: bool) -> Transaction:
    """Steps 1 to 4. May run in a thread. ``hand_over``: add a handover for the next owner to the state."""
    task.advance(MOST_AT_ONCE)
    return prepare_output(task, context, hand_over)


def prepare_output(task: StreamTask, context: WorkerContext, hand_over: bool = False) -> Transaction:
    """Steps 2 to 4."""
    number = task.place.number
    taken = task.take()
    state = task.snapshot(hand_over)
    outs = transaction_records.records(context.names, number, taken, state)
    offsets = dict(zip(context.names.of(number), task.sources.done, strict=False))
    return Transaction(outs, offsets, context.telemetry.counts(taken), task.watermark.ms)


async def commit(transaction: Transaction, writer: Writer) -> int:
    """Steps 5 and 6: returns the new end of the state's log. Raises Fenced, TransientError and PermanentError."""
    outs, done = transaction.records, transaction.offsets
    state_end = await writer.commit(outs, done) + 1
    while len(outs) > _FREED_AT_ONCE:  # freeing hundreds of thousands at once would block the event loop
        del outs[-_FREED_AT_ONCE:]
        await asyncio.sleep(0)
    return state_end
