"""A checked mapping: how a file's rows become records of one type. `monitor.adapters.mapping.read` creates it."""

import re
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Literal

from monitor.policy.file.errors import PolicyFault

Mark = tuple[int, int]

# A name that is not a column of the file: the row's number from 1 (header and blank lines not counted).
ROW = "$row"


@dataclass(frozen=True, slots=True)
class Dialect:
    """The format of a CSV file. ``header`` is true, or the names if the file has no header row.

    ``header`` false numbers the columns "1", "2" and so on. ``quote`` is "" if quotes have no meaning.
    """

    delimiter: str = ","
    quote: str = '"'
    header: bool | tuple[str, ...] = True


@dataclass(frozen=True, slots=True)
class ColumnTest:
    """A test on the text of a column, or of a field computed before: all given conditions must hold.

    ``values``: the text is one of them, or with ``negated`` none of them. ``empty`` and ``pattern`` may be None.
    """

    column: str | None
    made: str | None
    values: frozenset[str] | None
    negated: bool
    empty: bool | None
    pattern: re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class Table:
    """A value table. A value that is not in ``entries`` is rejected, kept, empty, or ``otherwise_value``."""

    entries: tuple[tuple[str, str], ...]
    otherwise: Literal["reject", "keep", "empty", "value"]
    otherwise_value: str = ""


@dataclass(frozen=True, slots=True)
class Shift:
    """Adds a duration column to a time, in units of ``unit_ms`` (negative to subtract)."""

    column: str
    unit_ms: int


@dataclass(frozen=True, slots=True)
class Value:
    """A field's source and transformation; equal values are computed once a row.

    ``how``: ``column``; the ``first`` column that is not empty; ``join`` of all, empty if one is; ``hmac`` of all,
    empty if all are; ``const``.
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
    """The order of rows with equal event time: by a column of integers. Rows without one come first."""

    column: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Mapping:
    """One mapping. ``marks`` has the first position of each column."""

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
        """Every column that the mapping reads, in the order of first use."""
        return tuple(self.marks)

    def column_fault(self, column: str, message: str) -> PolicyFault:
        """A fault at the first position of ``column``."""
        return PolicyFault(self.file, *self.marks[column], message)
