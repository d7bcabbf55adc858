"""Protobuf files made in place of a compiler, and values in Confluent's frame, written by its own serialiser."""

import base64

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

from streams.ingest.registry.registered import RegisteredSchema

Field = descriptor_pb2.FieldDescriptorProto
KINDS = {
    "double": Field.TYPE_DOUBLE,
    "int64": Field.TYPE_INT64,
    "int32": Field.TYPE_INT32,
    "bool": Field.TYPE_BOOL,
    "string": Field.TYPE_STRING,
    "bytes": Field.TYPE_BYTES,
    "uint64": Field.TYPE_UINT64,
}


def file(name="cdr.proto", imports=(), **messages):
    """A file in proto3: each message has fields `name=kind`; kinds are scalars, `.message.types`, `repeated KIND`."""
    made = descriptor_pb2.FileDescriptorProto(name=name, package="acme", syntax="proto3", dependency=list(imports))
    for message, fields in messages.items():
        into = made.message_type.add(name=message)
        for number, (field, kind) in enumerate(fields.items(), 1):
            add_field(into, field, number, kind)
    return made


def add_field(message, name, number, kind):
    repeated, _, plain = kind.rpartition(" ")
    field = message.field.add(
        name=name, number=number, label=Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
    )
    if plain.startswith("enum."):
        field.type, field.type_name = Field.TYPE_ENUM, plain.removeprefix("enum")
    elif plain.startswith("."):
        field.type, field.type_name = Field.TYPE_MESSAGE, plain
    else:
        field.type = KINDS[plain]
    return field


def registered(made, **references):
    """As a registry sends it for `format=serialized`."""
    return RegisteredSchema("PROTOBUF", text(made), {each.name: text(each) for each in references.values()})


def text(made):
    return base64.b64encode(made.SerializeToString()).decode()


def message_class(made, name="Cdr", others=()):
    pool = descriptor_pool.DescriptorPool()
    stamp = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(stamp)
    for each in (stamp, *others, made):
        pool.Add(each)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"acme.{name}"))


def written(message):
    """The value that Confluent's serialiser writes."""
    client = SchemaRegistryClient.new_client({"url": "mock://"})
    serializer = ProtobufSerializer(type(message), client)
    return serializer(message, SerializationContext("their-cdrs", MessageField.VALUE))


def framed(payload, *indexes):
    return (
        b"\0\0\0\0\1" + (bytes([2 * len(indexes), *(2 * index for index in indexes)]) if indexes else b"\0") + payload
    )


def varint(number):
    digits = []
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])
