"""Compiles a mapping's fields into one function from a row's cells to the data of a record."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from monitor.adapters.errors import Reject, RowErrorCode, quoted_value
from monitor.adapters.mapping.spec import ColumnTest, Shift, Value
from monitor.adapters.mapping.spec import Mapping as Spec
from monitor.adapters.values.numbers import NumberWriter
from monitor.adapters.values.pseudonym import pseudonym
from monitor.adapters.values.times import TimeReader
from schemas.error_codes import ErrorCode

Cells = list[str]
Text = Callable[[Cells], str]
Make = Callable[[Cells], Any]
Index = Mapping[str, int]
Data = dict[str, Any]

# A longer value is not a duration, and could overflow datetime arithmetic.
_LONGEST_MS: Final = 366 * 86_400_000


class CompiledFields:
    """The compiled fields: `data` converts a row's cells to a record's data, `event_ms` only to its event time."""

    def __init__(self, spec: Spec, index: Index, key: bytes) -> None:
        self._fixed: Data = {"type": spec.record}
        self._first: list[tuple[tuple[str, ...], Make]] = []
        self._later: list[tuple[str, Callable[[Cells, Data], bool], Make]] = []
        self._refusals = [(all_hold(refusal.when, index), refusal.reason) for refusal in spec.refusals]
        self._required = spec.required
        self._sources = {name: _source(value) for name, value in spec.fields.items()}
        same: dict[Value, list[str]] = {}
        for name, value in spec.fields.items():
            if any(condition.made for condition in value.when):
                self._later.append((name, _made_test(value.when, index), _make(value, index, key)))
            elif value.how == "const" and not value.when:
                self._fixed[name] = _make(value, index, key)([])
            else:
                same.setdefault(value, []).append(name)
        self._first = [(tuple(names), _make(value, index, key)) for value, names in same.items()]
        event = spec.fields[spec.event]
        self._event = _make(event, index, key)

    def event_ms(self, cells: Cells) -> int | None:
        """The event time of a row; None if it cannot be read."""
        try:
            found = self._event(cells)
        except Reject:
            return None
        return found if isinstance(found, int) else None

    def data(self, cells: Cells) -> Data:
        """The record's data. Raises `Reject` if the mapping rejects the row or cannot read a value."""
        for refused, reason in self._refusals:
            if refused(cells):
                raise Reject(f"{RowErrorCode.EXCLUDED}: {reason}")
        data = self._fixed.copy()
        for names, make in self._first:
            try:
                value = make(cells)
            except Reject as error:
                raise _of_field(names[0], error) from None
            if value is not None:
                for name in names:
                    data[name] = value
            else:
                self._require(names)
        if self._later:
            self._add_later(cells, data)
        return data

    def _add_later(self, cells: Cells, data: Data) -> None:
        # Each test sees the fields computed before it: those of the first round, and later ones above it in the file.
        for name, holds, make in self._later:
            try:
                value = make(cells) if holds(cells, data) else None
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


def source_text(value: Value, index: Index, key: bytes) -> Text:
    """The text of a field before a table, time or number is applied; "" if it is empty."""
    empty, separator = value.empty, value.separator
    at = [index[column] for column in value.columns]

    def cell(cells: Cells, n: int) -> str:
        text = cells[n].strip()
        return "" if text in empty else text

    def joined(cells: Cells) -> str:
        parts = [cell(cells, n) for n in at] if empty else [cells[n].strip() for n in at]
        return separator.join(parts) if all(parts) else ""

    def first(cells: Cells) -> str:
        for n in at:
            text = cell(cells, n)
            if text:
                return text
        return ""

    def hashed(cells: Cells) -> str:
        parts = [cell(cells, n) for n in at] if empty else [cells[n].strip() for n in at]
        return pseudonym(parts, key) if any(parts) else ""

    if value.how == "const":
        return lambda cells: value.const
    if value.how == "column":
        (only,) = at
        if not empty:
            return lambda cells: cells[only].strip()
        return lambda cells: cell(cells, only)
    return {"join": joined, "first": first, "hmac": hashed}[value.how]


def _make(value: Value, index: Index, key: bytes) -> Make:
    text_of = source_text(value, index, key)
    change = _change(value)
    default = value.default
    conditions = tuple(condition for condition in value.when if condition.made is None)
    test = all_hold(conditions, index) if conditions else None
    shifts = [(index[shift.column], shift) for shift in value.shifts]

    def make(cells: Cells) -> Any:
        if test is not None and not test(cells):
            return None
        text = text_of(cells) or default
        if not text:
            return [] if value.split else None
        found = change(text) if change is not None else text
        return _shifted(found, cells, shifts) if shifts else (None if found == "" else found)

    if test is None and not shifts and not value.split and not default and change is not None and value.table is None:

        def quick(cells: Cells) -> Any:
            text = text_of(cells)
            return change(text) if text else None

        return quick
    return make


def _change(value: Value) -> Callable[[str], Any] | None:
    if value.time:
        return TimeReader(value.time, value.zone)
    if value.number is not None:
        return NumberWriter(*value.number)
    if value.split:
        return lambda text: [part.strip() for part in text.split(value.split) if part.strip()]
    if value.table is None:
        return None
    table = value.table
    entries, otherwise = dict(table.entries), table.otherwise

    def look_up(text: str) -> str:
        found = entries.get(text)
        if found is not None:
            return found
        if otherwise == "reject":
            raise Reject(f"{ErrorCode.UNKNOWN_VALUE}: {quoted_value(text)} has no entry in the table")
        return text if otherwise == "keep" else table.otherwise_value

    return look_up


def _shifted(time_ms: Any, cells: Cells, shifts: list[tuple[int, Shift]]) -> int | None:
    for n, shift in shifts:
        text = cells[n].strip()
        if not text:
            return None
        try:
            ms = round(float(text) * shift.unit_ms)
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


def _holds(condition: ColumnTest, text: str) -> bool:
    if condition.values is not None and (text in condition.values) == condition.negated:
        return False
    if condition.empty is not None and condition.empty != (not text):
        return False
    return condition.pattern is None or condition.pattern.fullmatch(text) is not None


def all_hold(conditions: tuple[ColumnTest, ...], index: Index) -> Callable[[Cells], bool]:
    """A test of a row's cells: every condition on a column holds. Conditions on fields are not tested."""
    tests = [(index[c.column], c) for c in conditions if c.column is not None]
    if len(tests) == 1:
        # By far the most frequent case, and run for every row.
        ((at, only),) = tests
        return lambda cells: _holds(only, cells[at].strip())
    return lambda cells: all(_holds(condition, cells[n].strip()) for n, condition in tests)


def _made_test(conditions: tuple[ColumnTest, ...], index: Index) -> Callable[[Cells, Data], bool]:
    of_cells = all_hold(conditions, index)
    of_fields = [(c.made, c) for c in conditions if c.made is not None]

    def test(cells: Cells, data: Data) -> bool:
        return of_cells(cells) and all(_holds(c, str(data.get(name, ""))) for name, c in of_fields)

    return test


def _of_field(name: str, error: Reject) -> Reject:
    """The same reason, with the field between its code word and the rest."""
    word, _, rest = str(error).partition(": ")
    return Reject(f"{word}: {name}: {rest}")


def _source(value: Value) -> str:
    if value.how == "const":
        return "the constant"
    names = " and ".join(value.columns) if value.how != "first" else " or ".join(value.columns)
    return f"column {names}" if len(value.columns) == 1 else f"one of the columns {names}"
