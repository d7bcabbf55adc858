"""Positions in a list that is read a page at a time: opaque to clients, checked when they come back."""

import base64
import binascii
from typing import Final

import msgspec

LIMIT: Final = 50
MOST: Final = 200
LONGEST: Final = 2_048
"""Characters of a cursor: an id has up to 128 characters, each of up to 6 bytes in JSON."""


class InvalidCursor(ValueError):
    """A cursor that this console did not give."""


def encode_cursor(*parts: int | str) -> str:
    """The cursor of a row with this sort key."""
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def decode_cursor(cursor: str | None, kinds: str) -> tuple[int | str, ...] | None:
    """The sort key in a cursor, None for the first page. ``kinds``: `i` for each number, `s` for each text.

    Raises InvalidCursor.
    """
    if not cursor:
        return None
    try:
        if len(cursor) > LONGEST:
            raise InvalidCursor
        parts = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=list[int | str])
    except (InvalidCursor, binascii.Error, ValueError, msgspec.DecodeError):
        raise InvalidCursor("expected the `next` of an earlier answer") from None
    if [type(part) for part in parts] != [int if kind == "i" else str for kind in kinds]:
        raise InvalidCursor("expected the `next` of an earlier answer of this list")
    if any(isinstance(part, int) and abs(part) >= 2**63 for part in parts):
        raise InvalidCursor("expected the `next` of an earlier answer of this list")
    return tuple(parts)
