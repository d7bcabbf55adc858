"""Reads a mapping file: checks every key and value, and reports every fault with its position and a suggestion."""

import codecs
from dataclasses import replace
from typing import Any, cast

import msgspec

from monitor.adapters.errors import MappingError, RowErrorCode
from monitor.adapters.mapping.paths import PathStep, parse_path
from monitor.adapters.mapping.read_field import const_problem, is_time, limits_of
from monitor.adapters.mapping.read_versions import VERSION_KEYS, VersionsReader
from monitor.adapters.mapping.settings import MappingSettings
from monitor.adapters.mapping.spec import (
    ROW,
    Arrival,
    Dialect,
    Events,
    Extract,
    Form,
    Mapping,
    RejectRule,
    Value,
    needs_fields,
)
from monitor.policy.file.errors import PolicyError, PolicyFault, did_you_mean
from monitor.policy.file.yaml_source import YamlPath, parse
from monitor.text.durations import parse_duration
from schemas import inputs

RECORDS: dict[str, type[Any]] = {
    "cdr": inputs.Cdr,
    "complaint": inputs.Complaint,
    "finding": inputs.Finding,
    "tenant": inputs.Tenant,
    "application": inputs.Application,
    "review": inputs.Review,
}
_DIALECT = ("delimiter", "quote", "header")
_DOCUMENT = ("rows", "form_field")
_TOP = ("mapping", "about", "settings", "format", "encoding", *_DIALECT, *_DOCUMENT, "decode", "zone", "record", "sort")
_KEYS = (*_TOP, "events", *VERSION_KEYS, "arrival", "optional", "precision", "extract", "reject", "fields")
_FORMS = ("csv", "json", "jsonl", "form")
_CODES = (RowErrorCode.EXCLUDED.value, RowErrorCode.INTERNAL_LEG.value)


def read_mapping(text: str, name: str, constants: dict[str, str] | None = None) -> Mapping:
    """The mapping in ``text``; ``name`` is the file's in faults. Raises `MappingError` with all faults.

    ``constants`` (field to text) replace the mapping's entries for these fields.
    """
    if not text.strip():
        raise MappingError([PolicyFault(name, 1, 1, "the file is empty; a mapping needs format, record and fields")])
    try:
        source = parse(text, name)
    except PolicyError as error:
        raise MappingError(replace(f, message=_of_a_mapping(f.message), message_zh="") for f in error.faults) from None
    reader = _Reader(YamlPath(source), constants or {})
    mapping = reader.mapping()
    if reader.faults or mapping is None:
        raise MappingError(reader.faults)
    return mapping


def _of_a_mapping(message: str) -> str:
    # The parser is the policy's, and so is its wording.
    return message.replace("a policy", "a mapping").replace("no policy", "no mapping")


def record_fields(record_type: type[Any]) -> dict[str, Any]:
    """Each field of a record with its type."""
    return {field.name: field.type for field in msgspec.structs.fields(record_type)}


def required_fields(record_type: type[Any]) -> frozenset[str]:
    """The required fields of a record."""
    return frozenset(field.name for field in msgspec.structs.fields(record_type) if field.required)


def _tenant_columns(fields: dict[str, Value], events: Events | None) -> frozenset[str]:
    columns = fields["tenant_id"].columns if "tenant_id" in fields else ()
    picks = events.picks if events is not None else {}
    return frozenset(picks[column].column if column in picks else column for column in columns)


class _Reader(VersionsReader):
    """Walks the data once; a part with a fault is omitted."""

    def __init__(self, top: YamlPath, constants: dict[str, str]) -> None:
        super().__init__()
        self.top = top
        self.constants = constants

    def mapping(self) -> Mapping | None:
        data, top = self.top.source.data, self.top
        if not isinstance(data, dict):
            self.wrong(top, "a mapping is keys with values: format, record, fields")
            return None
        self.known(data, top, _KEYS)
        settings = MappingSettings(self, data, top, self.constants)
        self.set_ = settings.values
        self.constants = {name: text for name, text in self.constants.items() if name not in self.set_}
        data = settings.applied(data)
        form = self.word(data, top, "format", _FORMS, "csv")
        record = self.word(data, top, "record", tuple(RECORDS), None)
        encoding = self.encoding(data, top, form)
        dialect = self.dialect(data, top, form)
        rows, field = self.document(data, top, form)
        self.paths = form in ("json", "jsonl")
        self.zone = self.zone_of(data, top)
        if record is None:
            return None
        record_type = RECORDS[record]
        for name in self.set_.keys() & record_fields(record_type).keys():
            fault = top.child("settings", name).key_fault(f"expected another name: `{name}` is a field of the record")
            self.faults.append(fault)
        events = self.events(data, top, record)
        extracts = self.extracts(data, top)
        fields = self.fields(data, top, record, record_type)
        event = "end_ms" if record == "cdr" else "updated_ms"
        if events is None and event in fields and needs_fields(fields[event]):
            self.wrong(top.child("fields", event), "the event time decides the order, so it cannot wait for a field")
        if events is not None and "tenant_id" in fields and needs_fields(fields["tenant_id"]):
            self.wrong(
                top.child("fields", "tenant_id"), "open calls are counted by tenant, so it cannot wait for a field"
            )
        arrival, rejections = self.arrival(data, top), self.rejections(data, top)
        versions = self.versions(data, top, record)
        optional = frozenset(self.texts(data, top, "optional"))
        named = dialect.header if isinstance(dialect.header, tuple) else ()
        for column in optional - {*self.marks, *named}:
            self.wrong(top.child("optional"), f"no field reads `{column}`{did_you_mean(column, self.marks)}")
        if isinstance(dialect.header, tuple):
            least = max((n + 1 for n, name in enumerate(dialect.header) if name not in optional), default=0)
            dialect = replace(dialect, least=least)
        return Mapping(
            name=self.text(data, top, "mapping", top.source.name),
            file=top.source.name,
            about=self.text(data, top, "about", ""),
            form=cast(Form, form),
            encoding=encoding,
            dialect=dialect,
            rows=rows,
            field=field,
            decode=self.decode(data, top),
            extracts=extracts,
            precision_ms=self.precision(data, top, record),
            record=record,
            record_type=record_type,
            required=required_fields(record_type),
            event=event,
            sort=self.flag(data, top, "sort", True),
            arrival=arrival,
            rejections=rejections,
            fields=fields,
            optional=optional,
            marks=self.marks,
            tenant_columns=_tenant_columns(fields, events),
            events=events,
            versions=versions,
        )

    def document(
        self, data: dict[str, Any], top: YamlPath, form: str | None
    ) -> tuple[tuple[tuple[PathStep, ...], ...], str]:
        """The paths of the rows in a document, and the form field that holds the document."""
        for key in _DOCUMENT:
            if key in data and form != "json" and not (key == "form_field" and form == "jsonl"):
                self.wrong(top.child(key), f"`{key}` is of a JSON document; write `format: json`, not {form}")
        paths = self.texts(data, top, "rows")
        rows = tuple(parse_path(path) for path in paths if self.path(path, top.child("rows")))
        return rows, self.text(data, top, "form_field", "")

    def precision(self, data: dict[str, Any], top: YamlPath, record: str) -> int:
        if "precision" not in data:
            return 0
        try:
            ms = parse_duration(self.text(data, top, "precision", ""))
        except ValueError as error:
            self.wrong(top.child("precision"), str(error))
            return 0
        if not 0 < ms <= 60_000 or record != "cdr":
            self.wrong(top.child("precision"), "expected how exact the times of a call are, 1s to 60s")
        return ms

    def extracts(self, data: dict[str, Any], top: YamlPath) -> tuple[Extract, ...]:
        found = []
        for place, value in self.items(data, top, "extract", "{column: NAME, pattern: PATTERN}"):
            self.known(value, place, ("column", "first", "of", "pattern"))
            if ("column" in value) == ("first" in value):
                self.wrong(place, "expected a `column`, or the `first` of several, one of the two")
                continue
            if "first" in value:
                columns = self.columns(value, place, "first")
            else:
                columns = (self.column(value["column"], place.child("column"), self.of_kinds(value, place)),)
            pattern = self.pattern(value, place, "pattern")
            if pattern is None or not pattern.groups:
                self.wrong(place.child("pattern"), "expected a `pattern` with named groups: (?P<cause>[0-9]+)")
                continue
            found.append(Extract(columns, pattern))
            for group in pattern.groups:
                if group in self.set_ or f"${group}" == ROW:
                    self.wrong(place.child("pattern"), f"expected another name for the group `{group}`: it is taken")
        # Behind the loop, so that no extract reads another one.
        self.derived |= {f"${group}" for extract in found for group in extract.pattern.groups}
        return tuple(found)

    def encoding(self, data: dict[str, Any], top: YamlPath, form: str | None) -> str:
        name = self.text(data, top, "encoding", "utf-8")
        try:
            transparent = "\n\r\t,;|\"'0a".encode(codecs.lookup(name).name) == b"\n\r\t,;|\"'0a"
        except (LookupError, ValueError, TypeError):
            self.wrong(top.child("encoding"), f"`{name}` is no encoding; write utf-8, gb18030, big5, cp1252 ...")
            return "utf-8"
        if not transparent:
            self.wrong(top.child("encoding"), f"rows cannot be separated in {name}; convert the file to utf-8 first")
        if form != "csv" and codecs.lookup(name).name != "utf-8":
            self.wrong(
                top.child("encoding"),
                "JSON and forms are UTF-8: take `encoding` out, or convert the file to utf-8 first",
            )
        return codecs.lookup(name).name

    def dialect(self, data: dict[str, Any], top: YamlPath, form: str | None) -> Dialect:
        if form != "csv":
            for key in _DIALECT:
                if key in data:
                    self.faults.append(
                        top.child(key).key_fault(f"`{key}` is for `format: csv`, not for {form}: take it out")
                    )
            return Dialect()
        delimiter = self.text(data, top, "delimiter", ",")
        delimiter = "\t" if delimiter == "tab" else delimiter
        if len(delimiter) != 1 or delimiter in "\r\n\"'" or ord(delimiter) > 126:
            self.wrong(top.child("delimiter"), 'a delimiter is one ASCII character, such as "," ";" "|" or tab')
            delimiter = ","
        quote = self.text(data, top, "quote", '"')
        quote = "" if quote == "none" else quote
        if len(quote) > 1 or (quote and (quote in "\r\n" or ord(quote) > 126 or quote == delimiter)):
            self.wrong(top.child("quote"), "a quote is one ASCII character other than the delimiter, or `none`")
            quote = ""
        header: bool | tuple[str, ...] = True
        if isinstance(data.get("header"), list):
            header = tuple(self.texts(data, top, "header"))
            for n, name in enumerate(header):
                if name in header[:n]:
                    self.wrong(top.child("header", n), f"a second column `{name}`: give each column its own name")
        else:
            header = self.flag(data, top, "header", True, "true, false, or the list of the columns' names")
        return Dialect(delimiter, quote, header)

    def arrival(self, data: dict[str, Any], top: YamlPath) -> Arrival | None:
        if "arrival" not in data:
            return None
        place, value = top.child("arrival"), data["arrival"]
        if not isinstance(value, dict):
            self.wrong(place, "`arrival` is {column: NAME, descending: true|false}")
            return None
        self.known(value, place, ("column", "descending"))
        column = self.column(value.get("column"), place.child("column"))
        return Arrival(column, self.flag(value, place, "descending", False)) if column else None

    def rejections(self, data: dict[str, Any], top: YamlPath) -> tuple[RejectRule, ...]:
        found = []
        for place, value in self.items(data, top, "reject", "{when: CONDITION, reason: TEXT}"):
            self.known(value, place, ("when", "reason", "code"))
            code = self.word(value, place, "code", _CODES, _CODES[0])
            reason = self.text(value, place, "reason", "")
            if not reason:
                self.wrong(place, "a `reject` needs a `reason`, which stands beside each such row")
            when = self.conditions(value, place, made=())
            if not when:
                self.wrong(place, "a `reject` needs `when`, or it would reject every row")
            found.append(RejectRule(when, reason, code or _CODES[0]))
        return tuple(found)

    def fields(self, data: dict[str, Any], top: YamlPath, record: str, record_type: type[Any]) -> dict[str, Value]:
        place, given = top.child("fields"), data.get("fields")
        types = record_fields(record_type)
        if not isinstance(given, dict):
            self.wrong(place if "fields" in data else top, "`fields` is missing; it gives each field of the record")
            given = {}
        fields: dict[str, Value] = {}
        for name, value in given.items():
            if name not in types:
                message = f"a {record} has no field `{name}`{did_you_mean(name, types)}"
                self.faults.append(place.child(name).key_fault(message))
            elif name not in self.constants:
                made = self.field(name, value, place.child(name), types[name], tuple(given))
                if made is not None:
                    fields[name] = made
                if name == "tenant_id":
                    self.tenant(value, place.child(name))
        for name, text in self.constants.items():
            if name not in types:
                self.faults.append(
                    PolicyFault(
                        f"{top.source.name} --set", 1, 1, f"a {record} has no field `{name}`{did_you_mean(name, types)}"
                    )
                )
                continue
            problem = const_problem(name, text, types[name])
            if problem:
                self.faults.append(PolicyFault(f"{top.source.name} --set", 1, 1, f"{name}={text}: {problem}"))
            time = ("epoch_ms",) if is_time(name) else ()
            fields[name] = Value("const", const=text, time=time, integer=None if time else limits_of(types[name]))
        missing = required_fields(record_type) - set(given) - set(self.constants)
        if missing:
            names = ", ".join(f"`{name}`" for name in sorted(missing))
            hint = "; a file of one tenant: --set tenant_id=NAME" if "tenant_id" in missing else ""
            self.faults.append(place.key_fault(f"a {record} cannot be without {names}: say where it comes from{hint}"))
        return fields

    def tenant(self, value: Any, place: YamlPath) -> None:
        """A tenant that the file does not name would collect the calls of others."""
        right = "expected the tenant of each record, from a column; for a file of one tenant give --set tenant_id=NAME"
        if isinstance(value, dict):
            for key in ("const", "default"):
                if key in value:
                    self.wrong(place.child(key), f"{right}, got the constant `{value[key]}`")
            for n, case in enumerate(value["cases"] if isinstance(value.get("cases"), list) else ()):
                self.tenant(case, place.child("cases", n))
