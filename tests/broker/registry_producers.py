"""Producers of calls in Avro and Protobuf, with Confluent's serialisers, and their schemas."""

import json
from collections.abc import Iterable
from typing import Any, Final

from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

from streams.ingest.registry.decoder import RegistryEncoding

Call = dict[str, Any]

AVRO: Final[dict[str, Any]] = {
    "type": "record",
    "name": "Call",
    "namespace": "com.example.calls",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "tenant", "type": "string"},
        {"name": "party", "type": "com.example.calls.Party"},
        {"name": "start", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "answer", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}], "default": None},
        {"name": "end", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "result", "type": {"type": "enum", "name": "Result", "symbols": ["ANSWERED", "BUSY", "NO_ANSWER"]}},
    ],
}
PARTY: Final = {
    "type": "record",
    "name": "Party",
    "namespace": "com.example.calls",
    "fields": [{"name": "caller", "type": "string"}, {"name": "callee", "type": "string"}],
}
MAPPING: Final = """\
format: json
record: cdr
fields:
  call_id: {column: id}
  tenant_id: {column: tenant}
  direction: {const: outbound}
  caller: {column: party.caller}
  callee: {column: party.callee}
  start_ms: {column: start, time: TIME}
  answer_ms: {column: answer, time: TIME}
  end_ms: {column: end, time: TIME}
  outcome: {column: result, table: {ANSWERED: answered, BUSY: busy, NO_ANSWER: no_answer}, otherwise: reject}
"""


def call(number: int, base_ms: int, name: str = "c") -> Call:
    """A call, as a document in JSON would have it."""
    answered = number % 3 == 0
    start_ms = base_ms + 1_000 * number
    return {
        "id": f"{name}-{number}",
        "tenant": f"acme-{number % 5}",
        "party": {"caller": "+861058000001", "callee": f"+86138{number:08}"},
        "start": start_ms,
        "answer": start_ms + 5_123 if answered else None,
        "end": start_ms + 30_456,
        "result": "ANSWERED" if answered else ("BUSY", "NO_ANSWER")[number % 2],
    }


class AvroProducer:
    """Its schema refers to another one, which it registers first."""

    schema = AVRO

    def __init__(self, client: SchemaRegistryClient, topic: str) -> None:
        client.register_schema("com.example.calls.Party", Schema(json.dumps(PARTY), "AVRO"))
        party = SchemaReference("com.example.calls.Party", "com.example.calls.Party", 1)
        schema = Schema(json.dumps(self.schema), "AVRO", [party])
        self._serializer = AvroSerializer(client, schema)
        self._context = SerializationContext(topic, MessageField.VALUE)

    def value(self, one: Call) -> bytes:
        value: bytes | None = self._serializer(one, self._context)
        assert value is not None
        return value


class NewAvroProducer(AvroProducer):
    """The next version of that producer: its schema has one field more."""

    schema = AVRO | {"fields": [*AVRO["fields"], {"name": "note", "type": "string", "default": ""}]}


class ProtobufProducer:
    """Its schema imports another file, and a file of Protobuf itself."""

    def __init__(self, client: SchemaRegistryClient, topic: str) -> None:
        pool = descriptor_pool.DescriptorPool()
        for file in protobuf_files():
            pool.Add(file)
        self._class: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName("example.Call"))
        self._serializer = ProtobufSerializer(self._class, client)
        self._context = SerializationContext(topic, MessageField.VALUE)

    def value(self, one: Call) -> bytes:
        message = self._class(id=one["id"], tenant=one["tenant"], party=one["party"], result=one["result"])
        for name in ("start", "answer", "end"):
            if one[name] is not None:
                getattr(message, name).FromMilliseconds(one[name])
        value: bytes = self._serializer(message, self._context)
        return value


def protobuf_files() -> list[descriptor_pb2.FileDescriptorProto]:
    """What a compiler makes of the producer's .proto files, those that are imported first."""
    field = descriptor_pb2.FieldDescriptorProto
    stamp = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(stamp)
    party = descriptor_pb2.FileDescriptorProto(name="example/party.proto", package="example", syntax="proto3")
    message = party.message_type.add(name="Party")
    for number, name in enumerate(("caller", "callee"), 1):
        message.field.add(name=name, number=number, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    calls = descriptor_pb2.FileDescriptorProto(
        name="example/call.proto",
        package="example",
        syntax="proto3",
        dependency=["google/protobuf/timestamp.proto", "example/party.proto"],
    )
    result = calls.enum_type.add(name="Result")
    for number, name in enumerate(("UNKNOWN", "ANSWERED", "BUSY", "NO_ANSWER")):
        result.value.add(name=name, number=number)
    message = calls.message_type.add(name="Call")
    kinds = {
        **dict.fromkeys(("id", "tenant"), (field.TYPE_STRING, "")),
        "party": (field.TYPE_MESSAGE, ".example.Party"),
        **dict.fromkeys(("start", "answer", "end"), (field.TYPE_MESSAGE, ".google.protobuf.Timestamp")),
        "result": (field.TYPE_ENUM, ".example.Result"),
    }
    for number, (name, (kind, of)) in enumerate(kinds.items(), 1):
        message.field.add(name=name, number=number, type=kind, type_name=of or None, label=field.LABEL_OPTIONAL)
    return [stamp, party, calls]


Producer = type[AvroProducer] | type[ProtobufProducer]
PRODUCERS: Final[dict[RegistryEncoding, Producer]] = {"avro": AvroProducer, "protobuf": ProtobufProducer}


def values(url: str, producer: Producer, topic: str, calls: Iterable[Call]) -> list[bytes]:
    """The values of calls, whose schemas are registered first."""
    with SchemaRegistryClient({"url": url}) as client:
        made = producer(client, topic)
        return [made.value(each) for each in calls]


PARTY_TEXT: Final = 'syntax = "proto3"; package example; message Party { string caller = 1; string callee = 2; }'
CALL_TEXT: Final = """
syntax = "proto3";
package example;
import "google/protobuf/timestamp.proto";
import "example/party.proto";
enum Result { UNKNOWN = 0; ANSWERED = 1; BUSY = 2; NO_ANSWER = 3; }
message Call {
  string id = 1;
  string tenant = 2;
  Party party = 3;
  google.protobuf.Timestamp start = 4;
  google.protobuf.Timestamp answer = 5;
  google.protobuf.Timestamp end = 6;
  Result result = 7;
}
"""


def registered_as_text(url: str, value: bytes) -> bytes:
    """A Protobuf value under the id of its schema as text, which Confluent's serialiser for Java registers."""
    with SchemaRegistryClient({"url": url}) as client:
        client.register_schema("example/party.proto", Schema(PARTY_TEXT, "PROTOBUF"))
        version = client.get_latest_version("example/party.proto").version
        party = SchemaReference("example/party.proto", "example/party.proto", version)
        number: int = client.register_schema("text-calls-value", Schema(CALL_TEXT, "PROTOBUF", [party]))
    return b"\0" + number.to_bytes(4, "big") + value[5:]
