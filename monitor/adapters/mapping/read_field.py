"""Reads one field of a mapping: its source and its transformation."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, cast, get_args, get_origin

import msgspec

from monitor.adapters.mapping.checks import not_a_word
from monitor.adapters.mapping.outcomes import TABLES
from monitor.adapters.mapping.read_condition import ConditionReader
from monitor.adapters.mapping.spec import Shift, Table, Value, fields_of
from monitor.adapters.mapping_wording import NO_HINT, listed, mapping_text
from monitor.adapters.values.durations import UNITS
from monitor.adapters.values.numbers import is_region
from monitor.adapters.values.patterns import LinearPattern
from monitor.adapters.values.times import EPOCHS, ISO, format_fault, zone
from monitor.policy.file.yaml_source import YamlPath
from monitor.text.bilingual import Bilingual, BilingualError

SOURCES = ("column", "first", "join", "hmac", "const", "cases")
_CHANGES = ("table", "time", "number", "split")
_KEYS = (*SOURCES, "of", "with", "empty", "decode", "default", *_CHANGES, "otherwise", "zone", "plus", "minus", "when")
# What a case takes from the field around it, unless it has its own.
_INHERITED = ("of", "table", "otherwise", "time", "zone", "number", "empty", "decode")


def words_of(kind: Any) -> tuple[str, ...]:
    """The values that a field of the type ``kind`` may have; empty if it may have any text."""
    found = [word for part in _parts(kind) if get_origin(part) is Literal for word in get_args(part) if word]
    return tuple(dict.fromkeys(found))


def is_time(field: str) -> bool:
    """Whether a field of a record holds epoch milliseconds."""
    return field.endswith("_ms")


def is_list(kind: Any) -> bool:
    """Whether a field of the type ``kind`` holds a list."""
    return any(get_origin(part) is list for part in _parts(kind))


def limits_of(kind: Any) -> tuple[int, int] | None:
    """The limits of a field that holds a whole number; None for a field of another type."""
    parts = list(_parts(kind))
    if int not in parts:
        return None
    metas = [part for part in parts if isinstance(part, msgspec.Meta)]
    return (
        max((int(meta.ge) for meta in metas if meta.ge is not None), default=0),
        min((int(meta.le) for meta in metas if meta.le is not None), default=1 << 53),
    )


def _parts(kind: Any) -> Iterator[Any]:
    """A type and the types inside it: of a union, of a list, under its annotations."""
    yield kind
    if get_origin(kind) is not Literal:
        for part in get_args(kind):
            yield from _parts(part)


class ValueReader(ConditionReader):
    """Reads fields. ``zone`` is the mapping's default time zone."""

    def __init__(self) -> None:
        super().__init__()
        self.zone: Any = None

    def field(self, name: str, value: Any, place: YamlPath, kind: Any, made: tuple[str, ...]) -> Value | None:
        before = len(self.faults)
        if isinstance(value, str):
            self.wrong(place, "text_as_field", value=value)
            return None
        if not isinstance(value, dict):
            self.wrong(place, "field_kind")
            return None
        self.known(value, place, _KEYS)
        given = [source for source in SOURCES if source in value]
        if len(given) != 1:
            self.wrong(place, "one_source", sources=listed(SOURCES), count=len(given))
            return None
        how = given[0]
        if how == "cases":
            return self.cases(name, value, place, kind, made)
        const, columns = "", tuple[str, ...]()
        if how == "const":
            const = self.text(value, place, "const", "")
            problem = const_problem(name, const, kind)
            if problem:
                self.wrong(place.child("const"), "problem", problem=problem)
        elif how == "column":
            column = self.column(value["column"], place.child("column"), self.of_kinds(value, place))
            columns = (column,) if column else ()
        else:
            columns = self.columns(value, place, how)
        if "with" in value and how != "join":
            self.wrong_key(place.child("with"), "with_of_join")
        result = Value(
            how=cast(Literal["column", "first", "join", "hmac", "const"], how),
            decode=self.decode(value, place),
            columns=columns,
            const=const,
            separator=self.text(value, place, "with", "") if "with" in value else "",
            empty=frozenset(self.texts(value, place, "empty")),
            default=self.text(value, place, "default", ""),
            table=self.table(value, place, kind),
            time=self.time(name, value, place, how),
            zone=self.zone_of(value, place) or self.zone,
            number=self.number(value, place),
            split=self.split(value, place, kind),
            integer=None if is_time(name) else limits_of(kind),
            shifts=self.shifts(name, value, place),
            when=self.conditions(value, place, made) if "when" in value else (),
        )
        transforms = [key for key in _CHANGES if key in value]
        if len(transforms) > 1:
            self.wrong(place, "one_change", given=listed(transforms))
        if name in fields_of(result.when):
            self.wrong(place.child("when"), "waits_for_itself", name=name)
        if result.default and words_of(kind) and result.default not in words_of(kind):
            self.wrong(place.child("default"), "problem", problem=not_a_word(result.default, words_of(kind)))
        return result if len(self.faults) == before else None

    def cases(
        self, name: str, value: dict[str, Any], place: YamlPath, kind: Any, made: tuple[str, ...]
    ) -> Value | None:
        """A field of several sources: each is a field by itself, and takes over what stands beside `cases`."""
        before = len(self.faults)
        for key in value:
            if key not in ("cases", "when", *_INHERITED):
                self.wrong_key(place.child(key), "inside_cases", key=key)
        inherited = {key: value[key] for key in _INHERITED if key in value}
        changed = [key for key in _CHANGES if key in inherited]
        found = []
        for at, case in self.items(value, place, "cases", "a_case"):
            own = any(key in case for key in _CHANGES) or "const" in case
            taken = {key: inherited[key] for key in inherited if key not in (*changed, "otherwise", "zone") or not own}
            made_of = self.field(name, {**taken, **case}, at, kind, made)
            if made_of is not None:
                found.append(made_of)
        if not value["cases"]:
            self.wrong(place.child("cases"), "no_cases")
        when = self.conditions(value, place, made) if "when" in value else ()
        columns = dict.fromkeys(column for case in found for column in case.columns)
        if len(self.faults) > before:
            return None
        return replace(Value("cases"), columns=tuple(columns), when=when, cases=tuple(found))

    def decode(self, value: dict[str, Any], place: YamlPath) -> bool:
        if "decode" not in value:
            return False
        if value["decode"] != "url":
            self.wrong(place.child("decode"), "not_url", value=value["decode"])
        return True

    def time(self, name: str, value: dict[str, Any], place: YamlPath, how: str) -> tuple[str, ...]:
        if "time" not in value:
            if is_time(name) and how != "const":
                self.wrong(place, "no_time", epochs=listed(EPOCHS))
            if "zone" in value:
                self.wrong_key(place.child("zone"), "zone_without_time")
            return ("epoch_ms",) if is_time(name) else ()
        if not is_time(name):
            self.wrong_key(place.child("time"), "time_of_no_time", name=name)
            return ()
        given = value["time"]
        forms = given if isinstance(given, list) else [given]
        for n, form in enumerate(forms):
            at = place.child("time", n) if isinstance(given, list) else place.child("time")
            if not isinstance(form, str):
                self.wrong(at, "time_kind")
                return ()
            problem = format_fault(form)
            if problem:
                self.wrong(at, "problem", problem=problem)
            elif self.zone is None and "zone" not in value and _needs_zone(form):
                self.wrong(at, "form_without_zone", form=form)
        return tuple(forms)

    def table(self, value: dict[str, Any], place: YamlPath, kind: Any) -> Table | None:
        if "table" not in value:
            if "otherwise" in value:
                self.wrong_key(place.child("otherwise"), "otherwise_without_table")
            return None
        at, given, words = place.child("table"), value["table"], words_of(kind)
        if isinstance(given, str) and given in TABLES and "answered" in words:
            given = TABLES[given]
        if not isinstance(given, dict) or not given:
            named = mapping_text("tables_of_outcomes", names=listed(TABLES)) if "answered" in words else NO_HINT
            self.wrong(at, "no_table", named=named)
            return None
        for key, text in given.items():
            if text is None:
                continue
            if not isinstance(text, str):
                self.wrong(at.child(key), "table_gives_text", value=repr(str(text)))
            elif words and text not in words:
                self.wrong(at.child(key), "problem", problem=not_a_word(text, words))
        entries = tuple(
            (key.strip(), text or "") for key, text in given.items() if text is None or isinstance(text, str)
        )
        otherwise = value.get("otherwise", "reject")
        if isinstance(otherwise, dict):
            self.known(otherwise, place.child("otherwise"), ("const",))
            const = self.text(otherwise, place.child("otherwise"), "const", "")
            if words and const not in words:
                self.wrong(place.child("otherwise"), "problem", problem=not_a_word(const, words))
            return Table(entries, "value", const)
        if otherwise not in ("reject", "keep", "empty"):
            self.wrong(place.child("otherwise"), "otherwise_kind")
            return None
        return Table(entries, cast(Literal["reject", "keep", "empty"], otherwise))

    def number(self, value: dict[str, Any], place: YamlPath) -> tuple[str, LinearPattern | None] | None:
        if "number" not in value:
            return None
        at, given = place.child("number"), value["number"]
        only = None
        if isinstance(given, dict):
            self.known(given, at, ("region", "only"))
            only = self.pattern(given, at, "only")
            at, given = at.child("region"), given.get("region")
        if not isinstance(given, str) or not is_region(given):
            self.wrong(at, "no_region")
            return None
        return given, only

    def split(self, value: dict[str, Any], place: YamlPath, kind: Any) -> str:
        if "split" not in value:
            if is_list(kind):
                self.wrong(place, "list_without_split")
            return ""
        if not is_list(kind):
            self.wrong_key(place.child("split"), "split_of_no_list")
            return ""
        return self.text(value, place, "split", ";") or ";"

    def shifts(self, name: str, value: dict[str, Any], place: YamlPath) -> tuple[Shift, ...]:
        found = []
        for key, sign in (("plus", 1), ("minus", -1)):
            given = value.get(key, [])
            many = isinstance(given, list)
            for n, one in enumerate(given if many else [given]):
                at = place.child(key, n) if many else place.child(key)
                if not is_time(name) or not isinstance(one, dict):
                    self.wrong(at, "shift_kind", key=key)
                    continue
                self.known(one, at, ("column", "of", "unit"))
                column = self.column(one.get("column"), at.child("column"), self.of_kinds(one, at))
                unit = self.word(one, at, "unit", tuple(UNITS), "s")
                if column and unit:
                    found.append(Shift(column, unit, sign))
        return tuple(found)

    def zone_of(self, data: dict[str, Any], place: YamlPath) -> Any:
        name = self.text(data, place, "zone", "")
        try:
            return zone(name) if name else None
        except BilingualError as error:
            self.wrong(place.child("zone"), "problem", problem=error.message)
            return None


def _needs_zone(form: str) -> bool:
    return "%z" not in form and form not in EPOCHS and form != ISO


def const_problem(name: str, text: str, kind: Any) -> Bilingual | None:
    """What is wrong with ``text`` as the constant value of a field; None if it is valid."""
    words = words_of(kind)
    if words and text not in words:
        return not_a_word(text, words)
    if is_time(name) and not re.fullmatch("[0-9]{1,15}", text):
        return mapping_text("constant_time")
    limits = None if is_time(name) else limits_of(kind)
    if limits and not (re.fullmatch("[0-9]{1,15}", text) and limits[0] <= int(text) <= limits[1]):
        return mapping_text("constant_number", least=limits[0], most=limits[1])
    return None
