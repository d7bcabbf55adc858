"""Records in partitions of an input that no worker reads, because the input got more partitions than the state has."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from monitor.partition.partitioner import Partitioner, partition_of
from schemas.review_signature import SIGNATURE_HEADER, kept
from streams.kafka.api import TP, Cluster, FetchedBatch, PermanentError
from streams.kafka.outputs import OutputRecord
from streams.savepoint.close import MOST_UNREAD, RescaleSide

MOST_STRAY_BYTES = 1 << 30
"""The most bytes of stray records: all are in memory."""

_FEWER = "find out who writes them, and delete those that may be lost by `kafka-delete-records`"


class CarriedRecord(NamedTuple):
    """An input record that is written to other topics: its key, its value, and the header that signed it, if any."""

    key: bytes | None
    value: bytes | None
    signature: bytes | None = None

    def to(self, tp: TP) -> OutputRecord:
        """The record to write to a topic partition."""
        headers = () if self.signature is None else ((SIGNATURE_HEADER, self.signature),)
        return OutputRecord(*tp, self.key, self.value, headers)


def carried_from(fetched: FetchedBatch) -> Iterator[CarriedRecord]:
    """The records of a batch."""
    for offset, key, value in zip(fetched.offsets.tolist(), fetched.keys, fetched.values, strict=True):
        yield CarriedRecord(key, value, kept(fetched.signatures.get(offset, ())))


class StrayRecords:
    """The stray records of all inputs, assigned to the ``partitions`` new partitions.

    Within each they have the broker's order, so records that arrive later are appended.
    """

    def __init__(self, found: Sequence[Sequence[CarriedRecord]], partitions: int, partitioner: Partitioner) -> None:
        self.count = sum(map(len, found))
        self._dealt: list[list[list[CarriedRecord]]] = [[[] for _ in found] for _ in range(partitions)]
        for source, records in enumerate(found):
            for record in records:
                # A record without a key is rejected in any partition.
                number = 0 if record.key is None else partition_of(record.key, partitions, partitioner)
                self._dealt[number][source].append(record)

    def of(self, number: int) -> list[list[CarriedRecord]]:
        """The records of a new partition, by source."""
        return self._dealt[number]


async def find_stray_records(cluster: Cluster, old: RescaleSide, partitions: int) -> StrayRecords:
    """Read the records beyond the partitions of ``old``. Raises TransientError, and PermanentError if too many."""
    counts = await cluster.topics(old.names.inputs)
    found: list[list[CarriedRecord]] = []
    size = 0
    for topic in old.names.inputs:
        read: list[tuple[int, int, int, CarriedRecord]] = []
        for number in range(old.partitions, counts[topic].partitions):
            tp = TP(topic, number)
            start, end = (await cluster.starts([tp]))[tp], (await cluster.ends([tp]))[tp]
            if end - start > MOST_UNREAD:
                raise PermanentError(
                    f"{topic}-{number} has {end - start:,} records; expected at most {MOST_UNREAD:,}; {_FEWER}"
                )
            async for rows in cluster.read(tp, start, end):
                size += rows.size
                if size > MOST_STRAY_BYTES:
                    raise PermanentError(
                        f"the partitions {old.partitions} and above of {topic} and the inputs before it have more than "
                        f"{MOST_STRAY_BYTES:,} bytes of records, which no worker has read; {_FEWER}"
                    )
                columns = zip(rows.timestamps_ms.tolist(), rows.offsets.tolist(), carried_from(rows), strict=True)
                read += [(at_ms, number, offset, record) for at_ms, offset, record in columns]
        found.append([record for *_, record in sorted(read, key=lambda one: one[:3])])
    return StrayRecords(found, partitions, old.new(0).place.partitioner)
