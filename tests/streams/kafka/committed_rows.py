"""The rows that a consumer of committed records gets from the bytes that a broker sends."""

from collections.abc import Sequence

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from rawkafka.batches import record

from streams.kafka.api import FetchedBatch
from streams.kafka.fetch import columnar_fetch as fastfetch
from streams.kafka.fetch.record_columns import RecordColumns, columns

TP = TopicPartition("t", 0)
GOOD = [record(b"k", b"v%d" % n, delta=n) for n in range(3)]


class _Position:
    """The position of aiokafka's consumer in its one partition."""

    active, paused = True, False

    def __init__(self, position: int) -> None:
        self.position = position

    def state_value(self, tp: TopicPartition) -> "_Position":
        return self

    def consumed_to(self, position: int) -> None:
        self.position = position


def result_of(data: bytes, start: int, aborted: Sequence[tuple[int, int]] = ()) -> fetcher.FetchResult:
    """What aiokafka holds of these bytes, fetched from offset ``start`` on."""
    records = fetcher.PartitionRecords(
        TP, fetcher.MemoryRecords(data), list(aborted), start, None, fastfetch.AsColumns(), True, fetcher.READ_COMMITTED
    )
    return fetcher.FetchResult(TP, assignment=_Position(start), partition_records=records, backoff=0)


def fetched(
    data: bytes, start: int = 0, aborted: Sequence[tuple[int, int]] = (), cuts: Sequence[int] = ()
) -> FetchedBatch:
    """All rows that a consumer of committed records gets from a broker's data; first in pieces of these sizes."""
    result, taken, sizes = result_of(data, start, aborted), [], list(cuts)
    while result.has_more():
        some = result.getall(sizes.pop(0) if sizes else None)
        if len(some):
            taken.append(some)
    return columns(start, result._assignment.position, RecordColumns.concat(taken))


def plain(read: FetchedBatch) -> list[object]:
    """Its rows, comparable: offset, timestamp, key, value, and what is wrong with it."""
    columns_ = (read.offsets.tolist(), read.timestamps_ms.tolist(), read.keys, read.values)
    return [(*row, read.unreadable.get(row[0])) for row in zip(*columns_, strict=True)]
