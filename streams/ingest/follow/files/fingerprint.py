"""Fingerprints of a file's content: a position is valid where the bytes before it are those that were read.

Inodes are reused, and a file can be truncated and grow beyond its old size between two looks at it.
"""

import hashlib
import os
from typing import Final

TAIL: Final = 1 << 10
"""The bytes before a position that its fingerprint covers, at most."""

HEAD: Final = 4 << 10
"""The first bytes of a file that its fingerprint covers, at most."""


def digest(content: bytes) -> str:
    """The fingerprint of some bytes; empty for none."""
    return hashlib.sha256(content).hexdigest()[:32] if content else ""


def head_of(fd: int, offset: int) -> str:
    """The fingerprint of the beginning of a file that is read up to ``offset``."""
    return digest(os.pread(fd, min(HEAD, offset), 0))


def tail_of(fd: int, offset: int) -> str:
    """The fingerprint of the bytes before ``offset``."""
    length = min(TAIL, offset)
    return digest(os.pread(fd, length, offset - length))


def same_bytes(one: int, other: int, end: int) -> bool:
    """Whether two files agree in their first bytes, and in those before ``end``."""
    return all(
        os.pread(one, length, start) == os.pread(other, length, start)
        for start, length in ((0, min(HEAD, end)), (max(0, end - TAIL), min(TAIL, end)))
    )
