"""Fetches records directly as columns instead of one object each, so that no bytes can stop the reader.

Only for consumers that are created with `AsColumns`. It relies on private names of aiokafka 0.14 and
checks them: if one is missing, nothing is read, for a single record can stop aiokafka's own reader for good, or exhaust
its memory by decompression.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import aiokafka
import numpy as np
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords

from monitor.partition.record_batch import UnreadableRecord
from streams.kafka.api import PermanentError
from streams.kafka.fetch.record_batch import CONTROL, TRANSACTIONAL, BatchHeader, DamagedBatchError, next_batch
from streams.kafka.fetch.record_columns import RecordColumns, WantedHeaders, joined
from streams.kafka.fetch.record_parser import RejectedBatchError, records_of, takes_long

_VERSION: Final = "0.14."
_METHODS: Final = {
    "FetchResult": {"getall", "check_assignment", "has_more", "_update_position"},
    "PartitionRecords": {"_consume_aborted_up_to"},
}
_FIELDS: Final = {
    "FetchResult": {"_topic_partition", "_partition_records"},
    "PartitionRecords": {
        *("_tp", "_records", "_aborted_producers", "_value_deserializer", "_records_iterator"),
        *("_check_crcs", "_isolation_level", "next_fetch_offset"),
    },
}
_POLL_BYTES: Final = 16 << 20


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


class RawRecords:
    """Replaces aiokafka's `MemoryRecords`, which hides its bytes; works for other consumers, too."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._theirs = MemoryRecords(data)

    def size_in_bytes(self) -> int:
        return len(self.data)

    def has_next(self) -> bool:
        return bool(self._theirs.has_next())

    def next_batch(self) -> Any:
        return self._theirs.next_batch()


class _Budget:
    """How many bytes may still be decompressed of what was fetched; the last batch may exceed it.

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


def install_columnar_fetch() -> None:
    """Patch aiokafka to return columns. Raises PermanentError if this release of aiokafka is not supported."""
    if fetcher.FetchResult.getall is _getall:
        return
    missing = sorted(_missing())
    if missing or not aiokafka.__version__.startswith(_VERSION):
        what = f"has no {', '.join(missing)}" if missing else "is unknown"
        raise PermanentError(
            f"aiokafka {aiokafka.__version__} {what}: records cannot be read safely by it; expected {_VERSION}*, as "
            f"`pip install 'aiokafka=={_VERSION}*'` has it"
        )
    fetcher.FetchResult.getall = _getall
    fetcher.MemoryRecords = RawRecords


def _missing() -> Iterator[str]:
    if getattr(fetcher, "MemoryRecords", None) is not MemoryRecords:
        yield "MemoryRecords"
    for owner, methods in _METHODS.items():
        kind = getattr(fetcher, owner, None)
        if kind is None:
            yield owner
            continue
        yield from (f"{owner}.{name}" for name in methods if not hasattr(kind, name))
        yield from (f"{owner}.{name}" for name in _FIELDS[owner] - set(kind.__init__.__code__.co_names))


_original = fetcher.FetchResult.getall


def _getall(result: Any, max_records: int | None = None) -> Any:
    """Replaces `FetchResult.getall`, which does the same record by record.

    Unlike it, returns unreadable records, too, and raises `CorruptBatch` at a damaged batch, after all before it were
    returned.
    """
    records = result._partition_records
    if records is None:
        return []
    if not isinstance(records._value_deserializer, AsColumns):
        return _original(result, max_records)
    if not result.check_assignment(result._topic_partition):
        return []
    rows = getattr(result, "rows", None)
    if rows is None:
        rows = result.rows = _Rows(records)
    taken, before = RecordColumns(), records.next_fetch_offset
    budget = _BUDGET.get() or _Budget(_POLL_BYTES)
    try:
        over = rows.take(taken, max_records if max_records is not None else 1 << 62, budget)
    except DamagedBatchError as damaged:
        over = True  # fetched again from there
        if not len(taken) and records.next_fetch_offset == before:
            result._partition_records = result.rows = None
            raise CorruptBatch(result._topic_partition, records.next_fetch_offset, damaged) from None
    result._update_position()
    if over:
        result._partition_records = result.rows = None
    return taken


class _Rows:
    """The records of a fetched partition that were not taken yet; maintains its ``next_fetch_offset``."""

    def __init__(self, records: Any) -> None:
        records._records_iterator = None  # breaks a reference cycle that would keep a megabyte
        self._records = records
        self._data: bytes = records._records.data
        self._headers: WantedHeaders = records._value_deserializer.wanted(records._tp.topic)
        self._at = 0  # in the data
        self._asked = int(records.next_fetch_offset)
        self._next = self._asked  # the offset after the batch that is being taken
        self._ready: RecordColumns | None = None
        self._reading: asyncio.Future[tuple[RecordColumns, int]] | None = None  # by a thread
        self._taken = 0  # of those that are ready

    def take(self, columns: RecordColumns, most: int, budget: _Budget) -> bool:
        """Move at most ``most`` records to ``columns``; True if none are left. Raises DamagedBatchError."""
        records = self._records
        while most > 0:
            if self._ready is None and self._reading is not None:
                if not self._reading.done():
                    columns.beside = budget.beside = self._reading
                    return False
                self._ready, cost = self._reading.result()
                self._reading, self._taken = None, 0
                budget.left -= cost
            if self._ready is None:
                if budget.left <= 0:
                    return False
                batch = next_batch(self._data, self._at, records._check_crcs)
                if batch is None:
                    self._must_have_advanced()
                    return True
                beside = budget.threads and takes_long(batch)
                if beside and budget.beside is not None:
                    columns.beside = budget.beside
                    return False
                self._at = batch.end
                self._next = max(batch.last + 1, records.next_fetch_offset)
                if self._hidden(batch) or batch.last < records.next_fetch_offset:
                    records.next_fetch_offset = self._next
                    continue
                if beside:
                    loop = asyncio.get_running_loop()
                    self._reading = loop.run_in_executor(None, self._decoded, batch, int(records.next_fetch_offset))
                    continue
                self._ready, cost = self._decoded(batch, records.next_fetch_offset)
                self._taken = 0
                budget.left -= cost
            left = len(self._ready) - self._taken
            if not left:
                records.next_fetch_offset, self._ready = self._next, None
                continue
            some = self._ready.part(self._taken, self._taken + min(left, most))
            columns.extend(some)
            self._taken += len(some)
            most -= len(some)
            records.next_fetch_offset = int(some.offsets[-1][-1]) + 1
        return False

    def _must_have_advanced(self) -> None:
        """Raise DamagedBatchError if the response had no whole batch: the same fetch would be repeated endlessly."""
        if self._records.next_fetch_offset == self._asked and self._data:
            raise DamagedBatchError("the broker sends no whole record batch from there on", None, self._data)

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
        """Whether to skip the batch: a transaction marker, or a batch of an aborted transaction.

        A marker's content is not read: the next marker of a producer ends its transaction that is listed as aborted,
        whether the marker is readable or not.
        """
        records = self._records
        hidden = bool(batch.attributes & CONTROL)
        if records._isolation_level == fetcher.READ_COMMITTED and batch.magic == 2:
            records._consume_aborted_up_to(batch.base)
            if hidden:
                records._aborted_producers.discard(batch.producer_id)
            elif batch.attributes & TRANSACTIONAL:
                hidden = batch.producer_id in records._aborted_producers
        return hidden


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
