"""Record batches encoded byte by byte, which no client would produce, after Kafka's documentation of the format."""

import struct
import zlib
from collections.abc import Sequence
from functools import partial

import cramjam
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.record.util import calc_crc32c

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
LOG_APPEND_TIME, TRANSACTIONAL, CONTROL = 0x08, 0x10, 0x20
CODECS = {0: bytes, GZIP: gzip_encode, SNAPPY: snappy_encode, LZ4: lz4_encode, ZSTD: zstd_encode}
HEADER = struct.Struct(">qiibIhiqqqhii")
ATTRIBUTES_AT = 21

Header = tuple[bytes | None, bytes | None]


def varint(number: int) -> bytes:
    """Zigzag encoding, seven bits a byte, least significant first."""
    number = (number << 1) ^ (number >> 63)
    made = bytearray()
    while number >= 0x80:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def sized(content: bytes | None) -> bytes:
    """Bytes preceded by their length; -1 is null."""
    return varint(-1) if content is None else varint(len(content)) + content


def record(
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[Header] = (),
    *,
    delta: int = 0,
    after_ms: int = 0,
    header_count: int | None = None,
    length: int | None = None,
    tail: bytes = b"",
) -> bytes:
    """One record. ``header_count`` and ``length`` may be false; ``tail`` follows the headers."""
    body = b"\0" + varint(after_ms) + varint(delta) + sized(key) + sized(value)
    body += varint(len(headers) if header_count is None else header_count)
    body += b"".join(sized(name) + sized(content) for name, content in headers) + tail
    return varint(len(body) if length is None else length) + body


def batch(
    records: Sequence[bytes],
    *,
    base: int = 0,
    codec: int = 0,
    payload: bytes | None = None,
    count: int | None = None,
    last_delta: int | None = None,
    attributes: int = 0,
    producer: int = -1,
    magic: int = 2,
    at_ms: int = 1_000,
    level: int | None = None,
    wrong_checksum: bool = False,
) -> bytes:
    """A batch of format 2. ``payload`` replaces the compressed records; ``count`` and ``last_delta`` may be false.

    ``level`` is the compression level, None the default.
    """
    if payload is None:
        encode = CODECS[codec] if level is None else partial(CODECS[codec], level=level)
        payload = bytes(encode(b"".join(records)))
    count = len(records) if count is None else count
    last_delta = count - 1 if last_delta is None else last_delta
    epoch, sequence = (0, 0) if producer >= 0 else (-1, -1)
    covered = struct.pack(">hiqqqhii", attributes | codec, last_delta, at_ms, at_ms, producer, epoch, sequence, count)
    covered += payload
    crc = calc_crc32c(covered) ^ wrong_checksum
    return struct.pack(">qiibI", base, len(covered) + 9, -1, magic, crc) + covered


def message(magic: int, key: bytes | None, value: bytes | None, *, offset: int = 0, crc_off: int = 0) -> bytes:
    """A message of format 0 or 1, as of Kafka 0.10 and before."""

    def sized_32(content: bytes | None) -> bytes:
        return struct.pack(">i", -1) if content is None else struct.pack(">i", len(content)) + content

    covered = (
        struct.pack(">bb", magic, 0) + (struct.pack(">q", 1_000) if magic else b"") + sized_32(key) + sized_32(value)
    )
    return struct.pack(">qiI", offset, len(covered) + 4, zlib.crc32(covered) ^ crc_off) + covered


def zstd_stream(content: bytes) -> bytes:
    """The output of a streaming compressor: the frame does not state its content size."""
    compressor = cramjam.zstd.Compressor(level=3)
    compressor.compress(content)
    return bytes(compressor.finish())


def zstd_of_zeros(head: bytes, zeros: int) -> bytes:
    """A frame of ``head`` and that many zero bytes, in blocks that each say "128 KiB of this byte": 1 to 32,768."""
    most = 128 << 10
    sizes = [most] * (zeros // most) + [zeros % most] * bool(zeros % most)
    blocks = [(len(head) << 3).to_bytes(3, "little") + head]  # raw
    blocks += [(size << 3 | 2).to_bytes(3, "little") + b"\0" for size in sizes]  # repeated
    last = int.from_bytes(blocks[-1][:3], "little") | 1
    blocks[-1] = last.to_bytes(3, "little") + b"\0"
    window = 7 << 3  # 128 KiB
    return b"\x28\xb5\x2f\xfd" + bytes([0, window]) + b"".join(blocks)
