"""Compiles a mapping's fields into one function from a row's cells to the data of a record."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import unquote

from monitor.adapters.errors import Reject, RowErrorCode, quoted_value
from monitor.adapters.mapping.spec import (
    ColumnTest,
    Condition,
    Extract,
    GroupTest,
    Shift,
    Table,
    Value,
    depends_on_fields,
    needs_fields,
)
from monitor.adapters.mapping.spec import Mapping as Spec
from monitor.adapters.values.durations import duration_ms
from monitor.adapters.values.numbers import NumberWriter
from monitor.adapters.values.pseudonym import pseudonym
from monitor.adapters.values.times import TimeReader
from schemas.error_codes import ErrorCode

Cells = list[str]
Text = Callable[[Cells], str]
Make = Callable[[Cells], Any]
Index = Mapping[str, int]
Data = dict[str, Any]
MakeLater = Callable[[Cells, Data], Any]

# A longer value is not a duration, and could overflow datetime arithmetic.
_LONGEST_MS: Final = 366 * 86_400_000
_WHOLE: Final = re.compile("[0-9]{1,15}")
_OF_CELLS: Final = -1  # in place of a column: the value is made of all cells


class CompiledFields:
    """The compiled fields: `data` converts a row's cells to a record's data, `event_ms` only to its event time."""

    def __init__(self, spec: Spec, index: Index, key: bytes) -> None:
        self._fixed: Data = {"type": spec.record}
        self._first: list[tuple[tuple[str, ...], str, int, Callable[[Any], Any] | None]] = []
        self._later: list[tuple[str, MakeLater]] = []
        self._rejections = [(all_hold(rule.when, index), f"{rule.code}: {rule.reason}") for rule in spec.rejections]
        self._precision_ms = spec.precision_ms
        self._required = spec.required
        self._sources = {name: _source(value) for name, value in spec.fields.items()}
        same: dict[Value, list[str]] = {}
        for name, value in spec.fields.items():
            if needs_fields(value):
                self._later.append((name, _make_later(value, index, key)))
            elif value.how == "const" and not value.when:
                self._fixed[name] = compile_value(value, index, key)([])
            else:
                same.setdefault(value, []).append(name)
        # The text of a column is by far the most frequent kind of field: `data` reads it itself, without a call.
        for value, names in same.items():
            only, plain = names[0] if len(names) == 1 else "", _is_of_column(value)
            make = _change(value) if plain else compile_value(value, index, key)
            self._first.append((tuple(names), only, index[value.columns[0]] if plain else _OF_CELLS, make))
        event = spec.fields[spec.event]
        self._event = compile_value(event, index, key)

    def event_ms(self, cells: Cells) -> int | None:
        """The event time of a row; None if it cannot be read."""
        try:
            found = self._event(cells)
        except Reject:
            return None
        return found if isinstance(found, int) else None

    def data(self, cells: Cells) -> Data:
        """The record's data. Raises `Reject` if the mapping rejects the row or cannot read a value."""
        for rejected, reason in self._rejections:
            if rejected(cells):
                raise Reject(reason)
        data = self._fixed.copy()
        value: Any
        for names, only, column, make in self._first:
            try:
                if make is None:
                    value = cells[column].strip() or None
                elif column == _OF_CELLS:
                    value = make(cells)
                else:
                    text = cells[column].strip()
                    value = make(text) if text else None
                    if value == "":
                        value = None
            except Reject as error:
                raise _of_field(names[0], error) from None
            if value is not None:
                if only:
                    data[only] = value
                else:
                    for name in names:
                        data[name] = value
            else:
                self._require(names)
        if self._later:
            self._add_later(cells, data)
        if self._precision_ms:
            _agree(data, self._precision_ms)
        return data

    def _add_later(self, cells: Cells, data: Data) -> None:
        # Each test sees the fields computed before it: those of the first round, and later ones above it in the file.
        for name, make in self._later:
            try:
                value = make(cells, data)
            except Reject as error:
                raise _of_field(name, error) from None
            if value is not None:
                data[name] = value
            else:
                self._require((name,))

    def _require(self, names: tuple[str, ...]) -> None:
        for name in names:
            if name in self._required:
                raise Reject(f"{ErrorCode.MISSING_FIELD}: {name}: {self._sources[name]} is empty")


def url_decoded(text: str) -> str:
    """``text`` without percent-encoding; what is not encoded stays. Raises `Reject` if it is not UTF-8 then."""
    if "%" not in text:
        return text
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Reject(f"{RowErrorCode.NOT_TEXT}: expected UTF-8, percent-encoded, got {quoted_value(text)}") from None


def source_text(value: Value, index: Index, key: bytes) -> Text:
    """The text of a field before a table, time or number is applied; "" if it is empty."""
    empty, separator = value.empty, value.separator
    at = [index[column] for column in value.columns]

    def cell(cells: Cells, n: int) -> str:
        text = cells[n].strip()
        return "" if text in empty else text

    def decoded(cells: Cells, n: int) -> str:
        text = url_decoded(cells[n]).strip()
        return "" if text in empty else text

    text_of = decoded if value.decode else cell
    plain = not empty and not value.decode

    def joined(cells: Cells) -> str:
        parts = [cells[n].strip() for n in at] if plain else [text_of(cells, n) for n in at]
        return separator.join(parts) if all(parts) else ""

    def first(cells: Cells) -> str:
        for n in at:
            text = text_of(cells, n)
            if text:
                return text
        return ""

    def hashed(cells: Cells) -> str:
        parts = [cells[n].strip() for n in at] if plain else [text_of(cells, n) for n in at]
        return pseudonym(parts, key) if any(parts) else ""

    if value.how == "const":
        return lambda cells: value.const
    if value.how == "column":
        (only,) = at
        if plain:
            return lambda cells: cells[only].strip()
        return lambda cells: text_of(cells, only)
    return {"join": joined, "first": first, "hmac": hashed}[value.how]


def compile_value(value: Value, index: Index, key: bytes) -> Make:
    """What a field makes of a row's cells; conditions on other fields are not tested."""
    test = all_hold(value.when, index) if value.when else None
    if value.how == "cases":
        makers = [compile_value(case, index, key) for case in value.cases]

        def choose(cells: Cells) -> Any:
            if test is None or test(cells):
                for make in makers:
                    found = make(cells)
                    if found is not None and found != []:
                        return found
            return None

        return choose
    text_of = source_text(value, index, key)
    change = _change(value)
    default = value.default
    shifts = [(index[shift.column], shift) for shift in value.shifts]

    def make(cells: Cells) -> Any:
        if test is not None and not test(cells):
            return None
        text = text_of(cells) or default
        if not text:
            return [] if value.split else None
        found = change(text) if change is not None else text
        return _shifted(found, cells, shifts) if shifts else (None if found == "" else found)

    simple = test is None and not shifts and not value.split and not default
    if _is_of_column(value):
        return _of_column(index[value.columns[0]], change)
    if simple and change is not None and value.table is None:

        def quick(cells: Cells) -> Any:
            text = text_of(cells)
            return change(text) if text else None

        return quick
    return make


def _is_of_column(value: Value) -> bool:
    """Whether it is the text of one column, changed or not, under no condition."""
    special = value.when or value.shifts or value.split or value.default or value.empty or value.decode
    return value.how == "column" and not special


def _of_column(at: int, change: Callable[[str], Any] | None) -> Make:
    """The value for which `_is_of_column` holds."""
    if change is None:
        return lambda cells: cells[at].strip() or None

    def changed(cells: Cells) -> Any:
        text = cells[at].strip()
        if not text:
            return None
        found = change(text)
        return None if found == "" else found

    return changed


def _make_later(value: Value, index: Index, key: bytes) -> MakeLater:
    """A value that depends on fields computed before it."""
    test = _made_test(value.when, index)
    if value.how == "cases":
        makers = [_make_later(case, index, key) for case in value.cases]

        def choose(cells: Cells, data: Data) -> Any:
            if test(cells, data):
                for make in makers:
                    found = make(cells, data)
                    if found is not None and found != []:
                        return found
            return None

        return choose
    plain = compile_value(replace(value, when=()), index, key)
    return lambda cells, data: plain(cells) if test(cells, data) else None


def _change(value: Value) -> Callable[[str], Any] | None:
    if value.time:
        return TimeReader(value.time, value.zone)
    if value.number is not None:
        return NumberWriter(*value.number)
    if value.split:
        return lambda text: [part.strip() for part in text.split(value.split) if part.strip()]
    if value.integer is not None and value.table is None:
        return _integer(*value.integer)
    if value.table is None:
        return None
    look_up = _Entries(value.table).__getitem__
    if value.integer is None:
        return look_up
    whole = _integer(*value.integer)
    return lambda text: whole(look_up(text))


class _Entries(dict[str, str]):
    """The entries of a table; texts without one are not kept."""

    def __init__(self, table: Table) -> None:
        super().__init__(table.entries)
        self._table = table

    def __missing__(self, text: str) -> str:
        if self._table.otherwise == "reject":
            raise Reject(f"{ErrorCode.UNKNOWN_VALUE}: {quoted_value(text)} has no entry in the table")
        return text if self._table.otherwise == "keep" else self._table.otherwise_value


def _integer(least: int, most: int) -> Callable[[str], int | None]:
    """A whole number; None for every other text: such a field decides nothing, so it does not cost the record."""

    def whole(text: str) -> int | None:
        if not _WHOLE.fullmatch(text):
            return None
        found = int(text)
        return found if least <= found <= most else None

    return whole


def _shifted(time_ms: Any, cells: Cells, shifts: list[tuple[int, Shift]]) -> int | None:
    for n, shift in shifts:
        text = cells[n].strip()
        if not text:
            return None
        try:
            ms = shift.sign * duration_ms(text, shift.unit)
        except (ValueError, OverflowError):
            raise Reject(
                f"{RowErrorCode.UNREADABLE_TIME}: {quoted_value(text)} in {shift.column} is no duration"
            ) from None
        if abs(ms) > _LONGEST_MS:
            raise Reject(
                f"{RowErrorCode.UNREADABLE_TIME}: {quoted_value(text)} in {shift.column} is longer than a year"
            )
        time_ms += ms
    return int(time_ms)


def _agree(data: Data, most_ms: int) -> None:
    """Correct the times of a call that contradict each other by at most ``most_ms``: files round them."""
    start, end = data.get("start_ms"), data.get("end_ms")
    if start is None or end is None:
        return
    if start - most_ms <= end < start:
        end = data["end_ms"] = start
    before = start
    for name in ("ring_ms", "answer_ms"):
        time = data.get(name)
        if time is None:
            continue
        if before - most_ms <= time < before:
            time = data[name] = before
        if end < time <= end + most_ms:
            time = data[name] = end
        before = time


class Extractor:
    """The columns that a mapping's ``extract`` makes: `names`, and their texts in a row."""

    def __init__(self, extracts: tuple[Extract, ...], index: Index) -> None:
        self._made = [([index[column] for column in each.columns], each.pattern) for each in extracts]
        self.names = tuple(dict.fromkeys(f"${group}" for each in extracts for group in each.pattern.groups))
        self._empty = dict.fromkeys(self.names, "")

    def texts(self, cells: Cells) -> list[str]:
        """The texts of `names`: of two that make the same column the first that matches counts."""
        found = self._empty.copy()
        for at, pattern in self._made:
            text = next((cells[n] for n in at if cells[n]), "")
            for group, part in (pattern.search(text) or {}).items() if text else ():
                found[f"${group}"] = found[f"${group}"] or part
        return list(found.values())


def _holds(condition: ColumnTest, text: str) -> bool:
    if condition.values is not None and (text in condition.values) == condition.negated:
        return False
    if condition.empty is not None and condition.empty != (not text):
        return False
    return condition.pattern is None or condition.pattern.fullmatch(text)


def all_hold(conditions: tuple[Condition, ...], index: Index) -> Callable[[Cells], bool]:
    """A test of a row's cells: every condition on a column or a setting holds. Conditions on fields are not tested."""
    of_cells = [each for each in conditions if not depends_on_fields((each,))]
    if len(of_cells) == 1 and isinstance(of_cells[0], ColumnTest) and of_cells[0].column is not None:
        # By far the most frequent case, and run for every row.
        only, at = of_cells[0], index[of_cells[0].column]
        if only.same_as is None:
            return lambda cells: _holds(only, cells[at].strip())
    tests = [_cell_test(each, index) for each in of_cells]
    return lambda cells: all(test(cells) for test in tests)


def _cell_test(condition: Condition, index: Index) -> Callable[[Cells], bool]:
    if isinstance(condition, GroupTest):
        tests, negated = [_cell_test(each, index) for each in condition.tests], condition.negated
        return lambda cells: any(test(cells) for test in tests) is not negated
    if condition.column is None:
        fixed = _holds(condition, condition.fixed)
        return lambda cells: fixed
    at = index[condition.column]
    if condition.same_as is not None:
        other = index[condition.same_as]
        return lambda cells: cells[at].strip() == cells[other].strip() and _holds(condition, cells[at].strip())
    return lambda cells: _holds(condition, cells[at].strip())


def _made_test(conditions: tuple[Condition, ...], index: Index) -> Callable[[Cells, Data], bool]:
    of_cells = all_hold(conditions, index)
    of_fields = [_field_test(each, index) for each in conditions if depends_on_fields((each,))]
    return lambda cells, data: of_cells(cells) and all(test(cells, data) for test in of_fields)


def _field_test(condition: Condition, index: Index) -> Callable[[Cells, Data], bool]:
    if isinstance(condition, GroupTest):
        tests, negated = [_field_test(each, index) for each in condition.tests], condition.negated
        return lambda cells, data: any(test(cells, data) for test in tests) is not negated
    if condition.made is None:
        plain = _cell_test(condition, index)
        return lambda cells, data: plain(cells)
    name = condition.made
    return lambda cells, data: _holds(condition, str(data.get(name, "")))


def _of_field(name: str, error: Reject) -> Reject:
    """The same reason, with the field between its code word and the rest."""
    word, _, rest = str(error).partition(": ")
    return Reject(f"{word}: {name}: {rest}")


def _source(value: Value) -> str:
    if value.how == "const":
        return "the constant"
    if value.how == "cases":
        return "each of the cases"
    names = " and ".join(value.columns) if value.how != "first" else " or ".join(value.columns)
    return f"column {names}" if len(value.columns) == 1 else f"one of the columns {names}"
