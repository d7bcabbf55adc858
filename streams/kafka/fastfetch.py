"""Fetched records as columns at once: aiokafka takes half of fetching's time to make an object of each for its users.

Only for consumers that are made with `as_columns`. It relies on private names of aiokafka 0.14, and looks whether
they are there: where they are not, `getmany` gives records as it always does, and costs more.
"""

import logging
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final

import aiokafka
import numpy as np
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException, KafkaError, UnsupportedCodecError
from numpy.typing import NDArray

_log = logging.getLogger(__name__)
_VERSION: Final = "0.14."
# Records are garbage-collected objects: fewer of them at once than set the collector off, and it never runs for them.
_AT_ONCE: Final = 400
_LOG_APPEND_TIME: Final = 1
_METHODS: Final = {
    "FetchResult": {"getall", "check_assignment", "has_more", "_update_position"},
    "PartitionRecords": {"_consume_aborted_up_to", "_contains_abort_marker"},
}
_FIELDS: Final = {
    "FetchResult": {"_topic_partition", "_partition_records"},
    "PartitionRecords": {
        *("_tp", "_records", "_aborted_producers", "_value_deserializer", "_records_iterator"),
        *("_check_crcs", "_isolation_level", "next_fetch_offset"),
    },
}


def as_columns(value: bytes | None) -> bytes | None:
    """As ``value_deserializer`` of a consumer: `getmany` gives `Columns` in place of lists of records."""
    return value


class TornBatch(CorruptRecordException):  # type: ignore[misc]  # aiokafka has no types
    """The batch at ``offset`` of partition ``tp`` cannot be read. aiokafka's own error may not say whose it is."""

    def __init__(self, tp: TopicPartition, offset: int, why: str) -> None:
        super().__init__(f"{tp.topic}-{tp.partition} at offset {offset}: {why}")
        self.tp, self.offset, self.why = tp, offset, why


class Columns:
    """Records in offset order, as columns; offsets and timestamps in pieces."""

    __slots__ = ("keys", "offsets", "timestamps_ms", "values")

    def __init__(self) -> None:
        self.offsets: list[NDArray[np.int64]] = []
        self.timestamps_ms: list[NDArray[np.int64]] = []
        self.keys: list[bytes | None] = []
        self.values: list[bytes | None] = []

    def __len__(self) -> int:
        return len(self.values)

    def add(self, rows: Sequence[Any], at_ms: int | None = None) -> None:
        """Put aiokafka's records, some at least, behind those that are here; ``at_ms`` is the timestamp of them all."""
        first, last = rows[0].offset, rows[-1].offset
        if last - first == len(rows) - 1:  # without a gap, as nearly always
            self.offsets.append(np.arange(first, last + 1, dtype=np.int64))
        else:
            self.offsets.append(np.array([row.offset for row in rows], np.int64))
        if at_ms is None:
            self.timestamps_ms.append(np.array([row.timestamp for row in rows], np.int64))
        else:
            self.timestamps_ms.append(np.full(len(rows), at_ms, np.int64))
        self.keys += [row.key for row in rows]
        self.values += [row.value for row in rows]


def install() -> bool:
    """Let consumers have columns; False, with a line in the log, where aiokafka is not as it is known."""
    if fetcher.FetchResult.getall is _getall:
        return True
    missing = sorted(_missing())
    if missing or not aiokafka.__version__.startswith(_VERSION):
        what = f"without {', '.join(missing)}" if missing else "unknown"
        _log.warning("fetching takes twice the time: aiokafka %s is %s", aiokafka.__version__, what)
        return False
    fetcher.FetchResult.getall = _getall
    return True


def _missing() -> Iterator[str]:
    for owner, methods in _METHODS.items():
        kind = getattr(fetcher, owner, None)
        if kind is None:
            yield owner
            continue
        yield from (f"{owner}.{name}" for name in methods if not hasattr(kind, name))
        yield from (f"{owner}.{name}" for name in _FIELDS[owner] - set(kind.__init__.__code__.co_names))


_original = fetcher.FetchResult.getall


def _getall(result: Any, max_records: int | None = None) -> Any:
    """In place of `FetchResult.getall`, which does the same record by record.

    But it gives what comes before a batch that is torn, and says of which partition that is: it raises `TornBatch`.
    """
    records = result._partition_records
    if records is None or records._value_deserializer is not as_columns:
        return _original(result, max_records)
    if not result.check_assignment(result._topic_partition):
        return []
    rows = getattr(result, "rows", None)
    if rows is None:
        rows = result.rows = _Rows(records)
    taken = Columns()
    try:
        over = rows.take(taken, max_records if max_records is not None else 1 << 62)
    except (UnsupportedCodecError, MemoryError):
        raise
    except Exception as error:  # whatever a decoder finds
        if not len(taken):
            said = ", ".join(map(str, error.args)) if isinstance(error, KafkaError) else str(error)
            why = said or type(error).__name__
            raise TornBatch(result._topic_partition, records.next_fetch_offset, why) from error
        over = True  # fetched again from there, and then it is raised
    result._update_position()
    if over:
        result._partition_records = result.rows = None
    return taken


class _Rows:
    """The records of a fetched partition that are not taken yet; keeps its ``next_fetch_offset`` right."""

    def __init__(self, records: Any) -> None:
        records._records_iterator = None  # refers back to them: a cycle that would keep a megabyte
        self._records = records
        self._batches = _batches(records)
        self._batch: Any = None
        self._rows: Iterator[Any] = iter(())
        self._at_ms: int | None = None

    def take(self, columns: Columns, most: int) -> bool:
        """Move at most ``most`` records to ``columns``; True when none are left."""
        records = self._records
        while most > 0:
            if self._batch is None:
                self._batch = next(self._batches, None)
                if self._batch is None:
                    return True
                self._rows = chain(self._batch)  # a batch lets itself be iterated once
                by_broker = getattr(self._batch, "timestamp_type", None) == _LOG_APPEND_TIME
                self._at_ms = self._batch.max_timestamp if by_broker else None  # all were appended together
            rows = list(islice(self._rows, min(most, _AT_ONCE)))
            if not rows:
                records.next_fetch_offset = self._batch.next_offset
                self._batch = None
                continue
            if rows[0].offset < records.next_fetch_offset:  # a batch is sent whole, from wherever it is asked for
                rows = [row for row in rows if row.offset >= records.next_fetch_offset]
                if not rows:
                    continue
            columns.add(rows, self._at_ms)
            records.next_fetch_offset = rows[-1].offset + 1
            most -= len(rows)
        return False


def _batches(records: Any) -> Iterator[Any]:
    """The batches that are to be seen: what `PartitionRecords._unpack_records` passes over is passed over."""
    while records._records.has_next():
        batch = records._records.next_batch()
        if records._check_crcs and not batch.validate_crc():
            raise CorruptRecordException("its checksum is wrong")
        hidden = batch.is_control_batch
        if records._isolation_level == fetcher.READ_COMMITTED and batch.producer_id is not None:
            records._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and records._contains_abort_marker(batch):
                records._aborted_producers.discard(batch.producer_id)
            hidden |= batch.is_transactional and batch.producer_id in records._aborted_producers
        if hidden:
            records.next_fetch_offset = batch.next_offset
        else:
            yield batch
