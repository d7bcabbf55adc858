"""The hash chain: an entry's hash covers only the previous hash and the record's offset, time, key and value, and the
header that signed it, if there was one.

`docs/guides/ledger.md` specifies it for other languages, with an example that a test checks.
"""

import hashlib
import struct

VERSION = "callwarden-ledger-1"


def beginning(topic: str, partition: int) -> bytes:
    """The hash that precedes the first entry of a partition: 32 bytes."""
    return hashlib.sha256(f"{VERSION}\n{topic}\n{partition}".encode()).digest()


def link(
    before: bytes,
    offset: int,
    timestamp_ms: int,
    key: bytes | None,
    value: bytes | None,
    signature: bytes | None = None,
) -> bytes:
    """The hash of the entry that follows ``before``: 32 bytes."""
    signed = b"" if signature is None else _field(signature)
    fields = struct.pack(">qq", offset, timestamp_ms) + _field(key) + _field(value) + signed
    return hashlib.sha256(before + fields).digest()


def _field(data: bytes | None) -> bytes:
    # Kafka's encoding: a length before the bytes, -1 for null, so that no two pairs encode alike.
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data
