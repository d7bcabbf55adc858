"""The records of `callwarden.follow`: how far a follower has read each of its files or its table.

The key is a JSON array: the follower's name, and the id of what the position is of. A record of a transaction that also
has the rows up to the position; a position without a value is forgotten.
"""

from typing import Final

import msgspec

CLAIM: Final = "claim"
"""The id of the record that says which process follows under the name."""


class FollowClaim(msgspec.Struct, frozen=True, tag="claim"):
    """The process that has started under the name last."""

    instance: str
    host: str


class FilePosition(msgspec.Struct, frozen=True, tag="file", omit_defaults=True):
    """How far a file is read.

    ``stem`` is the path that is followed, ``path`` where the file is now: elsewhere if it has been rotated. ``head``
    and ``tail`` are the fingerprints of the first and the last bytes that were read. ``size`` and ``mtime_ns`` are what
    was last seen of it. ``header`` is its header line, if the format has one. ``skipping``: the position is inside of a
    line that is too long.
    """

    stem: str
    path: str
    device: int
    inode: int
    offset: int = 0
    size: int = 0
    mtime_ns: int = 0
    head: str = ""
    tail: str = ""
    header: str = ""
    skipping: bool = False


class RowMark(msgspec.Struct, frozen=True):
    """A row of a table: its key, and a digest of the id of its record or event."""

    key: int
    digest: str


class TablePosition(msgspec.Struct, frozen=True, tag="table"):
    """How far a table is read: all rows up to the key ``floor``, and those above it whose keys are in ``seen``.

    ``last`` is the last row that was read and is a record or an event.
    """

    table: str
    key: str
    floor: int
    seen: bytes
    last: RowMark | None = None


class BeganAtEnds(msgspec.Struct, frozen=True, tag="began_at_ends"):
    """The follower began at the ends of the files that existed then. It is written with their positions: files that
    appear later are read from their beginning.
    """


BEGAN: Final = "began"
"""The id of `BeganAtEnds`."""

Position = FilePosition | TablePosition | BeganAtEnds
_RECORDS: Final = msgspec.json.Decoder(FollowClaim | FilePosition | TablePosition | BeganAtEnds)
_KEYS: Final = msgspec.json.Decoder(tuple[str, str])


def position_key(name: str, of: str) -> bytes:
    """The key of the position of one file or table."""
    return msgspec.json.encode((name, of))


def parse_key(key: bytes) -> tuple[str, str] | None:
    """The follower's name and the id; None if it is not such a key."""
    try:
        return _KEYS.decode(key)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def encode_position(record: FollowClaim | Position) -> bytes:
    """The value of a record."""
    return msgspec.json.encode(record)


def decode_position(value: bytes) -> FollowClaim | Position:
    """The record of a value. Raises ValueError."""
    try:
        record: FollowClaim | Position = _RECORDS.decode(value)
    except UnicodeDecodeError as error:
        raise ValueError(str(error)) from None
    return record
