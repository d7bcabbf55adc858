"""The chain: an entry's hash is made of the one before it and of what the topic holds, and of nothing else.

`docs/guides/ledger.md` defines it for other languages, with an example that a test checks.
"""

import hashlib
import struct

VERSION = "callwarden-ledger-1"


def beginning(topic: str, partition: int) -> bytes:
    """What stands before the first entry of a partition, in the place of a hash."""
    return hashlib.sha256(f"{VERSION}\n{topic}\n{partition}".encode()).digest()


def link(before: bytes, offset: int, timestamp_ms: int, key: bytes | None, value: bytes | None) -> bytes:
    """The hash of the entry that follows ``before``: 32 bytes."""
    return hashlib.sha256(before + struct.pack(">qq", offset, timestamp_ms) + _field(key) + _field(value)).digest()


def _field(data: bytes | None) -> bytes:
    # As Kafka itself writes them: the length before the bytes, -1 for none, so that no two pairs read the same.
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data
