"""A partition's log as a broker sends it, and as aiokafka holds what it fetched."""

import random
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from streams.kafka.fetch import columnar_fetch as fastfetch

TP = TopicPartition("t", 0)

CRC_AT = 17
ATTRIBUTES_AT = 22  # the low byte of a batch's attributes
LENGTH_OF_RECORD_AT = 61
LOG_APPEND_TIME, CONTROL = 0x08, 0x20
LAST_TIME_AT = 35  # of the last timestamp of a batch


@dataclass
class Log:
    """A log of batches."""

    data: bytes = b""
    end: int = 0
    open_since: dict[int, int] = field(default_factory=dict)  # by producer: the first offset of its open transaction
    aborted: list[tuple[int, int]] = field(default_factory=list)  # producer, first offset
    begins: list[tuple[int, int]] = field(default_factory=list)  # of each batch: its offset, its place in the data

    def sent(self, start: int) -> bytes:
        """The bytes that a broker sends from offset ``start`` on: whole batches."""
        return self.data[max((place for offset, place in self.begins if offset <= start), default=0) :]

    def batch(
        self,
        count: int,
        *,
        producer: int = -1,
        gaps: random.Random | None = None,
        codec: int = 0,
        torn: bool = False,
        appended_ms: int | None = None,
    ) -> None:
        """``count`` records; with ``gaps`` some are missing, as after compaction. Those of a producer are in its
        transaction, which they may begin.

        ``appended_ms``: the broker's append time, if its timestamps are `LogAppendTime`.
        """
        if producer >= 0:
            self.open_since.setdefault(producer, self.end)
        builder = DefaultRecordBatchBuilder(2, codec, producer >= 0, producer, 0, 0, 1 << 20)
        for at in range(count):
            if gaps is None or at == 0 or gaps.random() < 0.7:
                key, value = (None if at % 5 == 0 else b"k%d" % at), (None if at % 7 == 0 else b"v" * (at % 50))
                builder.append(at, 1_000 + at, key, value, [])
        made = bytearray(builder.build())
        if appended_ms is not None:
            made[ATTRIBUTES_AT] |= LOG_APPEND_TIME
            made[LAST_TIME_AT : LAST_TIME_AT + 8] = appended_ms.to_bytes(8)
        self._add(made, count, torn=torn)

    def garbage(self) -> None:
        """A batch of one record from a faulty client, with a correct checksum and invalid content."""
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, 0, 0, 1 << 20)
        builder.append(0, 1_000, None, b"value", [])
        made = bytearray(builder.build())
        made[LENGTH_OF_RECORD_AT] += 2
        self._add(made, 1)

    def marker(self, producer: int, *, commit: bool) -> None:
        """The end of a transaction, which may be without records here."""
        first = self.open_since.pop(producer, None)
        if first is not None and not commit:
            self.aborted.append((producer, first))
        builder = DefaultRecordBatchBuilder(2, 0, 1, producer, 0, 0, 1 << 20)
        builder.append(0, 1_000, (0).to_bytes(2) + int(commit).to_bytes(2), b"\0" * 6, [])
        made = bytearray(builder.build())
        made[ATTRIBUTES_AT] |= CONTROL
        self._add(made, 1)

    def _add(self, made: bytearray, count: int, *, torn: bool = False) -> None:
        made[:8] = self.end.to_bytes(8)
        made[23:27] = (count - 1).to_bytes(4)  # the last offset, whether or not it exists
        made[CRC_AT : CRC_AT + 4] = calc_crc32c(bytes(made[CRC_AT + 4 :])).to_bytes(4)
        made[-1] ^= torn
        self.begins.append((self.end, len(self.data)))
        self.data += bytes(made)
        self.end += count


def result_of(log: Log, start: int, *, fast: bool, committed: bool, check: bool = False) -> fetcher.FetchResult:
    """What is fetched from offset ``start`` on, to be read as columns (``fast``) or as aiokafka does.

    ``check``: whether checksums are verified.
    """
    assignment = Assignment([TP])
    assignment.state_value(TP).seek(start)
    deserializer = fastfetch.AsColumns() if fast else None
    isolation = fetcher.READ_COMMITTED if committed else fetcher.READ_UNCOMMITTED
    records = fetcher.PartitionRecords(
        TP, fetcher.MemoryRecords(log.sent(start)), list(log.aborted), start, None, deserializer, check, isolation
    )
    return fetcher.FetchResult(TP, assignment=assignment, partition_records=records, backoff=0)


def position(result: fetcher.FetchResult) -> int:
    """The position of the consumer after what was taken."""
    return int(result._assignment.state_value(TP).position)
