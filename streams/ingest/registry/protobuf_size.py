"""What a Protobuf value can become, before it is parsed: two bytes are a message, with memory for all of its fields."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from streams.ingest.registry.errors import (
    MAX_DOCUMENT_BYTES,
    MAX_EMPTY_BYTES,
    MAX_NAME,
    VALUE_BYTES,
    SchemaRefused,
    Undecodable,
)

_LEAST_MESSAGE: Final = 2  # bytes: the tag, and a length of zero
_CONTENT: Final = 2  # bytes of JSON for a byte of a string or of bytes, at least
_DEEPEST: Final = 100  # as protobuf's own parser
_LONGEST_VARINT: Final = 10
_LONGEST_TAG: Final = 5
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_WIDTHS: Final = {
    **dict.fromkeys((FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FIXED64, FieldDescriptor.TYPE_SFIXED64), 8),
    **dict.fromkeys((FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_FIXED32, FieldDescriptor.TYPE_SFIXED32), 4),
}
_NOT_PACKED: Final = (
    *(FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES),
    *(FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_GROUP),
)


class _Field(NamedTuple):
    """``cost``: the bytes of JSON of one value without content; ``width``: the fewest bytes of a packed value, or 0."""

    cost: int
    width: int
    message: str | None


@dataclass
class _Type:
    """``empty``: the bytes of JSON of a message that has all its fields, without content."""

    empty: int
    fields: dict[int, _Field]


class MessageSizes:
    """The sizes of the values of one message type. Raises `SchemaRefused` for a type that is not decoded."""

    def __init__(self, root: Descriptor) -> None:
        self._root = root.full_name
        self._types: dict[str, _Type] = {}
        growth = _CONTENT
        waiting = [root]
        while waiting:
            descriptor = waiting.pop()
            if descriptor.full_name in self._types:
                continue
            kind = self._types[descriptor.full_name] = _type_of(descriptor)
            waiting += [each.message_type for each in descriptor.fields if each.message_type is not None]
            growth = max(
                growth,
                kind.empty // _LEAST_MESSAGE,
                *(each.cost // (each.width or 2) for each in kind.fields.values()),
                0,
            )
        self._growth = growth + _CONTENT

    def most(self, payload_bytes: int) -> int:
        """The most bytes of JSON of any payload of this length."""
        return self._types[self._root].empty + payload_bytes * self._growth

    def estimate(self, payload: bytes) -> int:
        """The bytes of JSON of a payload, at most, or more than `MAX_DOCUMENT_BYTES`. Raises `Undecodable`.

        Everything that a parser reads before it finds that the payload is not valid is counted.
        """
        total = self._types[self._root].empty
        waiting = [(0, len(payload), self._types[self._root], 1)]
        while waiting and total <= MAX_DOCUMENT_BYTES:
            position, end, kind, depth = waiting.pop()
            if depth > _DEEPEST:
                raise Undecodable(f"messages are nested deeper than {_DEEPEST}")
            while position < end and total <= MAX_DOCUMENT_BYTES:
                tag, position = _varint(payload, position, end, _LONGEST_TAG)
                field, wire = kind.fields.get(tag >> 3), tag & 7
                length = 0
                if wire == _VARINT:
                    _, position = _varint(payload, position, end, _LONGEST_VARINT)
                elif wire == _FIXED64:
                    position += 8
                elif wire == _FIXED32:
                    position += 4
                elif wire == _BYTES:
                    length, position = _varint(payload, position, end, _LONGEST_TAG)
                elif position <= end:
                    raise Undecodable("the value has groups; those are decoded in small records only")
                if position + length > end:
                    break  # cut off: not valid, but a parser has seen what came before
                if field is None:
                    position += length
                    continue
                if field.message is not None and wire == _BYTES:
                    waiting.append((position, position + length, self._types[field.message], depth + 1))
                    total += field.cost
                elif field.width and wire == _BYTES:
                    total += (length // field.width) * field.cost
                else:
                    total += field.cost + length * _CONTENT
                position += length
        return total


def _type_of(descriptor: Descriptor) -> _Type:
    if descriptor.full_name == "google.protobuf.Any":
        raise SchemaRefused("google.protobuf.Any is not supported")
    fields = {each.number: _field_of(each) for each in descriptor.fields}
    empty = VALUE_BYTES + sum(_named(each) for each in descriptor.fields)
    if empty > MAX_EMPTY_BYTES:
        raise SchemaRefused(f"an empty message has {empty:,} bytes of JSON; expected at most {MAX_EMPTY_BYTES:,}")
    return _Type(empty, fields)


def _field_of(field: FieldDescriptor) -> _Field:
    target: Any = field.message_type
    if target is not None:
        return _Field(_empty_of(target) + _named(field), 0, target.full_name)
    if field.type in _NOT_PACKED:
        return _Field(_named(field), 0, None)
    longest = 0
    if field.enum_type is not None:
        longest = max((len(each.name) for each in field.enum_type.values), default=0)
        _check_name(longest)
    return _Field(VALUE_BYTES + longest, _WIDTHS.get(field.type, 1), None)


def _empty_of(descriptor: Descriptor) -> int:
    """What a message of this type has at least; an entry of a map has its value, also where none is sent."""
    own = VALUE_BYTES + sum(_named(each) for each in descriptor.fields)
    if descriptor.GetOptions().map_entry:
        value = descriptor.fields_by_name["value"].message_type
        own += 0 if value is None else VALUE_BYTES + sum(_named(each) for each in value.fields)
    return own


def _named(field: FieldDescriptor) -> int:
    _check_name(len(field.name))
    return len(field.name) + VALUE_BYTES


def _check_name(length: int) -> None:
    if length > MAX_NAME:
        raise SchemaRefused(f"a name has {length:,} characters; expected at most {MAX_NAME}")


def _varint(payload: bytes, position: int, end: int, longest: int) -> tuple[int, int]:
    """A number, and the position after it; behind the end where there is none."""
    number = 0
    for shift in range(longest):
        if position >= end:
            break
        byte = payload[position]
        position += 1
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return number, position
    return 0, end + 1
