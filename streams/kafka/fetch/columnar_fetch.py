"""Fetches records directly as columns instead of one object each, so that no bytes can stop the reader.

Only for consumers that are created with `AsColumns`. It relies on private names of aiokafka
(`streams.kafka.aiokafka_private`) and checks them: if one is missing, nothing is read, for a single record can stop
aiokafka's own reader for good, or exhaust its memory by decompression.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CorruptRecordException

from monitor.partition.record_batch import UnreadableRecord
from streams.kafka.aiokafka_private import (
    FetchedPartition,
    deserializer_of,
    original_getall,
    replace_getall,
    replace_reader,
)
from streams.kafka.fetch.record_batch import CONTROL, TRANSACTIONAL, BatchHeader, DamagedBatchError, next_batch
from streams.kafka.fetch.record_columns import RecordColumns, WantedHeaders, joined
from streams.kafka.fetch.record_parser import RejectedBatchError, records_of, takes_long
from streams.kafka.fetch.response_frames import ResponseFrames
from streams.kafka.fetch.small_batches import SmallBatches, is_small

_POLL_BYTES: Final = 16 << 20
_BATCH_BYTES: Final = 8 << 10
"""What each batch counts besides its own bytes: 2,000 batches of one record, at 5 to 15 us each, are a poll's most."""


class AsColumns:
    """As ``value_deserializer`` of a consumer: `getmany` returns `RecordColumns` instead of lists of records.

    ``headers``: the columns have headers, which costs more; else the signatures of the topic ``signed`` alone.
    """

    def __init__(self, headers: bool = False, signed: str | None = None) -> None:
        self._headers, self._signed = headers, signed

    def wanted(self, topic: str) -> WantedHeaders:
        """The headers to keep of the records of a topic."""
        if self._headers:
            return WantedHeaders.ALL
        return WantedHeaders.SIGNATURES if topic == self._signed else WantedHeaders.NONE

    def __call__(self, value: bytes | None) -> bytes | None:
        return value


class CorruptBatch(CorruptRecordException):  # type: ignore[misc]  # aiokafka has no types
    """A batch of partition ``tp`` from position ``offset`` on is damaged (see `DamagedBatchError`)."""

    def __init__(self, tp: TopicPartition, offset: int, damaged: DamagedBatchError) -> None:
        super().__init__(f"{tp.topic}-{tp.partition} at offset {offset}: {damaged.why}")
        self.tp, self.offset, self.why, self.last, self.raw = tp, offset, damaged.why, damaged.last, damaged.raw


class _Budget:
    """How many bytes may still be decompressed of what was fetched, with `_BATCH_BYTES` for each batch; the last batch
    may exceed it.

    ``beside``: the batch that a thread is reading, one at a time, for each may take `MAX_BYTES`. Without ``threads``
    all batches are read in the caller.
    """

    def __init__(self, left: int, *, threads: bool = False) -> None:
        self.left, self.threads = left, threads
        self.beside: asyncio.Future[tuple[RecordColumns, int]] | None = None


_BUDGET: ContextVar[_Budget | None] = ContextVar("_BUDGET", default=None)


@contextmanager
def bounded(most: int = _POLL_BYTES) -> Iterator[None]:
    """Limit the `getall` calls of the task in this block to ``most`` decompressed bytes and one batch more.

    A thread reads a batch that takes long: pass the results to `settled` before the next call.
    """
    token = _BUDGET.set(_Budget(most, threads=True))
    try:
        yield
    finally:
        _BUDGET.reset(token)


async def settled(batches: Mapping[Any, Any]) -> None:
    """Wait until threads have read what `getmany` did not return yet; the next call returns it."""
    beside = {one.beside for one in batches.values() if isinstance(one, RecordColumns) and one.beside is not None}
    if beside:
        await asyncio.wait(beside)  # if this is cancelled, the threads' results are kept


async def poll(
    client: AIOKafkaConsumer, *tps: TopicPartition, timeout_s: float, most: int
) -> dict[TopicPartition, Any]:
    """As the client's `getmany`, with what one poll may decompress; if nothing came, waits for the threads, too."""
    with bounded():
        batches: dict[TopicPartition, Any] = await client.getmany(
            *tps, timeout_ms=round(timeout_s * 1000), max_records=most
        )
    if not any(len(one) for one in batches.values()):
        await settled(batches)
    return batches


def install_columnar_fetch() -> None:
    """Patch aiokafka to return columns. Raises PermanentError if this release of aiokafka is not supported."""
    replace_getall(_getall)
    replace_reader(ResponseFrames)


def _getall(result: Any, max_records: int | None = None) -> Any:
    """Replaces `FetchResult.getall`, which does the same record by record.

    Unlike it, returns unreadable records, too, and raises `CorruptBatch` at a damaged batch, after all before it were
    returned.
    """
    if not result.has_more():
        return []
    deserializer = deserializer_of(result)
    if not isinstance(deserializer, AsColumns):
        return original_getall(result, max_records)
    rows: _Rows | None = getattr(result, "rows", None)
    part = FetchedPartition(result) if rows is None else rows.part
    if not part.wanted():
        return []
    if rows is None:
        rows = result.rows = _Rows(part, deserializer.wanted(part.tp.topic))
    parts: list[RecordColumns] = []
    before = part.next_offset
    budget = _BUDGET.get() or _Budget(_POLL_BYTES)
    try:
        over = rows.take(parts, max_records if max_records is not None else 1 << 62, budget)
    except DamagedBatchError as damaged:
        over = True  # fetched again from there
        if not parts and part.next_offset == before:
            part.drop()
            result.rows = None
            raise CorruptBatch(part.tp, part.next_offset, damaged) from None
    part.moved()
    if over:
        part.drop()
        result.rows = None
    taken = RecordColumns.concat(parts)
    taken.beside = rows.waits_for
    return taken


class _Rows:
    """The records of a fetched partition that were not taken yet; maintains its ``next_offset``."""

    def __init__(self, part: FetchedPartition, headers: WantedHeaders) -> None:
        self.part = part
        self._data, self._headers = part.data, headers
        self._at = 0  # in the data
        self._asked = part.next_offset
        self._next = self._asked  # the offset after the batch that is being taken
        self._ready: RecordColumns | None = None
        self._reading: asyncio.Future[tuple[RecordColumns, int]] | None = None  # by a thread
        self._taken = 0  # of those that are ready
        self.waits_for: asyncio.Future[tuple[RecordColumns, int]] | None = None
        """The thread's result without which nothing more can be taken, after `take`."""

    def take(self, parts: list[RecordColumns], most: int, budget: _Budget) -> bool:
        """Append at most ``most`` records to ``parts``; True if none are left. Raises DamagedBatchError."""
        part = self.part
        self.waits_for = None
        while most > 0:
            if self._ready is None and self._reading is not None:
                if not self._reading.done():
                    self.waits_for = budget.beside = self._reading
                    return False
                self._ready, cost = self._reading.result()
                self._reading, self._taken = None, 0
                budget.left -= cost
            if self._ready is None:
                if budget.left <= 0:
                    return False
                batch = next_batch(self._data, self._at, part.checks_crcs)
                if batch is None:
                    self._must_have_advanced()
                    return True
                beside = budget.threads and takes_long(batch)
                if beside and budget.beside is not None:
                    self.waits_for = budget.beside
                    return False
                self._at = batch.end
                self._next = max(batch.last + 1, part.next_offset)
                if self._hidden(batch) or batch.last < part.next_offset:
                    part.next_offset = self._next
                    continue
                budget.left -= _BATCH_BYTES
                if beside:
                    loop = asyncio.get_running_loop()
                    self._reading = loop.run_in_executor(None, self._decoded, batch, part.next_offset)
                    continue
                if is_small(batch, self._headers) and batch.base >= part.next_offset:
                    self._ready = self._run(batch, most, budget)
                else:
                    self._ready, cost = self._decoded(batch, part.next_offset)
                    budget.left -= cost
                self._taken = 0
            left = len(self._ready) - self._taken
            if not left:
                part.next_offset, self._ready = self._next, None
                continue
            some = self._ready.part(self._taken, self._taken + min(left, most))
            parts.append(some)
            self._taken += len(some)
            most -= len(some)
            part.next_offset = int(some.offsets[-1][-1]) + 1
        return False

    def _must_have_advanced(self) -> None:
        """Raise DamagedBatchError if the response had no whole batch: the same fetch would be repeated endlessly."""
        if self.part.next_offset == self._asked and self._data:
            raise DamagedBatchError("the broker sends no whole record batch from there on", None, self._data)

    def _run(self, first: BatchHeader, most: int, budget: _Budget) -> RecordColumns:
        """The records of ``first`` and of small batches that follow it, until there are ``most``."""
        run = SmallBatches(self._headers)
        batch: BatchHeader | None = first
        while batch is not None:
            cost = run.add(self._data, batch)
            if cost is None:
                alone, cost = self._decoded(batch, batch.base)
                budget.left -= cost
                return RecordColumns.concat([run.columns(), alone])
            budget.left -= cost
            batch = self._next_small(budget) if len(run) < most else None
        return run.columns()

    def _next_small(self, budget: _Budget) -> BatchHeader | None:
        """The next batch that is not hidden, if it is small."""
        while budget.left > 0:
            try:
                batch = next_batch(self._data, self._at, self.part.checks_crcs)
            except DamagedBatchError:
                return None  # raised again once all before it is taken
            if batch is None or batch.base < self._next or not is_small(batch, self._headers):
                return None
            self._at, self._next = batch.end, batch.last + 1
            if not self._hidden(batch):
                budget.left -= _BATCH_BYTES
                return batch
        return None

    def _decoded(self, batch: BatchHeader, at: int) -> tuple[RecordColumns, int]:
        """The records of a batch from offset ``at`` on; if it is rejected, one row that stands for it."""
        try:
            read, cost = records_of(self._data, batch, headers=self._headers)
        except RejectedBatchError as rejected:
            return _whole(self._data, batch, at, str(rejected)), rejected.cost
        if batch.base < at:  # a broker sends whole batches, even if the fetch starts within one
            read = read.part(int(np.searchsorted(joined(read.offsets), at)), len(read))
        return read, cost

    def _hidden(self, batch: BatchHeader) -> bool:
        """Whether to skip the batch: a transaction marker, or a batch of an aborted transaction."""
        marker = bool(batch.attributes & CONTROL)
        if batch.magic != 2:
            return marker
        transactional = bool(batch.attributes & TRANSACTIONAL)
        aborted = self.part.aborted(batch.base, batch.producer_id, marker=marker, transactional=transactional)
        return marker or aborted


def _whole(data: bytes, batch: BatchHeader, at: int, reason: str) -> RecordColumns:
    """The row of a rejected batch: at its last offset, so that a fetch from anywhere within it returns the row."""
    row = RecordColumns()
    fault, _, why = reason.partition(": ")
    row.offsets = [np.array([batch.last], np.int64)]
    row.timestamps_ms = [np.array([batch.max_timestamp_ms], np.int64)]
    row.keys, row.values, row.headers = [None], [data[batch.start : batch.end]], [()]
    first = max(batch.base, 0)
    why = f"{fault}: the record batch of offsets {first} to {batch.last}: {why}"
    row.unreadable = {batch.last: UnreadableRecord(why, first)}
    return row
