"""Protobuf values as JSON documents: Protobuf's own JSON mapping, with the names of fields as in the .proto file.

So 64-bit integers are strings, bytes are base64, an enum is its name, a Timestamp is RFC 3339 text. Fields without
presence are always there, fields with presence where they are set. The schema is a serialised FileDescriptorProto in
base64, which registries send for `format=serialized`; a registry that ignores that (Apicurio 2) sends what the
producer registered, which may be .proto text.
"""

import base64
import binascii
from typing import Any, Final

import orjson
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    json_format,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.message import DecodeError

from streams.ingest.registry import proto_text
from streams.ingest.registry.errors import MAX_DEPTH, MAX_DOCUMENT_BYTES, SchemaRefused, Undecodable, check_size
from streams.ingest.registry.framing import message_of
from streams.ingest.registry.protobuf_size import MessageSizes
from streams.ingest.registry.registered import RegisteredSchema

_MAIN: Final = "callwarden-registered.proto"
_KNOWN: Final = {
    module.DESCRIPTOR.name: module.DESCRIPTOR
    for module in (
        *(duration_pb2, empty_pb2, field_mask_pb2),
        *(struct_pb2, timestamp_pb2, wrappers_pb2),
    )
}
"""Files that each runtime of Protobuf brings; what a registry has under these names is not used. `any.proto` is not
among them: a value of type Any names its type itself.
"""


class ProtobufCodec:
    """Decodes the values of one schema. Raises `SchemaRefused` for one that is not used."""

    def __init__(self, registered: RegisteredSchema) -> None:
        self._pool = descriptor_pool.DescriptorPool()
        self._added: set[str] = set()
        references = {name: text for name, text in registered.references.items() if name not in _KNOWN}
        files = {name: _file(text, name) for name, text in {**references, _MAIN: registered.text}.items()}
        try:
            for name, file in files.items():
                self._add(name, file)
            self._file: FileDescriptor = self._pool.FindFileByName(_MAIN)
        except Exception as error:  # noqa: BLE001 - the schema is a producer's: what it causes is its records'
            raise SchemaRefused(f"not a Protobuf schema: {_one_line(error)}") from None
        self._messages: dict[tuple[int, ...], _Message] = {}

    def document(self, value: bytes) -> bytes:
        """The document of a value with its frame. Raises `Undecodable`."""
        indexes, begin = message_of(value)
        message = self._messages.get(indexes)
        if message is None:
            message = self._messages[indexes] = _Message(self._descriptor(indexes), self._pool)
        return message.document(value, begin)

    def _descriptor(self, indexes: tuple[int, ...]) -> Descriptor:
        """The message at these indexes."""
        within: Any = list(self._file.message_types_by_name.values())
        found: Descriptor | None = None
        for index in indexes:
            if not 0 <= index < len(within):
                raise Undecodable(f"the schema has no message at the indexes {list(indexes)}")
            found = within[index]
            within = found.nested_types
        assert found is not None
        return found

    def _add(self, name: str, file: descriptor_pb2.FileDescriptorProto) -> None:
        """Add a file after those that it imports."""
        for imported in file.dependency:
            if imported in _KNOWN and imported not in self._added:
                known = descriptor_pb2.FileDescriptorProto()
                _KNOWN[imported].CopyToProto(known)
                self._pool.Add(known)
                self._added.add(imported)
        # Others may define options only, which do not matter. If one defines a type of a field, that is not found.
        found = [imported for imported in file.dependency if imported in self._added]
        del file.dependency[:], file.public_dependency[:], file.weak_dependency[:]
        file.dependency.extend(found)
        if name not in self._added:
            self._pool.Add(file)
            self._added.add(name)


class _Message:
    """Decodes values of one message type."""

    def __init__(self, descriptor: Descriptor, pool: descriptor_pool.DescriptorPool) -> None:
        self._class, self._pool = message_factory.GetMessageClass(descriptor), pool
        self._sizes = MessageSizes(descriptor)

    def document(self, value: bytes, begin: int) -> bytes:
        payload = value[begin:]
        if self._sizes.most(len(payload)) > MAX_DOCUMENT_BYTES:
            check_size(len(value), self._sizes.estimate(payload))
        try:
            message = self._class.FromString(payload)
            content = json_format.MessageToDict(
                message,
                always_print_fields_with_no_presence=True,
                preserving_proto_field_name=True,
                descriptor_pool=self._pool,
            )
            return orjson.dumps(content)
        except Exception as error:  # noqa: BLE001 - schema and value are the producer's: what it causes is its record's
            # Without the message, which may show content.
            raise Undecodable(f"the value does not fit its Protobuf schema: {type(error).__name__}") from None


def _file(text: str, name: str) -> descriptor_pb2.FileDescriptorProto:
    try:
        raw = base64.b64decode(text, validate=True)
        file = descriptor_pb2.FileDescriptorProto.FromString(raw)
    except (binascii.Error, ValueError, DecodeError):
        file = proto_text.parse(text)
    if not file.message_type and name == _MAIN:
        raise SchemaRefused("the schema has no message")
    file.name = name
    del file.extension[:]
    for message in file.message_type:
        _without_extensions(message, 1)
    return file


def _without_extensions(message: descriptor_pb2.DescriptorProto, depth: int) -> None:
    """Remove what adds fields to other messages: options that say nothing about values, or fields without a limit."""
    if depth > MAX_DEPTH:
        raise SchemaRefused(f"messages are defined within messages deeper than {MAX_DEPTH}")
    del message.extension[:]
    for each in message.nested_type:
        _without_extensions(each, depth + 1)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
