""".proto text gives the descriptor that a compiler makes of it, as far as values depend on it."""

import json

import pytest
from protobuf_samples import framed, registered, varint

from streams.ingest.registry.errors import SchemaRefused, Undecodable
from streams.ingest.registry.proto_text import parse
from streams.ingest.registry.protobuf import ProtobufCodec
from streams.ingest.registry.registered import RegisteredSchema

TEXT = """
// A producer's file, with everything that is skipped.
syntax = "proto3";  /* a
comment */ package com.example;
import "google/protobuf/timestamp.proto";
import public "validate/validate.proto";
option java_package = "com.example";
option (custom).list = { a: 1, b: [ "}" ] };
service Calls { rpc Get (Call) returns (Call) { option (http) = { get: "/v1" }; } }
extend google.protobuf.FieldOptions { string note = 50000; }
enum Result {
  option allow_alias = true; RESULT_UNKNOWN = 0; RESULT_BUSY = 1 [deprecated = true]; RESULT_SAME = 0x1; LOW = -2;
}
message Call {
  reserved 2, 15, 9 to 11; reserved "foo", 'bar';
  string call_id = 1 [(validate.rules).string = {min_len: 1, pattern: "[]"}];
  google.protobuf.Timestamp start = 3;
  optional int64 duration_ms = 4;
  repeated Leg legs = 5;
  map<string, int32> counts = 6;
  map<int32, Leg> by_number = 07;
  oneof party { option (x) = true; string number = 8; .com.example.Call.Inner inner = 12; }
  Result result = 13; ;
  message Inner { int32 n = 1; enum Kind { NONE = 0; } Kind kind = 2; }
  repeated bool message = 14;
  Inner.Kind kind = 16;
}
message Leg { double optional = 1; float map = 2; sint32 enum = 3; }
"""


def codec(text, **references):
    return ProtobufCodec(RegisteredSchema("PROTOBUF", text, references))


def test_a_value_is_decoded_by_text_as_by_the_compiled_file():
    from google.protobuf import descriptor_pb2

    payload = b"".join(
        (
            *(b"\x0a\x03c-1", b"\x1a\x02\x08\x01", b"\x20\x05", b"\x2a\x02\x18\x03", b"\x32\x05\x0a\x01a\x10\x07"),
            *(b"\x3a\x02\x08\x09", b"\x62\x02\x08\x05", b"\x68\x01", b"\x72\x02\x01\x00"),
        )
    )
    expected = {
        "call_id": "c-1",
        "start": "1970-01-01T00:00:01Z",
        "duration_ms": "5",
        "result": "RESULT_BUSY",
        "legs": [{"optional": 0.0, "map": 0.0, "enum": -2}],
        "counts": {"a": 7},
        "message": [True, False],
        "by_number": {"9": {"optional": 0.0, "map": 0.0, "enum": 0}},
        "inner": {"n": 5, "kind": "NONE"},
        "kind": "NONE",
    }
    assert json.loads(codec(TEXT).document(framed(payload))) == expected
    assert json.loads(codec(TEXT).document(framed(b"\x08\x05", 0, 0))) == {"n": 5, "kind": "NONE"}
    with pytest.raises(Undecodable, match="no message"):  # an entry of a map has no index before those that are named
        codec(TEXT).document(framed(b"", 0, 3))
    again = descriptor_pb2.FileDescriptorProto.FromString(parse(TEXT).SerializeToString())
    assert json.loads(ProtobufCodec(registered(again)).document(framed(payload))) == expected


def test_presence_follows_the_syntax():
    proto3 = codec('syntax = "proto3"; message M { int32 a = 1; optional int32 b = 2; }')
    assert proto3.document(framed(b"")) == b'{"a":0}'
    assert codec("message M { optional int32 a = 1; repeated int32 b = 2; }").document(framed(b"")) == b'{"b":[]}'
    proto2 = codec('syntax = "proto2"; message M { required int32 a = 1 [default = 5]; }')
    assert proto2.document(framed(b"\x08\x01")) == b'{"a":1}'
    assert proto2.document(framed(b"")) == b"{}"


def test_references_are_read_as_text_too():
    party = 'syntax = "proto3"; package a.b; message Party { string n = 1; }'
    text = 'syntax = "proto3"; package a.c; import "party.proto"; message M { b.Party p = 1; }'
    assert codec(text, **{"party.proto": party}).document(framed(b"\x0a\x03\x0a\x01x")) == b'{"p":{"n":"x"}}'


REFUSED = [
    "",
    "message",
    "message M",
    "message M {",
    "message M { int32 a = 1 }",
    "message M { int32 a = 0; }",
    "message M { int32 a = 99999999999; }",
    "message M { int32 = 1; }",
    "message M { 7 a = 1; }",
    "message M { Nobody a = 1; }",
    "message M { int32 a = 1; int32 a = 2; }",
    "message M { int32 a = 1; int32 b = 1; }",
    "message M { repeated group G = 1 { int32 a = 2; } }",
    'edition = "2023"; message M { int32 a = 1; }',
    "message M { map<M, int32> a = 1; }",
    "enum E { A = 1; B }",
    "message M { option a = { ",
    'syntax = "proto3; message M { }',
    "message M { } \x00",
    "message M {" * 10_000,
    "message M { option a = " + "{" * 200_000,
    "/*" * 200_000,
    '"' + "\\" * 200_000,
    "message M { int32 " + "a" * 300 + " = 1; }",
]


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:40] or "empty")
def test_what_is_not_a_schema_is_refused(text):
    with pytest.raises((SchemaRefused, Undecodable)):
        codec(text).document(framed(b""))


def test_bounds_hold_for_text():
    wide = "".join(f"int64 f{n} = {n};" for n in range(1, 1_001))
    one = codec(f'syntax = "proto3"; message M {{ repeated W w = 1; }} message W {{ {wide} }}')
    with pytest.raises(Undecodable, match=r"^too_long"):
        one.document(framed(b"\x0a\x00" * 100_000 + b"\x0a" + varint(0)))
