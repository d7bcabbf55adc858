"""Compiles one value of a mapping into a function of a row's cells."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from monitor.adapters.errors import Reject, RowErrorCode, quoted_value
from monitor.adapters.mapping.cells import Cells, Data, Index, url_decoded
from monitor.adapters.mapping.compile_conditions import all_hold, all_hold_with_fields
from monitor.adapters.mapping.spec import Shift, Table, Value
from monitor.adapters.values.durations import duration_ms
from monitor.adapters.values.numbers import NumberWriter
from monitor.adapters.values.pseudonym import pseudonym
from monitor.adapters.values.times import TimeReader
from schemas.error_codes import ErrorCode

Text = Callable[[Cells], str]
Make = Callable[[Cells], Any]
MakeLater = Callable[[Cells, Data], Any]

# A longer value is not a duration, and could overflow datetime arithmetic.
_LONGEST_MS: Final = 366 * 86_400_000
_WHOLE: Final = re.compile("[0-9]{1,15}")


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
    change = conversion(value)
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
    if is_of_column(value):
        return _of_column(index[value.columns[0]], change)
    if simple and change is not None and value.table is None:

        def quick(cells: Cells) -> Any:
            text = text_of(cells)
            return change(text) if text else None

        return quick
    return make


def is_of_column(value: Value) -> bool:
    """Whether it is the text of one column, changed or not, under no condition."""
    special = value.when or value.shifts or value.split or value.default or value.empty or value.decode
    return value.how == "column" and not special


def _of_column(at: int, change: Callable[[str], Any] | None) -> Make:
    """The value for which `is_of_column` holds."""
    if change is None:
        return lambda cells: cells[at].strip() or None

    def changed(cells: Cells) -> Any:
        text = cells[at].strip()
        if not text:
            return None
        found = change(text)
        return None if found == "" else found

    return changed


def compile_later(value: Value, index: Index, key: bytes) -> MakeLater:
    """A value that depends on fields computed before it."""
    test = all_hold_with_fields(value.when, index)
    if value.how == "cases":
        makers = [compile_later(case, index, key) for case in value.cases]

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


def conversion(value: Value) -> Callable[[str], Any] | None:
    """What converts the text of a value; None if the value is the text. It may raise `Reject`."""
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
