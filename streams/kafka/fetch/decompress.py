"""Decompresses the payload of a record batch to at most `MAX_BYTES`.

aiokafka decompresses without a limit: 8 KB of zstd become gigabytes. Here the stated size of a payload is checked
first, and a payload without one is decompressed into a buffer that does not grow.
"""

import zlib
from typing import Any, Final

import cramjam
import numpy as np

MAX_BYTES: Final = 32 << 20
"""The largest decompressed payload of a record batch that is read. Decisions depend on it: it never changes.

Producers limit their batches before compression, by default to a megabyte (Java's `max.request.size`, librdkafka's
`message.max.bytes`), and the broker limits them after it (`max.message.bytes`). This is thirty times that, and the
largest size of a record (`schemas.codec.MAX_BYTES`).
"""

PADDING: Final = 32
"""The number of zero bytes after the decompressed data: aiokafka's parser may read some bytes beyond the end."""

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
NAMES: Final = ("none", "gzip", "snappy", "lz4", "zstd")

_MAX_MEMBERS: Final = 64  # of a gzip file; producers write one
_MAX_BLOCKS: Final = 65_536  # of a snappy stream; producers write blocks of 1 to 32 KiB
_LEAST_GUESS: Final = 64 << 10
_USUAL_RATIO: Final = 16
_XERIAL: Final = b"\x82SNAPPY\0"
_XERIAL_HEADER: Final = 16
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_DICTIONARY: Final = (0, 1, 2, 4)
_FULL: Final = "failed to write whole buffer"  # cramjam's message if the buffer is too small


class TooLargeError(ValueError):
    """The payload exceeds `MAX_BYTES`. ``cost`` is the number of bytes decompressed before that was known."""

    def __init__(self, why: str, cost: int = 0) -> None:
        super().__init__(why)
        self.cost = cost


class UndecodableError(ValueError):
    """The payload is not what its codec says, or the codec is unknown. ``cost`` as in `TooLargeError`."""

    def __init__(self, why: str, cost: int = 0) -> None:
        super().__init__(why)
        self.cost = cost


def decompress(codec: int, payload: memoryview, room: int = 0) -> memoryview:
    """The decompressed ``payload``, after ``room`` free bytes and before `PADDING` zero bytes.

    Raises TooLargeError and UndecodableError.
    """
    if codec == NONE:
        if len(payload) > MAX_BYTES:
            raise TooLargeError(f"it has {len(payload):,} bytes")
        return memoryview(bytearray().join((bytes(room), payload, bytes(PADDING))))
    if codec == GZIP:
        return memoryview(bytearray().join((bytes(room), *_gunzip(payload), bytes(PADDING))))
    if codec == SNAPPY:
        return _unsnap(payload, room)
    if codec == LZ4:
        return _grown(cramjam.lz4.decompress_into, payload, room, None)
    if codec == ZSTD:
        return _grown(cramjam.zstd.decompress_into, payload, room, _zstd_size(payload))
    raise UndecodableError(f"codec {codec} is none that Kafka has")


def _gunzip(payload: memoryview) -> list[bytes]:
    parts: list[bytes] = []
    total, rest = 0, bytes(payload)
    for _ in range(_MAX_MEMBERS):
        member = zlib.decompressobj(wbits=31)
        try:
            part = member.decompress(rest, MAX_BYTES + 1 - total)
        except zlib.error as error:
            raise UndecodableError(str(error), total) from None
        total += len(part)
        if total > MAX_BYTES:
            raise TooLargeError("it is a gzip file without an end in sight", total)
        if not member.eof:
            raise UndecodableError("the gzip file is cut short", total)
        parts.append(part)
        rest = member.unused_data.lstrip(b"\0")  # padding is allowed
        if not rest:
            return parts
    raise UndecodableError(f"the gzip file has more than {_MAX_MEMBERS} members", total)


def _unsnap(payload: memoryview, room: int) -> memoryview:
    blocks: list[tuple[memoryview, int]] = []
    if bytes(payload[: len(_XERIAL)]) == _XERIAL:
        at, end = _XERIAL_HEADER, len(payload)
        while at < end:
            size = int.from_bytes(payload[at : at + 4], signed=True) if at + 4 <= end else -1
            if size <= 0 or at + 4 + size > end:
                raise UndecodableError("a block of the snappy stream is cut short")
            block = payload[at + 4 : at + 4 + size]
            blocks.append((block, _snappy_size(block)))
            if len(blocks) > _MAX_BLOCKS:
                raise TooLargeError(f"it has more than {_MAX_BLOCKS:,} blocks of snappy")
            at += 4 + size
    else:
        blocks.append((payload, _snappy_size(payload)))
    total = sum(size for _, size in blocks)
    if total > MAX_BYTES:
        raise TooLargeError(f"it states {total:,} bytes")
    made, at = _buffer(room, total), room
    for block, size in blocks:
        if size:
            try:
                written = cramjam.snappy.decompress_raw_into(block, made[at : at + size])
            except cramjam.DecompressionError as error:
                raise UndecodableError(str(error), total) from None
            if written != size:
                raise UndecodableError(f"a block of snappy has {written} bytes, and states {size}", total)
        at += size
    return _closed(made, at)


def _snappy_size(block: memoryview) -> int:
    """The stated size of a snappy block, in bytes. Raises UndecodableError."""
    size = shift = 0
    for byte in block[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return size
    raise UndecodableError("a block of snappy does not state its size")


def _zstd_size(payload: memoryview) -> int | None:
    """The stated size of the first frame, in bytes; None if it states none. Raises TooLargeError."""
    if len(payload) < 5 or bytes(payload[:4]) != _ZSTD_MAGIC:
        return None
    descriptor = payload[4]
    single = descriptor >> 5 & 1
    size = (single, 2, 4, 8)[descriptor >> 6]
    at = 5 + (1 - single) + _ZSTD_DICTIONARY[descriptor & 3]
    if not size or at + size > len(payload):
        return None
    stated = int.from_bytes(payload[at : at + size], "little") + (256 if size == 2 else 0)
    if stated > MAX_BYTES:
        raise TooLargeError(f"it states {stated:,} bytes")
    return stated


def _grown(into: Any, payload: memoryview, room: int, stated: int | None) -> memoryview:
    """Decompress into a buffer of the stated or usual size, or of `MAX_BYTES` if that is too small."""
    guess = min(MAX_BYTES, max(_LEAST_GUESS, _USUAL_RATIO * len(payload))) if stated is None else stated
    for size in dict.fromkeys((guess, MAX_BYTES)):
        made = _buffer(room, size)
        try:
            written = into(payload, made[room : room + size]) if size else 0
        except cramjam.DecompressionError as error:
            if _FULL not in str(error):
                raise UndecodableError(str(error), size) from None
        else:
            return _closed(made, room + written)
    raise TooLargeError("it is a stream without an end in sight", MAX_BYTES)


def _buffer(room: int, size: int) -> memoryview:
    # Not zeroed: pages that are not written to take no memory.
    return np.empty(room + size + PADDING, np.uint8).data


def _closed(made: memoryview, end: int) -> memoryview:
    made[end : end + PADDING] = bytes(PADDING)
    return made[: end + PADDING]
