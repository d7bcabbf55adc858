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
    tested_fields,
)
from monitor.adapters.mapping_wording import NO_HINT, listed, mapping_text
from monitor.policy.file.errors import PolicyError, PolicyFault, near_miss
from monitor.policy.file.yaml_source import YamlPath, YamlSource, parse
from monitor.text.bilingual import BilingualError
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
    return mapping_of(parse_mapping(text, name), constants)


def parse_mapping(text: str, name: str) -> YamlSource:
    """The data in ``text``, a mapping file's. Raises `MappingError` if it is not YAML, or has none."""
    if not text.strip():
        raise MappingError([PolicyFault.worded(name, 1, 1, mapping_text("empty"))])
    try:
        return parse(text, name)
    except PolicyError as error:
        raise MappingError(map(_of_a_mapping, error.faults)) from None


def mapping_of(source: YamlSource, constants: dict[str, str] | None = None) -> Mapping:
    """The mapping in the data of a file, which it leaves as they are. Otherwise as `read_mapping`."""
    reader = _Reader(YamlPath(source), constants or {})
    mapping = reader.mapping()
    if reader.faults or mapping is None:
        raise MappingError(reader.faults)
    return mapping


def _of_a_mapping(fault: PolicyFault) -> PolicyFault:
    # The parser is the policy's, and so is its wording.
    message = fault.message.replace("a policy", "a mapping").replace("no policy", "no mapping")
    return replace(fault, message=message, message_zh=fault.message_zh.replace("策略", "映射"))


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
            self.wrong(top, "no_mapping")
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
            self.wrong_key(top.child("settings", name), "setting_is_field", name=name)
        events = self.events(data, top, record)
        extracts = self.extracts(data, top)
        fields = self.fields(data, top, record, record_type)
        event = "end_ms" if record == "cdr" else "updated_ms"
        if events is None and event in fields and needs_fields(fields[event]):
            self.wrong(top.child("fields", event), "event_time_waits")
        if events is not None and "tenant_id" in fields and needs_fields(fields["tenant_id"]):
            self.wrong(top.child("fields", "tenant_id"), "tenant_waits")
        arrival, rejections = self.arrival(data, top), self.rejections(data, top)
        versions = self.versions(data, top, record)
        optional = frozenset(self.texts(data, top, "optional"))
        named = dialect.header if isinstance(dialect.header, tuple) else ()
        for column in optional - {*self.marks, *named}:
            self.wrong(top.child("optional"), "optional_unread", column=column, hint=near_miss(column, self.marks))
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
                self.wrong(top.child(key), "of_json", key=key, form=form)
        paths = self.texts(data, top, "rows")
        rows = tuple(parse_path(path) for path in paths if self.path(path, top.child("rows")))
        return rows, self.text(data, top, "form_field", "")

    def precision(self, data: dict[str, Any], top: YamlPath, record: str) -> int:
        if "precision" not in data:
            return 0
        try:
            ms = parse_duration(self.text(data, top, "precision", ""))
        except BilingualError as error:
            self.wrong(top.child("precision"), "problem", problem=error.message)
            return 0
        if not 0 < ms <= 60_000 or record != "cdr":
            self.wrong(top.child("precision"), "no_precision")
        return ms

    def extracts(self, data: dict[str, Any], top: YamlPath) -> tuple[Extract, ...]:
        found = []
        for place, value in self.items(data, top, "extract", "an_extract"):
            self.known(value, place, ("column", "first", "of", "pattern"))
            if ("column" in value) == ("first" in value):
                self.wrong(place, "column_or_first")
                continue
            if "first" in value:
                columns = self.columns(value, place, "first")
            else:
                columns = (self.column(value["column"], place.child("column"), self.of_kinds(value, place)),)
            pattern = self.pattern(value, place, "pattern")
            if pattern is None or not pattern.groups:
                self.wrong(place.child("pattern"), "pattern_without_groups")
                continue
            found.append(Extract(columns, pattern))
            for group in pattern.groups:
                if group in self.set_ or f"${group}" == ROW:
                    self.wrong(place.child("pattern"), "group_taken", group=group)
        # Behind the loop, so that no extract reads another one.
        self.derived |= {f"${group}" for extract in found for group in extract.pattern.groups}
        return tuple(found)

    def encoding(self, data: dict[str, Any], top: YamlPath, form: str | None) -> str:
        name = self.text(data, top, "encoding", "utf-8")
        try:
            transparent = "\n\r\t,;|\"'0a".encode(codecs.lookup(name).name) == b"\n\r\t,;|\"'0a"
        except (LookupError, ValueError, TypeError):
            self.wrong(top.child("encoding"), "no_encoding", name=name)
            return "utf-8"
        if not transparent:
            self.wrong(top.child("encoding"), "no_rows_in_encoding", name=name)
        if form != "csv" and codecs.lookup(name).name != "utf-8":
            self.wrong(top.child("encoding"), "json_is_utf_8")
        return codecs.lookup(name).name

    def dialect(self, data: dict[str, Any], top: YamlPath, form: str | None) -> Dialect:
        if form != "csv":
            for key in _DIALECT:
                if key in data:
                    self.wrong_key(top.child(key), "of_csv", key=key, form=form)
            return Dialect()
        delimiter = self.text(data, top, "delimiter", ",")
        delimiter = "\t" if delimiter == "tab" else delimiter
        if len(delimiter) != 1 or delimiter in "\r\n\"'" or ord(delimiter) > 126:
            self.wrong(top.child("delimiter"), "no_delimiter")
            delimiter = ","
        quote = self.text(data, top, "quote", '"')
        quote = "" if quote == "none" else quote
        if len(quote) > 1 or (quote and (quote in "\r\n" or ord(quote) > 126 or quote == delimiter)):
            self.wrong(top.child("quote"), "no_quote")
            quote = ""
        header: bool | tuple[str, ...] = True
        if isinstance(data.get("header"), list):
            header = tuple(self.texts(data, top, "header"))
            for n, name in enumerate(header):
                if name in header[:n]:
                    self.wrong(top.child("header", n), "column_twice", name=name)
        else:
            header = self.flag(data, top, "header", True, "header_kind")
        return Dialect(delimiter, quote, header)

    def arrival(self, data: dict[str, Any], top: YamlPath) -> Arrival | None:
        if "arrival" not in data:
            return None
        place, value = top.child("arrival"), data["arrival"]
        if not isinstance(value, dict):
            self.wrong(place, "no_arrival")
            return None
        self.known(value, place, ("column", "descending"))
        column = self.column(value.get("column"), place.child("column"))
        return Arrival(column, self.flag(value, place, "descending", False)) if column else None

    def rejections(self, data: dict[str, Any], top: YamlPath) -> tuple[RejectRule, ...]:
        found = []
        for place, value in self.items(data, top, "reject", "a_reject"):
            self.known(value, place, ("when", "reason", "code"))
            code = self.word(value, place, "code", _CODES, _CODES[0])
            reason = self.text(value, place, "reason", "")
            if not reason:
                self.wrong(place, "reject_without_reason")
            when = self.conditions(value, place, made=())
            if not when:
                self.wrong(place, "reject_without_when")
            found.append(RejectRule(when, reason, code or _CODES[0]))
        return tuple(found)

    def fields(self, data: dict[str, Any], top: YamlPath, record: str, record_type: type[Any]) -> dict[str, Value]:
        place, given = top.child("fields"), data.get("fields")
        types = record_fields(record_type)
        if not isinstance(given, dict):
            self.wrong(place if "fields" in data else top, "no_fields")
            given = {}
        fields: dict[str, Value] = {}
        for name, value in given.items():
            if name not in types:
                self.wrong_key(place.child(name), "no_field", record=record, name=name, hint=near_miss(name, types))
            elif name not in self.constants:
                made = self.field(name, value, place.child(name), types[name], tuple(given))
                if made is not None:
                    fields[name] = made
                if name == "tenant_id":
                    self.tenant(value, place.child(name))
        for name, text in self.constants.items():
            if name not in types:
                message = mapping_text("no_field", record=record, name=name, hint=near_miss(name, types))
                self.faults.append(PolicyFault.worded(f"{top.source.name} --set", 1, 1, message))
                continue
            problem = const_problem(name, text, types[name])
            if problem:
                message = mapping_text("constant", name=name, text=text, problem=problem)
                self.faults.append(PolicyFault.worded(f"{top.source.name} --set", 1, 1, message))
            time = ("epoch_ms",) if is_time(name) else ()
            fields[name] = Value("const", const=text, time=time, integer=None if time else limits_of(types[name]))
        self.in_order(fields, place)
        missing = required_fields(record_type) - set(given) - set(self.constants)
        if missing:
            names = listed(f"`{name}`" for name in sorted(missing))
            hint = mapping_text("one_tenant") if "tenant_id" in missing else NO_HINT
            self.wrong_key(place, "fields_missing", record=record, names=names, hint=hint)
        return fields

    def in_order(self, fields: dict[str, Value], place: YamlPath) -> None:
        """Report the conditions that test a field which is computed after them, and is always empty for them."""
        later = [name for name, value in fields.items() if needs_fields(value)]
        for n, name in enumerate(later):
            for below in tested_fields(fields[name]) & set(later[n + 1 :]):
                self.wrong(place.child(name), "field_below", field=below)

    def tenant(self, value: Any, place: YamlPath) -> None:
        """A tenant that the file does not name would collect the calls of others."""
        if isinstance(value, dict):
            for key in ("const", "default"):
                if key in value:
                    self.wrong(place.child(key), "constant_tenant", value=value[key])
            for n, case in enumerate(value["cases"] if isinstance(value.get("cases"), list) else ()):
                self.tenant(case, place.child("cases", n))
