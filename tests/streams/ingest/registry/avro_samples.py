"""Avro values in Confluent's frame: written by its own serialiser, or byte by byte."""

import json

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from streams.ingest.registry.registered import RegisteredSchema


def avro(schema, **references):
    return RegisteredSchema("AVRO", json.dumps(schema), {name: json.dumps(text) for name, text in references.items()})


def record(*fields, name="Cdr"):
    return {"type": "record", "name": name, "fields": [{"name": field, "type": kind} for field, kind in fields]}


def written(schema, content):
    """The value that Confluent's serialiser writes."""
    client = SchemaRegistryClient.new_client({"url": "mock://"})
    serializer = AvroSerializer(client, json.dumps(schema))
    return serializer(content, SerializationContext("their-cdrs", MessageField.VALUE))


def framed(payload, schema_id=1):
    return b"\0" + schema_id.to_bytes(4, "big") + payload


def long(number):
    number = (number << 1) ^ (number >> 63)
    digits = []
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])
