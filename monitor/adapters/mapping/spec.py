"""A checked mapping: how one file's rows become one type of record. `monitor.adapters.mapping.read` makes it."""

import re
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Literal

from monitor.policy.file.errors import PolicyFault

Mark = tuple[int, int]

# Names that stand for no column of the file: the row's number from 1 (header and blank lines not counted).
ROW = "$row"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written. ``header`` is true, or the names where the file has none.

    ``header`` false numbers the columns "1", "2" and so on. ``quote`` is "" where quotes mean nothing.
    """

    delimiter: str = ","
    quote: str = '"'
    header: bool | tuple[str, ...] = True


@dataclass(frozen=True, slots=True)
class ColumnTest:
    """A test on the text of a column, or of a field already made: all that are given must hold.

    ``values`` with ``negated`` false: is one of them; true: is none of them. ``empty`` and ``pattern`` may be None.
    """

    column: str | None
    made: str | None
    values: frozenset[str] | None
    negated: bool
    empty: bool | None
    pattern: re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class Table:
    """A value table. What is not in ``entries`` is rejected, kept, empty, or ``otherwise_value``."""

    entries: tuple[tuple[str, str], ...]
    otherwise: Literal["reject", "keep", "empty", "value"]
    otherwise_value: str = ""


@dataclass(frozen=True, slots=True)
class Shift:
    """Adds a duration column to a time, ``unit_ms`` each (negative to take it off)."""

    column: str
    unit_ms: int


@dataclass(frozen=True, slots=True)
class Value:
    """Where a field's value comes from and what becomes of it; equal values are worked out once a row.

    ``how``: ``column``; ``first`` column that is not empty; ``join`` of all, empty when one is; ``hmac`` of all,
    empty when all are; ``const``.
    """

    how: Literal["column", "first", "join", "hmac", "const"]
    columns: tuple[str, ...] = ()
    const: str = ""
    separator: str = ""
    empty: frozenset[str] = frozenset()
    default: str = ""
    table: Table | None = None
    time: tuple[str, ...] = ()
    zone: tzinfo | None = None
    number: tuple[str, re.Pattern[str] | None] | None = None
    split: str = ""
    shifts: tuple[Shift, ...] = ()
    when: tuple[ColumnTest, ...] = ()


@dataclass(frozen=True, slots=True)
class RejectRule:
    """Rows for which ``when`` holds are rejected with this reason."""

    when: tuple[ColumnTest, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """The order among rows of one event time: by a column of whole numbers. Rows without one come first."""

    column: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Mapping:
    """One mapping. ``marks`` says where each column is named first."""

    name: str
    file: str
    about: str
    form: Literal["csv", "json", "jsonl"]
    encoding: str
    dialect: Dialect
    rows: tuple[str, ...]
    record: str
    record_type: type[Any]
    required: frozenset[str]
    event: str
    sort: bool
    arrival: Arrival | None
    refusals: tuple[RejectRule, ...]
    fields: dict[str, Value]
    optional: frozenset[str]
    marks: dict[str, Mark]

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the mapping reads, in the order in which it names them."""
        return tuple(self.marks)

    def column_fault(self, column: str, message: str) -> PolicyFault:
        """A fault at the place where ``column`` is named first."""
        return PolicyFault(self.file, *self.marks[column], message)
