"""Protobuf values become the documents that a mapping reads; no schema and no value costs more than its limit."""

import json
import tracemalloc

import pytest
from google.protobuf import descriptor_pb2
from protobuf_samples import add_field, file, framed, message_class, registered, text, varint, written

from streams.ingest.registry.errors import MAX_DOCUMENT_BYTES, SchemaRefused, Undecodable
from streams.ingest.registry.protobuf import ProtobufCodec
from streams.ingest.registry.registered import RegisteredSchema

STAMP = "google/protobuf/timestamp.proto"


def cdr_file():
    made = file(
        imports=[STAMP],
        Cdr={
            "call_id": "string",
            "start_time": ".google.protobuf.Timestamp",
            "duration_ms": "int64",
            "outcome": "enum.acme.Outcome",
            "raw": "bytes",
            "legs": "repeated .acme.Leg",
            "mos": "double",
            "answered": "bool",
            "causes": "repeated int32",
            "late_time": ".google.protobuf.Timestamp",
        },
        Leg={"displayName": "string", "n": "int32"},
    )
    outcome = made.enum_type.add(name="Outcome")
    outcome.value.add(name="OUTCOME_UNKNOWN", number=0)
    outcome.value.add(name="OUTCOME_BUSY", number=1)
    return made


def test_fields_have_the_names_of_the_file_and_those_without_presence_are_always_there():
    made = cdr_file()
    message = message_class(made)(call_id="c-1", duration_ms=2**53 + 1, outcome=1, raw=b"\xff\0", causes=[16, -1])
    message.start_time.FromJsonString("2026-03-02T08:00:00.123Z")
    message.legs.add(displayName="a")
    assert json.loads(ProtobufCodec(registered(made)).document(written(message))) == {
        "call_id": "c-1",
        "start_time": "2026-03-02T08:00:00.123Z",
        "duration_ms": "9007199254740993",
        "outcome": "OUTCOME_BUSY",
        "raw": "/wA=",
        "legs": [{"displayName": "a", "n": 0}],
        "mos": 0.0,
        "answered": False,
        "causes": [16, -1],
    }


def test_the_indexes_choose_a_message_inside_others():
    made = file(Other={"x": "int32"}, Cdr={"call_id": "string"})
    inner = made.message_type[1].nested_type.add(name="Inner")
    add_field(inner, "y", 1, "int32")
    codec = ProtobufCodec(registered(made))
    assert codec.document(framed(b"\x08\x05")) == b'{"x":5}'
    assert codec.document(framed(b"\x0a\x01c", 1)) == b'{"call_id":"c"}'
    assert codec.document(framed(b"\x08\x07", 1, 0)) == b'{"y":7}'
    for indexes in ((2,), (0, 0), (1, 0, 0), (1, 1)):
        with pytest.raises(Undecodable, match="no message at the indexes"):
            codec.document(framed(b"", *indexes))
    for frame in (b"", b"\x02", b"\x01\x00", b"\xff\xff\xff\xff\xff\x01", varint(2 * 10**6), b"\x02\x01"):
        with pytest.raises(Undecodable, match=r"^unreadable: .*(index|message)"):
            codec.document(b"\0\0\0\0\1" + frame)


def test_a_type_of_a_reference_is_known():
    party = file("party.proto", Party={"number": "string"})
    made = file(imports=["party.proto"], Cdr={"caller": ".acme.Party"})
    codec = ProtobufCodec(registered(made, party=party))
    assert codec.document(framed(b"\x0a\x03\x0a\x011")) == b'{"caller":{"number":"1"}}'


def test_options_of_the_file_do_not_matter_and_add_no_fields():
    made = file(Cdr={"call_id": "string"})
    made.syntax = "proto2"
    made.message_type[0].extension_range.add(start=100, end=200)
    for extension in (made.extension.add(), made.message_type[0].extension.add()):
        extension.name, extension.number, extension.extendee = (
            f"x{len(made.message_type[0].extension)}",
            100,
            ".acme.Cdr",
        )
        extension.type, extension.label = 9, 1
    codec = ProtobufCodec(registered(made))
    assert codec.document(framed(b"\x0a\x01c\xa2\x06\x01x")) == b'{"call_id":"c"}'


@pytest.mark.parametrize(
    "payload",
    [b"\x0a\x05c", b"\x0a\x02\xc3\x28", b"\xff" * 20, b"\x12\x0a\x08" + b"\x80" * 8 + b"\x40", b"\x07", b"\x0b"],
    ids=["cut", "not utf-8", "no tag", "a time of the year 10,000", "wire type", "open group"],
)
def test_a_value_that_is_no_value_of_its_schema_is_refused(payload):
    codec = ProtobufCodec(registered(cdr_file()))
    with pytest.raises(Undecodable, match=r"^unreadable: the value does not fit its Protobuf schema"):
        codec.document(framed(payload))


def deep_file():
    made = file(Cdr={})
    inner = made.message_type[0]
    for _ in range(60):
        inner = inner.nested_type.add(name="Cdr")
    return made


REFUSED = {
    "no schema": RegisteredSchema("PROTOBUF", '{"type": "string"}'),
    "nothing in base64": RegisteredSchema("PROTOBUF", "//8="),
    "an unknown type": registered(file(Cdr={"x": ".acme.Nobody"})),
    "a type of an import that is not there": registered(file(imports=["nobody.proto"], Cdr={"x": ".nobody.X"})),
    "deep": registered(deep_file()),
}


@pytest.mark.parametrize("schema", REFUSED.values(), ids=REFUSED.keys())
def test_a_schema_that_is_not_used_is_refused_with_a_reason(schema):
    with pytest.raises(SchemaRefused):
        ProtobufCodec(schema)


@pytest.mark.parametrize(
    "made",
    [
        file(Cdr={f"f{n}_{'x' * 240}": "int64" for n in range(1_500)}),
        file(Cdr={"x" * 257: "int64"}),
        file("any", Cdr={"a": "repeated .acme.Any"}, Any={"x": "int32"}),
    ],
    ids=["a wide message", "a long name", "any"],
)
def test_a_message_type_with_too_much_in_it_is_refused(made):
    if made.name == "any":
        made.package = "google.protobuf"
        made.message_type[0].field[0].type_name = ".google.protobuf.Any"
    codec = ProtobufCodec(registered(made))
    with pytest.raises(SchemaRefused):
        codec.document(framed(b""))


def wide_file():
    made = file(Cdr={"legs": "repeated .acme.Leg", "flags": "repeated bool", "next": ".acme.Cdr", "sdp": "string"})
    leg = made.message_type.add(name="Leg")
    for number in range(1, 501):
        add_field(leg, f"f{number}", number, "int64")
    return made


BOMBS = {
    "messages of two bytes": b"\x0a\x00" * 400_000,
    "flags of one byte": b"\x12" + varint(900_000) + bytes(900_000),
    "messages within a message": b"\x1a" + varint(800_000) + b"\x0a\x00" * 400_000,
    "messages before what is not valid": b"\x1a" + varint(800_000) + b"\x0a\x00" * 400_000 + b"\x1a\x02\x0a\x09",
}


@pytest.mark.parametrize("payload", BOMBS.values(), ids=BOMBS.keys())
def test_messages_that_grow_are_bounded_before_they_are_parsed(payload):
    codec = ProtobufCodec(registered(wide_file()))
    codec.document(framed(b""))
    tracemalloc.start()
    with pytest.raises(Undecodable, match=rf"^too_long: .* expected at most {MAX_DOCUMENT_BYTES:,}"):
        codec.document(framed(payload))
    assert tracemalloc.get_traced_memory()[1] < 4 * len(payload)
    tracemalloc.stop()


def test_messages_that_contain_themselves_are_bounded_too():
    codec = ProtobufCodec(registered(wide_file()))
    for depth, raises in ((50, False), (20_000, True)):
        payload = b""
        for _ in range(depth):
            payload = b"\x1a" + varint(len(payload)) + payload
        if raises:
            with pytest.raises(Undecodable):
                codec.document(framed(payload))
        else:
            assert b"next" in codec.document(framed(payload))


def test_a_large_honest_record_is_not_too_large():
    made = wide_file()
    sdp = "v=0 " * 100_000
    message = message_class(made)(sdp=sdp)
    for _ in range(100):
        message.legs.add(f1=7, f500=-1)
    document = json.loads(ProtobufCodec(registered(made)).document(written(message)))
    assert document["sdp"] == sdp
    assert [leg["f500"] for leg in document["legs"]] == ["-1"] * 100


def test_a_file_of_protobuf_itself_is_not_taken_from_the_registry():
    fake = descriptor_pb2.FileDescriptorProto(name=STAMP, package="google.protobuf", syntax="proto3")
    fake.message_type.add(name="Timestamp")
    made = cdr_file()
    schema = RegisteredSchema("PROTOBUF", text(made), {STAMP: text(fake)})
    document = json.loads(ProtobufCodec(schema).document(framed(b"\x12\x02\x08\x01")))
    assert document["start_time"] == "1970-01-01T00:00:01Z"
