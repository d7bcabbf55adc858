"""Compiles a mapping's fields into one function from a row's cells to the data of a record."""

from collections.abc import Callable
from typing import Any, Final

from monitor.adapters.errors import Reject
from monitor.adapters.mapping.cells import Cells, Data, Index
from monitor.adapters.mapping.compile_conditions import all_hold
from monitor.adapters.mapping.compile_value import MakeLater, compile_later, compile_value, conversion, is_of_column
from monitor.adapters.mapping.spec import Mapping as Spec
from monitor.adapters.mapping.spec import Value, needs_fields
from schemas.error_codes import ErrorCode

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
                self._later.append((name, compile_later(value, index, key)))
            elif value.how == "const" and not value.when:
                self._fixed[name] = compile_value(value, index, key)([])
            else:
                same.setdefault(value, []).append(name)
        # The text of a column is by far the most frequent kind of field: `data` reads it itself, without a call.
        for value, names in same.items():
            only, plain = names[0] if len(names) == 1 else "", is_of_column(value)
            make = conversion(value) if plain else compile_value(value, index, key)
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
                raise error.of(names[0]) from None
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
                raise error.of(name) from None
            if value is not None:
                data[name] = value
            else:
                self._require((name,))

    def _require(self, names: tuple[str, ...]) -> None:
        for name in names:
            if name in self._required:
                raise Reject(f"{ErrorCode.MISSING_FIELD}: {name}: {self._sources[name]} is empty")


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


def _source(value: Value) -> str:
    if value.how == "const":
        return "the constant"
    if value.how == "cases":
        return "each of the cases"
    names = " and ".join(value.columns) if value.how != "first" else " or ".join(value.columns)
    return f"column {names}" if len(value.columns) == 1 else f"one of the columns {names}"
