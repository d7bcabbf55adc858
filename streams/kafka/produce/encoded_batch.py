"""Record batches of Kafka's format 2, from encoded records."""

import struct
from dataclasses import dataclass
from typing import Final

from monitor.compression import compressed
from streams.kafka.fetch.record_batch import HEADER_BYTES, TRANSACTIONAL, crc32c

_LENGTH: Final = struct.Struct(">qi")  # the base offset, which the broker sets, and the length of what follows
_BEFORE_CRC: Final = struct.Struct(">ibI")  # the epoch of the leader, the format, the checksum of what follows
_HEADER: Final = struct.Struct(">hiqqqhii")
_NO_EPOCH, _FORMAT = -1, 2
_ZSTD: Final = 4  # the codec, in the attributes


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """``count`` encoded ``records`` whose timestamps are all ``now_ms``."""

    records: bytes
    count: int
    now_ms: int
    transactional: bool

    @property
    def size(self) -> int:
        """The bytes of the batch before compression."""
        return HEADER_BYTES + len(self.records)

    def build(self, producer_id: int, producer_epoch: int, base_sequence: int) -> bytes:
        """The batch as it is sent, compressed if that makes it smaller."""
        records, attributes = compressed(self.records), _ZSTD
        if len(records) >= len(self.records):
            records, attributes = self.records, 0
        attributes |= TRANSACTIONAL if self.transactional else 0
        last, now_ms, producer = self.count - 1, self.now_ms, (producer_id, producer_epoch, base_sequence)
        checked = _HEADER.pack(attributes, last, now_ms, now_ms, *producer, self.count) + records
        length = _BEFORE_CRC.size + len(checked)
        return _LENGTH.pack(0, length) + _BEFORE_CRC.pack(_NO_EPOCH, _FORMAT, crc32c(checked)) + checked
