"""The frame of Confluent's serialisers: a zero byte, the id of the schema, for Protobuf the place of the message."""

from typing import Final

from streams.ingest.registry.errors import Undecodable

_HEADER: Final = 5
_LARGEST_ID: Final = 2**31 - 1
_MOST_INDEXES: Final = 16
_LONGEST_VARINT: Final = 5


def schema_id_of(value: bytes) -> int:
    """The id of the schema of a record's value; what follows is at `PAYLOAD`. Raises `Undecodable`."""
    if len(value) < _HEADER or value[0] != 0:
        begin = value[:1].hex() or "nothing"
        raise Undecodable(
            f"the value does not begin with a zero byte and the 4 bytes of a schema's id, but with {begin} and has "
            f"{len(value):,} bytes; expected what Confluent's serialisers write"
        )
    schema_id = int.from_bytes(value[1:_HEADER], "big")
    if schema_id > _LARGEST_ID:  # some registries answer as if the path were wrong
        raise Undecodable(f"the value names the schema {schema_id}; expected an id up to {_LARGEST_ID}")
    return schema_id


PAYLOAD: Final = _HEADER
"""Where the payload of a value begins."""


def message_of(value: bytes) -> tuple[tuple[int, ...], int]:
    """Which message of a Protobuf file a value has, as indexes from the outermost message inwards; where it begins.

    Raises `Undecodable`.
    """
    count, position = _varint(value, PAYLOAD)
    if count == 0:  # the short form of the first message
        return (0,), position
    if not 0 < count <= _MOST_INDEXES:
        raise Undecodable(f"the message has {count:,} indexes; expected 1 to {_MOST_INDEXES}")
    indexes = []
    for _ in range(count):
        index, position = _varint(value, position)
        indexes.append(index)
    return tuple(indexes), position


def _varint(value: bytes, position: int) -> tuple[int, int]:
    """The number (zigzag) at a position, and the position after it."""
    number = 0
    for shift in range(_LONGEST_VARINT):
        if position + shift >= len(value):
            raise Undecodable("the value ends within the indexes of its message")
        byte = value[position + shift]
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), position + shift + 1
    raise Undecodable("an index of the message has too many bytes")
