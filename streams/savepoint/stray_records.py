"""Records in partitions of an input that no worker reads, because the input got more partitions than the state has."""

from collections.abc import Sequence

from monitor.partition.key_check import Partitioner, partition_of
from streams.kafka.api import TP, Cluster, PermanentError
from streams.savepoint.close import MOST_UNREAD, RescaleSide

Pair = tuple[bytes | None, bytes | None]
"""Key and value."""


class StrayRecords:
    """The stray records of all inputs, assigned to the ``partitions`` new partitions.

    Within each they have the broker's order, so records that arrive later are appended.
    """

    def __init__(self, found: Sequence[Sequence[Pair]], partitions: int, partitioner: Partitioner) -> None:
        self.count = sum(map(len, found))
        self._dealt: list[list[list[Pair]]] = [[[] for _ in found] for _ in range(partitions)]
        for source, pairs in enumerate(found):
            for key, value in pairs:
                # A record without a key is rejected in any partition.
                number = 0 if key is None else partition_of(key, partitions, partitioner)
                self._dealt[number][source].append((key, value))

    def of(self, number: int) -> list[list[Pair]]:
        """The records of a new partition, by source."""
        return self._dealt[number]


async def find_stray_records(cluster: Cluster, old: RescaleSide, partitions: int) -> StrayRecords:
    """Read the records beyond the partitions of ``old``. Raises TransientError, and PermanentError if too many."""
    counts = await cluster.topics(old.names.inputs)
    found: list[list[Pair]] = []
    for topic in old.names.inputs:
        read: list[tuple[int, int, int, Pair]] = []
        for number in range(old.partitions, counts[topic].partitions):
            tp = TP(topic, number)
            start, end = (await cluster.starts([tp]))[tp], (await cluster.ends([tp]))[tp]
            if end - start > MOST_UNREAD:
                raise PermanentError(f"{topic}-{number} has {end - start:,} records; expected at most {MOST_UNREAD:,}")
            async for rows in cluster.read(tp, start, end):
                columns = zip(rows.timestamps_ms.tolist(), rows.offsets.tolist(), rows.keys, rows.values, strict=True)
                read += [(at_ms, number, offset, (key, value)) for at_ms, offset, key, value in columns]
        found.append([pair for *_, pair in sorted(read, key=lambda one: one[:3])])
    return StrayRecords(found, partitions, old.new(0).place.partitioner)
