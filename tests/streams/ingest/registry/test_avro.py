"""Avro values become the documents that a mapping reads, exactly; no schema and no value costs more than its limit."""

import json
import tracemalloc
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from avro_samples import avro, framed, long, record, written

from streams.ingest.registry.avro import AvroCodec
from streams.ingest.registry.errors import MAX_DOCUMENT_BYTES, SchemaRefused, Undecodable
from streams.ingest.registry.registered import RegisteredSchema

COST = "-1234567890123456.0701"
LEGS = [{"n": 1}, {"n": -2}]


def logical(kind, of, **more):
    return {"type": kind, "logicalType": of, **more}


def document(schema, content):
    return json.loads(AvroCodec(avro(schema)).document(written(schema, content)))


def test_logical_types_become_what_a_mapping_reads():
    at = datetime(2026, 3, 2, 8, 0, 0, 123456, tzinfo=UTC)
    fields = {
        "ms": (logical("long", "timestamp-millis"), at, 1772438400123),
        "us": (logical("long", "timestamp-micros"), at, 1772438400123456),
        "day": (logical("int", "date"), date(2026, 3, 2), 20514),
        "cost": (logical("bytes", "decimal", precision=20, scale=4), Decimal(COST), COST),
        "cent": (logical("bytes", "decimal", precision=4, scale=2), Decimal("-0.05"), "-0.05"),
        "whole": (logical("bytes", "decimal", precision=4), Decimal("17"), "17"),
        "id": (logical("string", "uuid"), UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        "raw": ("bytes", b"\xff\x00", "/wA="),
        "mac": ({"type": "fixed", "name": "Mac", "size": 3}, b"abc", "YWJj"),
        "outcome": ({"type": "enum", "name": "Outcome", "symbols": ["ANSWERED", "BUSY"]}, "BUSY", "BUSY"),
        "reason": (["null", "string"], None, None),
        "cause": (["null", "string"], "busy", "busy"),
        "tags": ({"type": "map", "values": "long"}, {"a": 1}, {"a": 1}),
        "legs": ({"type": "array", "items": record(("n", "int"), name="Leg")}, LEGS, LEGS),
        "big": ("long", 2**63 - 1, 2**63 - 1),
        "mos": ("double", 4.1, 4.1),
        "nan": ("double", float("nan"), None),
    }
    schema = record(*((name, kind) for name, (kind, _, _) in fields.items()))
    given = {name: content for name, (_, content, _) in fields.items()}
    assert document(schema, given) == {name: expected for name, (_, _, expected) in fields.items()}


def test_a_uuid_of_16_bytes_is_text():
    codec = AvroCodec(avro(logical("fixed", "uuid", name="Id", size=16)))
    assert codec.document(framed(bytes(15) + b"\7")) == b'"00000000-0000-0000-0000-000000000007"'


def test_a_type_of_a_reference_is_known_in_its_name_space():
    party = {**record(("number", "string"), name="Party"), "namespace": "acme.types"}
    schema = record(("caller", "acme.types.Party"), ("callee", ["null", "acme.types.Party"]))
    codec = AvroCodec(avro(schema, party=party))
    expected = {"caller": {"number": "a"}, "callee": {"number": "b"}}
    assert json.loads(codec.document(framed(b"\x02a\x02\x02b"))) == expected


@pytest.mark.parametrize(
    ("schema", "payload"),
    [
        ("string", long(1 << 60)),
        ("string", long(-5) + b"abc"),
        ("string", long(2) + b"\xc3\x28"),
        ("long", b"\xff" * 1_000),
        ("long", b"\x02\x00"),
        (["null", "long"], long(7)),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, long(3)),
        ({"type": "array", "items": "boolean"}, long(-(1 << 62)) + long(3) + b"\1\0\1"),
        ({"type": "map", "values": "null"}, long(1 << 60)),
        (logical("bytes", "decimal", precision=2_000_000, scale=2), long(900_000) + b"\x7f" * 900_000),
    ],
    ids=lambda given: str(given)[:30],
)
def test_a_value_that_is_no_value_of_its_schema_is_refused_at_once(schema, payload):
    codec = AvroCodec(avro(schema))
    with pytest.raises(Undecodable, match=r"^unreadable: the value (does not fit|has 1 bytes more)"):
        codec.document(framed(payload))


def nested(depth, leaf="int"):
    for n in range(depth):
        leaf = record(("n", leaf), name=f"R{n}")
    return leaf


def doubling(times):
    """A record of two records of two records: a few names become millions of fields."""
    inner = {**record(("x", "null"), name="R0")}
    for n in range(1, times):
        inner = record(("a", inner), ("b", f"R{n - 1}"), name=f"R{n}")
    return inner


REFUSED = {
    "items without bytes": {"type": "array", "items": "null"},
    "items that are empty records": {"type": "array", "items": record(name="Empty")},
    "items with fields without bytes": {"type": "array", "items": record(("a", "null"), ("b", record(name="E")))},
    "a list that contains itself": record(("next", ["null", "Cdr"])),
    "a circle of two": record(("b", record(("a", ["null", "Cdr"]), name="B"))),
    "deep": nested(60),
    "deep json": json.loads("[" * 900 + '"int"' + "]" * 900),
    "doubling": doubling(30),
    "a long name": record(("x" * 257, "int")),
    "a long symbol": {"type": "enum", "name": "E", "symbols": ["A" * 257]},
    "a large fixed": {"type": "fixed", "name": "F", "size": 1 << 40},
    "a fixed of nothing": {"type": "fixed", "name": "F", "size": 0},
    "a scale": logical("bytes", "decimal", precision=4, scale=10**9),
    "an unknown type": record(("a", "Nobody")),
    "no type": {"name": "x"},
    "a number": 7,
    "an empty union": [],
}


@pytest.mark.parametrize("schema", REFUSED.values(), ids=REFUSED.keys())
def test_a_schema_that_few_bytes_could_blow_up_is_refused(schema):
    with pytest.raises(SchemaRefused):
        AvroCodec(avro(schema))


def test_text_that_is_no_schema_is_refused():
    for text in ("", "{", "[" * 100_000, 'syntax = "proto3";'):
        with pytest.raises(SchemaRefused):
            AvroCodec(RegisteredSchema("AVRO", text))


def test_items_that_grow_are_bounded_before_they_are_decoded():
    wide = record(*((f"f{n:03}", "null") for n in range(200)), ("last", "boolean"), name="Wide")
    codec = AvroCodec(avro({"type": "array", "items": wide}))
    assert json.loads(codec.document(framed(long(1) + b"\1" + b"\0")))[0]["last"] is True
    bomb = framed(long(900_000) + bytes(900_000) + b"\0")
    tracemalloc.start()
    with pytest.raises(Undecodable, match=rf"^too_long: .* expected at most {MAX_DOCUMENT_BYTES:,}"):
        codec.document(bomb)
    assert tracemalloc.get_traced_memory()[1] < 4 * len(bomb)
    tracemalloc.stop()


def test_a_large_honest_record_is_not_too_large():
    leg = record(*((f"field_{n}", ["null", "string"]) for n in range(20)), name="Leg")
    schema = record(("sdp", "string"), ("legs", {"type": "array", "items": leg}))
    legs = [{f"field_{n}": "x" * 20 for n in range(20)} for _ in range(100)]
    given = {"sdp": "v=0 " * 25_000, "legs": legs}
    assert document(schema, given) == given
