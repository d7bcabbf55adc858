""".proto text as a descriptor: what a registry sends that does not convert it (Apicurio 2), for producers in Java.

It reads what decides how values are decoded: messages, fields, enums, maps, oneofs, in proto2 and proto3. Options,
services, extensions and reserved names are skipped: none of them changes a value. Groups and editions are refused.
Names of types stay as they are written; Protobuf's library resolves them.
"""

import re
from typing import Final

from google.protobuf import descriptor_pb2

from streams.ingest.registry.errors import MAX_DEPTH, SchemaRefused

_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {
    "double": _FIELD.TYPE_DOUBLE,
    "float": _FIELD.TYPE_FLOAT,
    "bool": _FIELD.TYPE_BOOL,
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
    "uint32": _FIELD.TYPE_UINT32,
    "uint64": _FIELD.TYPE_UINT64,
    "sint32": _FIELD.TYPE_SINT32,
    "sint64": _FIELD.TYPE_SINT64,
    "fixed32": _FIELD.TYPE_FIXED32,
    "fixed64": _FIELD.TYPE_FIXED64,
    "sfixed32": _FIELD.TYPE_SFIXED32,
    "sfixed64": _FIELD.TYPE_SFIXED64,
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
}
_LABELS: Final = {
    "optional": _FIELD.LABEL_OPTIONAL,
    "required": _FIELD.LABEL_REQUIRED,
    "repeated": _FIELD.LABEL_REPEATED,
}
_TOKEN: Final = re.compile(
    r"\s+|//[^\n]*|/\*.*?\*/"
    r"|(?P<token>\.?[A-Za-z_][\w.]*|[-+]?[0-9][\w.+-]*|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|[{}\[\]()<>=;,:/.+-])",
    re.DOTALL | re.ASCII,
)
_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_TYPE: Final = re.compile(r"\.?[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_NUMBER: Final = re.compile(r"-?(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})")
_CLOSING: Final = {"{": "}", "[": "]", "(": ")", "<": ">"}


def parse(text: str) -> descriptor_pb2.FileDescriptorProto:
    """The descriptor of a file. Raises `SchemaRefused`."""
    return _Parser(text).file()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise SchemaRefused(f"not .proto text: the character {text[position]!r} at {position:,}")
            if match["token"] is not None:
                self._tokens.append(match["token"])
            position = match.end()
        self._at = 0
        self._proto3 = False

    def file(self) -> descriptor_pb2.FileDescriptorProto:
        file = descriptor_pb2.FileDescriptorProto()
        while self._at < len(self._tokens):
            word = self._next()
            if word == "syntax":
                self._expect("=")
                self._proto3 = self._string() == "proto3"
                file.syntax = "proto3" if self._proto3 else "proto2"
                self._expect(";")
            elif word == "package":
                file.package = self._matching(_TYPE, "a package")
                self._expect(";")
            elif word == "import":
                if self._peek() in ("public", "weak"):
                    self._next()
                file.dependency.append(self._string())
                self._expect(";")
            elif word == "message":
                self._message(file.message_type.add(), 1)
            elif word == "enum":
                self._enum(file.enum_type.add())
            elif word in ("option", "service", "extend"):
                self._skip_statement()
            elif word != ";":
                raise self._fault(f"`{word}`", "a message")
        return file

    def _message(self, message: descriptor_pb2.DescriptorProto, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise SchemaRefused(f"messages are defined within messages deeper than {MAX_DEPTH}")
        message.name = self._matching(_NAME, "a name")
        self._expect("{")
        alone: list[descriptor_pb2.FieldDescriptorProto] = []
        entries: list[descriptor_pb2.DescriptorProto] = []
        while (word := self._next()) != "}":
            if word == "message" and self._peek(1) == "{":
                self._message(message.nested_type.add(), depth + 1)
            elif word == "enum" and self._peek(1) == "{":
                self._enum(message.enum_type.add())
            elif word == "oneof" and self._peek(1) == "{":
                self._oneof(message)
            elif word == "map" and self._peek() == "<":
                entries.append(self._map(message))
            elif word in ("option", "reserved", "extensions", "extend"):
                self._skip_statement()
            elif word != ";":
                field = message.field.add(label=_FIELD.LABEL_OPTIONAL)
                if word in _LABELS and self._peek(1) != "=":
                    field.label = _LABELS[word]
                    if word == "optional" and self._proto3:
                        alone.append(field)
                    word = self._next()
                self._field(field, word)
        # Entries of maps do not count where a value says which message it has; `optional` in proto3 is a oneof of its
        # own, behind all others.
        message.nested_type.extend(entries)
        for field in alone:
            field.proto3_optional, field.oneof_index = True, len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field.name}")

    def _oneof(self, message: descriptor_pb2.DescriptorProto) -> None:
        index = len(message.oneof_decl)
        message.oneof_decl.add(name=self._matching(_NAME, "a name"))
        self._expect("{")
        while (word := self._next()) != "}":
            if word == "option":
                self._skip_statement()
            elif word != ";":
                self._field(message.field.add(label=_FIELD.LABEL_OPTIONAL, oneof_index=index), word)

    def _map(self, message: descriptor_pb2.DescriptorProto) -> descriptor_pb2.DescriptorProto:
        entry = descriptor_pb2.DescriptorProto()
        entry.options.map_entry = True
        self._expect("<")
        _set_type(entry.field.add(name="key", number=1, label=_FIELD.LABEL_OPTIONAL), self._matching(_TYPE, "a type"))
        self._expect(",")
        _set_type(entry.field.add(name="value", number=2, label=_FIELD.LABEL_OPTIONAL), self._matching(_TYPE, "a type"))
        self._expect(">")
        field = message.field.add(label=_FIELD.LABEL_REPEATED)
        self._named(field)
        entry.name = "".join(part[:1].upper() + part[1:] for part in field.name.split("_")) + "Entry"
        field.type, field.type_name = _FIELD.TYPE_MESSAGE, entry.name
        return entry

    def _field(self, field: descriptor_pb2.FieldDescriptorProto, kind: str) -> None:
        """A field from its type on, which has been read."""
        if kind == "group" and self._peek(1) == "=":
            raise SchemaRefused("groups are not supported")
        if not _TYPE.fullmatch(kind):
            raise self._fault(f"`{kind}`", "a type")
        _set_type(field, kind)
        self._named(field)

    def _named(self, field: descriptor_pb2.FieldDescriptorProto) -> None:
        """The name, the number and the options of a field."""
        field.name = self._matching(_NAME, "a name")
        self._expect("=")
        number = self._number()
        if not 0 < number < 1 << 29:
            raise self._fault(f"the number {number}", "a field's number")
        field.number = number
        if self._peek() == "[":
            self._skip_group(self._next())
        self._expect(";")

    def _enum(self, enum: descriptor_pb2.EnumDescriptorProto) -> None:
        enum.name = self._matching(_NAME, "a name")
        self._expect("{")
        numbers = set()
        while (word := self._next()) != "}":
            if word in ("option", "reserved") and self._peek() != "=":
                self._skip_statement()
            elif word != ";":
                if not _NAME.fullmatch(word):
                    raise self._fault(f"`{word}`", "a name")
                self._expect("=")
                number = self._number()
                if not -(1 << 31) <= number < 1 << 31:
                    raise self._fault(f"the number {number}", "a value's number")
                enum.value.add(name=word, number=number)
                if number in numbers:
                    enum.options.allow_alias = True
                numbers.add(number)
                if self._peek() == "[":
                    self._skip_group(self._next())
                self._expect(";")

    def _skip_statement(self) -> None:
        """Skip to the end of a statement, which is `;` or a block."""
        while (word := self._next()) != ";":
            if word in _CLOSING:
                self._skip_group(word)
                if word == "{" and self._peek() != ";":
                    return

    def _skip_group(self, opening: str) -> None:
        """Skip to the bracket that closes ``opening``, which has been read."""
        waiting = [_CLOSING[opening]]
        while waiting:
            word = self._next()
            if word == waiting[-1]:
                waiting.pop()
            elif word in _CLOSING:
                waiting.append(_CLOSING[word])

    def _peek(self, ahead: int = 0) -> str:
        return self._tokens[self._at + ahead] if self._at + ahead < len(self._tokens) else ""

    def _next(self) -> str:
        if self._at >= len(self._tokens):
            raise SchemaRefused("not .proto text: it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, token: str) -> None:
        found = self._next()
        if found != token:
            raise self._fault(f"`{found}`", f"`{token}`")

    def _matching(self, pattern: re.Pattern[str], what: str) -> str:
        found = self._next()
        if not pattern.fullmatch(found):
            raise self._fault(f"`{found}`", what)
        return found

    def _number(self) -> int:
        sign = 1
        if self._peek() == "-":
            self._next()
            sign = -1
        found = self._matching(_NUMBER, "a number")
        return sign * (int(found, 8) if re.fullmatch("0[0-7]+", found) else int(found, 0))

    def _string(self) -> str:
        found = self._next()
        if found[0] not in "\"'":
            raise self._fault(f"`{found}`", "a string")
        return found[1:-1]

    def _fault(self, found: str, expected: str) -> SchemaRefused:
        return SchemaRefused(f"not .proto text: {found[:60]}; expected {expected}")


def _set_type(field: descriptor_pb2.FieldDescriptorProto, kind: str) -> None:
    """A scalar, or the name of a message or an enum: the library finds out which."""
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type_name = kind
