"""Avro values as JSON documents, by fastavro.

Logical types are left to the mapping: times stay whole numbers in the unit of their type. A decimal is a string with
all its digits, bytes are base64, an enum its symbol, a union the value itself, NaN and infinities are null.
"""

import io
from base64 import b64encode
from typing import Any, Final
from uuid import UUID

import fastavro
import fastavro.read
import orjson

from streams.ingest.registry import avro_schema
from streams.ingest.registry.avro_schema import BoundedSchema, bounded
from streams.ingest.registry.errors import MAX_DEPTH, SchemaRefused, Undecodable, check_size
from streams.ingest.registry.framing import PAYLOAD
from streams.ingest.registry.registered import RegisteredSchema

_MOST_DECIMAL_BYTES: Final = 64  # 154 digits; the time to convert more of them grows with their square


class AvroCodec:
    """Decodes the values of one schema. Raises `SchemaRefused` for one that is not used."""

    def __init__(self, registered: RegisteredSchema) -> None:
        try:
            schema = _bounded(registered)
            self._schema = fastavro.parse_schema(schema.type)
        except SchemaRefused:
            raise
        except Exception as error:  # noqa: BLE001 - the schema is a producer's: what it causes is its records'
            raise SchemaRefused(f"not an Avro schema: {_one_line(error)}") from None
        self._empty, self._growth = schema.empty, schema.growth

    def document(self, value: bytes) -> bytes:
        """The document of a value with its frame. Raises `Undecodable`."""
        check_size(len(value), self._empty + self._growth * (len(value) - PAYLOAD))
        stream = io.BytesIO(value)
        stream.seek(PAYLOAD)
        try:
            content = fastavro.schemaless_reader(stream, self._schema, None)
        except Exception as error:  # noqa: BLE001 - schema and value are the producer's: what it causes is its record's
            raise Undecodable(f"the value does not fit its Avro schema: {type(error).__name__}") from None
        rest = len(value) - stream.tell()
        if rest:
            raise Undecodable(f"the value has {rest:,} bytes more than its Avro schema says")
        return orjson.dumps(content)


def _bounded(registered: RegisteredSchema) -> BoundedSchema:
    named: dict[str, Any] = {}
    parsed: Any = None
    for text in (*registered.references.values(), registered.text):
        parsed = fastavro.parse_schema(_json(text), named_schemas=named, _write_hint=False)
    return bounded(parsed, named)


def _json(text: str) -> Any:
    """The schema as JSON; a name alone may lack its quotation marks."""
    try:
        schema = orjson.loads(text)
    except orjson.JSONDecodeError:
        if not text.strip().isalpha():
            raise
        schema = text.strip()
    _check_depth(schema, 0)
    return schema


def _check_depth(node: Any, depth: int) -> None:
    """fastavro's functions call themselves for each level, and nothing else limits them."""
    if depth > 4 * MAX_DEPTH:  # a type has up to four levels of JSON
        raise SchemaRefused(f"the JSON of the schema is nested deeper than {4 * MAX_DEPTH}")
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _check_depth(child, depth + 1)


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _base64(content: bytes, *_: object) -> str:
    return b64encode(content).decode("ascii")


def _uuid(content: bytes, *_: object) -> str:
    return str(UUID(bytes=bytes(content)))


def _decimal(content: bytes, schema: Any, *_: object) -> str:
    if len(content) > _MOST_DECIMAL_BYTES:
        raise ValueError(f"a decimal has {len(content):,} bytes; expected at most {_MOST_DECIMAL_BYTES}")
    unscaled, scale = int.from_bytes(content, "big", signed=True), schema["scale"]
    if not scale:
        return str(unscaled)
    digits = str(abs(unscaled)).rjust(scale + 1, "0")
    return f"{'-' if unscaled < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


# The way to teach fastavro a logical type; the names are ours alone.
fastavro.read.LOGICAL_READERS.update(
    {
        f"bytes-{avro_schema.BASE64}": _base64,
        f"fixed-{avro_schema.BASE64}": _base64,
        f"bytes-{avro_schema.DECIMAL}": _decimal,
        f"fixed-{avro_schema.DECIMAL}": _decimal,
        f"fixed-{avro_schema.UUID}": _uuid,
    }
)
