"""Reads one field of a mapping: its source, its transformation, and its conditions."""

import re
from collections.abc import Iterator
from typing import Any, Literal, cast, get_args, get_origin

from monitor.adapters.mapping.checks import Checker, not_a_word
from monitor.adapters.mapping.spec import ColumnTest, Shift, Table, Value
from monitor.adapters.values.numbers import is_region
from monitor.adapters.values.times import EPOCH_MS, EPOCH_S, ISO, format_fault, zone
from monitor.policy.file.errors import did_you_mean
from monitor.policy.file.yaml_source import YamlPath

SOURCES = ("column", "first", "join", "hmac", "const")
_CHANGES = ("table", "time", "number", "split")
_KEYS = (*SOURCES, "with", "empty", "default", *_CHANGES, "otherwise", "zone", "plus", "minus", "when")
_CONDITION = ("column", "field", "equals", "in", "not_in", "empty", "matches")
_UNITS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000}


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


def _parts(kind: Any) -> Iterator[Any]:
    """A type and the types inside it: of a union, of a list, under its annotations."""
    yield kind
    if get_origin(kind) is not Literal:
        for part in get_args(kind):
            yield from _parts(part)


class ValueReader(Checker):
    """Reads fields and conditions. ``zone`` is the mapping's default time zone."""

    def __init__(self) -> None:
        super().__init__()
        self.zone: Any = None

    def field(self, name: str, value: Any, place: YamlPath, kind: Any, made: tuple[str, ...]) -> Value | None:
        before = len(self.faults)
        if isinstance(value, str):
            self.wrong(place, f"write `{{column: {value}}}`, or `{{const: {value}}}` for a fixed text")
            return None
        if not isinstance(value, dict):
            self.wrong(place, "a field is {column: NAME ...}, {join: [...]}, {hmac: [...]} or {const: TEXT}")
            return None
        self.known(value, place, _KEYS)
        given = [source for source in SOURCES if source in value]
        if len(given) != 1:
            self.wrong(place, f"a field has exactly one of {', '.join(SOURCES)}; here are {len(given)}")
            return None
        how = given[0]
        const, columns = "", tuple[str, ...]()
        if how == "const":
            const = self.text(value, place, "const", "")
            problem = const_problem(name, const, kind)
            if problem:
                self.wrong(place.child("const"), problem)
        elif how == "column":
            column = self.column(value["column"], place.child("column"))
            columns = (column,) if column else ()
        else:
            columns = self.columns(value, place, how)
        if "with" in value and how != "join":
            self.faults.append(place.child("with").key_fault("`with` stands between the columns of a `join` only"))
        result = Value(
            how=cast(Literal["column", "first", "join", "hmac", "const"], how),
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
            shifts=self.shifts(name, value, place),
            when=self.conditions(value, place, made) if "when" in value else (),
        )
        transforms = [key for key in _CHANGES if key in value]
        if len(transforms) > 1:
            self.wrong(place, f"a field takes one of table, time, number, split; here are {', '.join(transforms)}")
        if any(condition.made == name for condition in result.when):
            self.wrong(place.child("when"), f"`{name}` cannot wait for itself")
        if result.default and words_of(kind) and result.default not in words_of(kind):
            self.wrong(place.child("default"), not_a_word(result.default, words_of(kind)))
        return result if len(self.faults) == before else None

    def time(self, name: str, value: dict[str, Any], place: YamlPath, how: str) -> tuple[str, ...]:
        if "time" not in value:
            if is_time(name) and how != "const":
                self.wrong(place, "a time needs `time`: epoch_s, epoch_ms, iso8601 or a format like %Y-%m-%d %H:%M:%S")
            if "zone" in value:
                self.faults.append(place.child("zone").key_fault("`zone` goes with `time`, which is missing here"))
            return ("epoch_ms",) if is_time(name) else ()
        if not is_time(name):
            self.faults.append(place.child("time").key_fault(f"`{name}` is no time: take `time` out"))
            return ()
        given = value["time"]
        forms = given if isinstance(given, list) else [given]
        for n, form in enumerate(forms):
            at = place.child("time", n) if isinstance(given, list) else place.child("time")
            if not isinstance(form, str):
                self.wrong(at, "a time format is text such as %Y-%m-%d %H:%M:%S, epoch_s, epoch_ms or iso8601")
                return ()
            problem = format_fault(form)
            if problem:
                self.wrong(at, problem)
            elif self.zone is None and "zone" not in value and _needs_zone(form):
                self.wrong(at, f"`{form}` says no zone; add `zone: Asia/Shanghai` here or for the whole mapping")
        return tuple(forms)

    def table(self, value: dict[str, Any], place: YamlPath, kind: Any) -> Table | None:
        if "table" not in value:
            if "otherwise" in value:
                self.faults.append(place.child("otherwise").key_fault("`otherwise` goes with `table`, missing here"))
            return None
        at, given, words = place.child("table"), value["table"], words_of(kind)
        if not isinstance(given, dict) or not given:
            self.wrong(at, 'a table is {"value in the file": value of the field, ...}')
            return None
        for key, text in given.items():
            if text is None:
                continue
            if not isinstance(text, str):
                self.wrong(at.child(key), f"a table gives text: write it in quotes, {str(text)!r}")
            elif words and text not in words:
                self.wrong(at.child(key), not_a_word(text, words))
        entries = tuple(
            (key.strip(), text or "") for key, text in given.items() if text is None or isinstance(text, str)
        )
        otherwise = value.get("otherwise", "reject")
        if isinstance(otherwise, dict):
            self.known(otherwise, place.child("otherwise"), ("const",))
            const = self.text(otherwise, place.child("otherwise"), "const", "")
            if words and const not in words:
                self.wrong(place.child("otherwise"), not_a_word(const, words))
            return Table(entries, "value", const)
        if otherwise not in ("reject", "keep", "empty"):
            self.wrong(place.child("otherwise"), "`otherwise` is reject, keep, empty or {const: TEXT}")
            return None
        return Table(entries, cast(Literal["reject", "keep", "empty"], otherwise))

    def number(self, value: dict[str, Any], place: YamlPath) -> tuple[str, re.Pattern[str] | None] | None:
        if "number" not in value:
            return None
        at, given = place.child("number"), value["number"]
        only = None
        if isinstance(given, dict):
            self.known(given, at, ("region", "only"))
            only = self.pattern(given, at, "only")
            at, given = at.child("region"), given.get("region")
        if not isinstance(given, str) or not is_region(given):
            self.wrong(at, "`number` is the region of numbers without a country's prefix: CN, US, IL ...")
            return None
        return given, only

    def split(self, value: dict[str, Any], place: YamlPath, kind: Any) -> str:
        if "split" not in value:
            if is_list(kind):
                self.wrong(place, 'this field is a list: add `split: ";"`, or what stands between its items')
            return ""
        if not is_list(kind):
            self.faults.append(place.child("split").key_fault("this field is no list: take `split` out"))
            return ""
        return self.text(value, place, "split", ";") or ";"

    def shifts(self, name: str, value: dict[str, Any], place: YamlPath) -> tuple[Shift, ...]:
        found = []
        for key, sign in (("plus", 1), ("minus", -1)):
            if key not in value:
                continue
            at, given = place.child(key), value[key]
            if not is_time(name) or not isinstance(given, dict):
                self.wrong(at, f"`{key}` is {{column: NAME, unit: s}} beside a `time`: a duration on top of a time")
                continue
            self.known(given, at, ("column", "unit"))
            column = self.column(given.get("column"), at.child("column"))
            unit = self.word(given, at, "unit", tuple(_UNITS), "s")
            if column and unit:
                found.append(Shift(column, sign * _UNITS[unit]))
        return tuple(found)

    def conditions(self, value: dict[str, Any], place: YamlPath, made: tuple[str, ...]) -> tuple[ColumnTest, ...]:
        given = value.get("when")
        many = isinstance(given, list)
        found = []
        for n, one in enumerate(given if isinstance(given, list) else [given] if given is not None else []):
            at = place.child("when", n) if many else place.child("when")
            if not isinstance(one, dict):
                self.wrong(at, "a condition is {column: NAME, equals: TEXT}, or with in, not_in, empty, matches")
                continue
            condition = self.condition(one, at, made)
            if condition is not None:
                found.append(condition)
        return tuple(found)

    def condition(self, one: dict[str, Any], at: YamlPath, made: tuple[str, ...]) -> ColumnTest | None:
        self.known(one, at, _CONDITION)
        column, field = None, None
        if ("column" in one) == ("field" in one):
            self.wrong(at, "a condition has a `column` of the file or a `field` of the record, one of the two")
            return None
        if "column" in one:
            column = self.column(one["column"], at.child("column"))
        else:
            field = self.text(one, at, "field", "")
            if field not in made:
                self.wrong(at.child("field"), f"no field `{field}` is made here{did_you_mean(field, made)}")
        if not any(key in one for key in ("equals", "in", "not_in", "empty", "matches")):
            self.wrong(at, "a condition needs equals, in, not_in, empty or matches")
        if sum(key in one for key in ("equals", "in", "not_in")) > 1:
            self.wrong(at, "a condition has one of equals, in, not_in")
        values: frozenset[str] | None = None
        if "equals" in one:
            values = frozenset((self.text(one, at, "equals", ""),))
        elif "in" in one or "not_in" in one:
            values = frozenset(self.texts(one, at, "in" if "in" in one else "not_in"))
        empty = self.flag(one, at, "empty", False) if "empty" in one else None
        return ColumnTest(column, field, values, "not_in" in one, empty, self.pattern(one, at, "matches"))

    def zone_of(self, data: dict[str, Any], place: YamlPath) -> Any:
        name = self.text(data, place, "zone", "")
        try:
            return zone(name) if name else None
        except ValueError as error:
            self.wrong(place.child("zone"), str(error))
            return None


def _needs_zone(form: str) -> bool:
    return "%z" not in form and form not in (EPOCH_S, EPOCH_MS, ISO)


def const_problem(name: str, text: str, kind: Any) -> str | None:
    """What is wrong with ``text`` as the constant value of a field; None if it is valid."""
    words = words_of(kind)
    if words and text not in words:
        return not_a_word(text, words)
    if is_time(name) and not re.fullmatch("[0-9]{1,15}", text):
        return "a constant time is a whole number of epoch milliseconds"
    return None
