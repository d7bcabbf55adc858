"""Record batches as a broker sends them: their boundaries and headers.

No header field is trusted before the checksum has confirmed it. A wrong checksum, or a bad field that the checksum does
not cover (length, format), may be right at the next fetch: `DamagedBatchError`. Any other fault is permanent.
"""

import struct
import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

import google_crc32c
from aiokafka.record.util import calc_crc32c

HEADER_BYTES: Final = 61
CODEC_MASK: Final = 0x07
LOG_APPEND_TIME, TRANSACTIONAL, CONTROL = 0x08, 0x10, 0x20
ATTRIBUTES_AT: Final = 22  # the low byte
COUNT_AT: Final = 57

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_LENGTH: Final = struct.Struct(">qi")
_BEFORE_LENGTH: Final = 12
_MAGIC_AT: Final = 16
_CRC_AT, _COVERED_AT = 17, 21
_OLD_CRC_AT: Final = 12
_OLD_LEAST: Final = 14  # bytes after the length of a message of the old formats
_MAX_OFFSET: Final = (1 << 63) - 2

crc32c: Final[Callable[[bytes], int]] = google_crc32c.value if google_crc32c.implementation == "c" else calc_crc32c
"""The checksum, by the instruction of the processor: fifteen times as fast as aiokafka's, where that is built."""


class BatchHeader(NamedTuple):
    """One batch in ``data[start:end]``, with offsets from ``base`` to ``last``. ``magic`` 0 or 1 is an old format."""

    start: int
    end: int
    base: int
    last: int
    magic: int
    attributes: int = 0
    first_timestamp_ms: int = 0
    max_timestamp_ms: int = 0
    producer_id: int = -1
    records: int = 0

    @property
    def codec(self) -> int:
        """The number of the compression codec."""
        return self.attributes & CODEC_MASK


class DamagedBatchError(ValueError):
    """A batch was damaged in the log or on the network.

    ``last`` is the last offset of the damage, None if unknown; ``raw`` are the bytes.
    """

    def __init__(self, why: str, last: int | None, raw: bytes) -> None:
        super().__init__(why)
        self.why, self.last, self.raw = why, last, raw


def next_batch(data: bytes, start: int, check: bool = True) -> BatchHeader | None:
    """The batch that begins at ``start``; None if ``data`` ends there or within the batch.

    ``check`` verifies its checksum, too. Raises DamagedBatchError.
    """
    if len(data) - start < _BEFORE_LENGTH:
        return None
    base, length = _LENGTH.unpack_from(data, start)
    end = start + _BEFORE_LENGTH + length
    if length < _OLD_LEAST or base < 0:
        raise DamagedBatchError(f"a record batch states the length {length} and the offset {base}", None, data[start:])
    if end > len(data):
        return None
    magic = data[start + _MAGIC_AT]
    if magic != 2:
        return _old(data, start, end, base, magic)
    if end - start < HEADER_BYTES:
        raise DamagedBatchError(f"a record batch states the length {length}", None, data[start:end])
    fields = _HEADER.unpack_from(data, start)
    attributes, delta = fields[5], fields[6]
    if check and crc32c(data[start + _COVERED_AT : end]) != fields[4]:
        last = _bounded(data, end, base, base + max(delta, 0))
        raise DamagedBatchError("the checksum of a record batch is wrong", last, data[start:end])
    last = min(base + max(delta, 0), _MAX_OFFSET)
    records = fields[12] if delta >= 0 else -1
    return BatchHeader(start, end, base, last, magic, attributes, fields[7], fields[8], fields[9], records)


def _old(data: bytes, start: int, end: int, offset: int, magic: int) -> BatchHeader:
    """A message of an old format, which may contain others up to its offset; its checksum covers the format."""
    (crc,) = struct.unpack_from(">I", data, start + _OLD_CRC_AT)
    if magic not in (0, 1):
        why = f"a record batch has the format (magic) {magic}, and this release reads 2"
        raise DamagedBatchError(why, _bounded(data, end, offset, offset), data[start:end])
    if zlib.crc32(memoryview(data)[start + _MAGIC_AT : end]) != crc:
        raise DamagedBatchError("the checksum of a message is wrong", offset, data[start:end])
    return BatchHeader(start, end, offset, offset, magic)


def _bounded(data: bytes, end: int, base: int, last: int) -> int:
    """The last offset of a batch whose header is not trusted: at most the one before the next batch."""
    if len(data) - end >= _LENGTH.size:
        following, _ = _LENGTH.unpack_from(data, end)
        if following > base:
            return min(last, int(following) - 1)
    return min(last, _MAX_OFFSET)
