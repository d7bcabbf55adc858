"""Partitioners: in which partition a producer puts a record."""

import struct
import zlib
from typing import Literal

Partitioner = Literal["murmur2", "crc32"]


def murmur2(data: bytes) -> int:
    """The 32-bit MurmurHash2 of Kafka's default partitioner, seed 0x9747b28c, unsigned."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for (k,) in struct.iter_unpack("<I", data[:whole]):
        k = k * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    if len(data) > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int, partitioner: Partitioner) -> int:
    """The partition in which a producer with that partitioner puts a record with that key."""
    return (murmur2(key) & 0x7FFFFFFF if partitioner == "murmur2" else zlib.crc32(key)) % partitions
