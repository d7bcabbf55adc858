"""An Avro schema as the decoder uses it: without logical types, self-contained, and bounded in what it can become.

The bound is computed from the schema, before a record is read: for each type, the fewest bytes of a value, and the
most bytes of JSON that a value with empty strings and no items can become. Only items of arrays and maps can occur
more often than the schema says, and each takes at least its fewest bytes of the record.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from streams.ingest.registry.errors import MAX_DEPTH, MAX_EMPTY_BYTES, MAX_NAME, VALUE_BYTES, SchemaRefused

BASE64, DECIMAL, UUID = "callwarden-base64", "callwarden-decimal", "callwarden-uuid"
"""Logical types for which `avro.py` registers readers; all others are read as the types below them."""

_FEWEST: Final = {
    "null": 0,
    "boolean": 1,
    "int": 1,
    "long": 1,
    "float": 4,
    "double": 8,
    "bytes": 1,
    "string": 1,
    "array": 1,
    "map": 1,
    "enum": 1,
}
_MOST_SCALE: Final = 100
_CONTENT: Final = 2  # bytes of JSON for a byte of a string or of bytes, at least
_WORDS: Final = re.compile(r"[\w.-]+")


class _Shape(NamedTuple):
    """A type without logical types; the fewest bytes of a value; its most bytes of JSON if it is empty."""

    type: Any
    fewest: int
    empty: int


@dataclass(frozen=True, slots=True)
class BoundedSchema:
    """``type`` is the schema for fastavro. A record of n bytes becomes at most ``empty`` + n x ``growth`` bytes."""

    type: Any
    empty: int
    growth: int


@dataclass
class _Walk:
    """One walk through a schema that fastavro has parsed: all names are full."""

    named: dict[str, Any]
    shapes: dict[str, _Shape] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    growth: int = _CONTENT

    def shape(self, given: Any, depth: int) -> _Shape:
        if depth > MAX_DEPTH:
            raise SchemaRefused(f"types are nested deeper than {MAX_DEPTH}")
        if isinstance(given, list):
            return self._union(given, depth)
        if isinstance(given, str):
            if given in _FEWEST:
                return self._leaf(given, {})
            return self._reference(given, depth)
        kind = given["type"]
        if not isinstance(kind, str) or (kind not in _FEWEST and kind not in ("record", "error", "fixed")):
            return self.shape(kind, depth + 1)  # a type within `type`, or a name there
        if kind in ("record", "error", "enum", "fixed"):
            return self._defined(given["name"], given, depth)
        if kind == "array":
            return self._items(given["items"], depth)
        if kind == "map":
            values = self._item(given["values"], depth, named=1)
            return _Shape({"type": "map", "values": values.type}, 1, VALUE_BYTES)
        return self._leaf(kind, given)

    def _union(self, branches: list[Any], depth: int) -> _Shape:
        shapes = [self.shape(branch, depth + 1) for branch in branches]
        if not shapes:
            raise SchemaRefused("a union has no types")
        return _Shape(
            [each.type for each in shapes], 1 + min(each.fewest for each in shapes), max(each.empty for each in shapes)
        )

    def _reference(self, name: str, depth: int) -> _Shape:
        known = self.shapes.get(name)
        if known is not None:
            return known._replace(type=name)
        if name in self.open:
            raise SchemaRefused(f"the type {_shown(name)} contains itself; recursive types are not supported")
        if name not in self.named:
            raise SchemaRefused(f"the type {_shown(name)} is unknown")
        return self.shape(self.named[name], depth)

    def _defined(self, name: str, given: Any, depth: int) -> _Shape:
        if given["type"] == "enum":
            longest = max((len(symbol) for symbol in given["symbols"]), default=0)
            _check_name("a symbol of an enum", longest)
            kept = {"type": "enum", "name": name, "symbols": given["symbols"]}
            shape = _Shape(kept, 1, VALUE_BYTES + longest)
        elif given["type"] == "fixed":
            shape = self._fixed(name, given)
        else:
            self.open.add(name)
            shape = self._record(name, given, depth)
            self.open.discard(name)
        self.shapes[name] = shape
        return shape

    def _record(self, name: str, given: Any, depth: int) -> _Shape:
        fields, fewest, empty = [], 0, VALUE_BYTES
        for each in given["fields"]:
            _check_name("the name of a field", len(each["name"]))
            shape = self.shape(each["type"], depth + 1)
            fields.append({"name": each["name"], "type": shape.type})
            fewest += shape.fewest
            empty += len(each["name"]) + shape.empty
        if empty > MAX_EMPTY_BYTES:  # also if types that are nested twice in one another multiply
            raise SchemaRefused(f"an empty record has {empty:,} bytes of JSON; expected at most {MAX_EMPTY_BYTES:,}")
        return _Shape({"type": "record", "name": name, "fields": fields}, fewest, empty)

    def _fixed(self, name: str, given: Any) -> _Shape:
        size = given["size"]
        if not isinstance(size, int) or not 0 < size <= MAX_EMPTY_BYTES:
            raise SchemaRefused(f"the type {_shown(name)} has {size} bytes; expected 1 to {MAX_EMPTY_BYTES:,}")
        kept = {"type": "fixed", "name": name, "size": size, **_bytes_type(given)}
        if given.get("logicalType") == "uuid" and size == 16:
            kept = {"type": "fixed", "name": name, "size": size, "logicalType": UUID}
        return _Shape(kept, size, VALUE_BYTES + _CONTENT * size)

    def _leaf(self, kind: str, given: Any) -> _Shape:
        kept: Any = {"type": "bytes", **_bytes_type(given)} if kind == "bytes" else kind
        return _Shape(kept, _FEWEST[kind], VALUE_BYTES)

    def _items(self, given: Any, depth: int) -> _Shape:
        items = self._item(given, depth, named=0)
        return _Shape({"type": "array", "items": items.type}, 1, VALUE_BYTES)

    def _item(self, given: Any, depth: int, named: int) -> _Shape:
        """The type of the items of an array, or of the values of a map, whose names take a byte each."""
        item = self.shape(given, depth + 1)
        fewest = item.fewest + named
        if fewest == 0:
            raise SchemaRefused("the items of an array take no bytes, so that a few bytes could be any number of them")
        self.growth = max(self.growth, -(-item.empty // fewest) + _CONTENT)
        return item


def bounded(parsed: Any, named: dict[str, Any]) -> BoundedSchema:
    """A schema that fastavro has parsed, ``named`` being the types of its references. Raises `SchemaRefused`."""
    walk = _Walk(named)
    root = walk.shape(parsed, 0)
    return BoundedSchema(root.type, root.empty, walk.growth)


def _bytes_type(given: Any) -> dict[str, Any]:
    """The attributes of bytes: base64, or a decimal with the digits after its point."""
    if given.get("logicalType") != "decimal":
        return {"logicalType": BASE64}
    scale = given.get("scale", 0)
    if not isinstance(scale, int) or not 0 <= scale <= _MOST_SCALE:
        raise SchemaRefused(f"a decimal has the scale {str(scale)[:20]}; expected 0 to {_MOST_SCALE}")
    return {"logicalType": DECIMAL, "scale": scale}


def _check_name(what: str, length: int) -> None:
    if length > MAX_NAME:
        raise SchemaRefused(f"{what} has {length:,} characters; expected at most {MAX_NAME}")


def _shown(name: str) -> str:
    """A name of a schema for a message."""
    return f"`{name[:100]}`" if _WORDS.fullmatch(name[:100]) else repr(name[:100])
