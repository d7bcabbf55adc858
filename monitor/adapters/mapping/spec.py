"""A checked mapping: how a file's rows become records of one type. `monitor.adapters.mapping.read` creates it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Literal

from monitor.adapters.mapping.paths import PathStep
from monitor.adapters.values.patterns import LinearPattern
from monitor.policy.file.errors import PolicyFault
from monitor.text.bilingual import Bilingual

Mark = tuple[int, int]
Form = Literal["csv", "json", "jsonl", "form"]

# A name that is not a column of the file: the row's number from 1 (header and blank lines not counted).
ROW = "$row"

FIRST_MS, LAST_MS, ENDED = "$first_ms", "$last_ms", "$ended"
"""Columns of an assembled call: the times of its first and of its last event, and why it ended."""

KIND, SWAPPED = "$kind", "$swapped"
"""Columns of one event of a call: its kind, and whether its ends are swapped, compared with the opening event."""

CLOSED, TIMEOUT = "closed", "timeout"
"""The texts of `ENDED`."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The format of a CSV file. ``header`` is true, or the names if the file has no header row.

    ``header`` false numbers the columns "1", "2" and so on. ``quote`` is "" if quotes have no meaning. A row has at
    least the first ``least`` columns of a list of names (0: all of them).
    """

    delimiter: str = ","
    quote: str = '"'
    header: bool | tuple[str, ...] = True
    least: int = 0


@dataclass(frozen=True, slots=True)
class ColumnTest:
    """A test on the text of a column, of a field computed before, or a ``fixed`` one: all given conditions must hold.

    ``values``: the text is one of them, or with ``negated`` none of them. ``empty`` and ``pattern`` may be None.
    ``same_as`` is a column with the same text. With ``parts`` all conditions but that one must hold for what one of its
    groups matches.
    """

    column: str | None
    made: str | None
    fixed: str
    values: frozenset[str] | None
    negated: bool
    empty: bool | None
    pattern: LinearPattern | None
    same_as: str | None = None
    parts: LinearPattern | None = None


@dataclass(frozen=True, slots=True)
class GroupTest:
    """Holds if at least one of ``tests`` does, or with ``negated`` none of them."""

    tests: tuple["Condition", ...]
    negated: bool


Condition = ColumnTest | GroupTest


@dataclass(frozen=True, slots=True)
class Table:
    """A value table. A value that is not in ``entries`` is rejected, kept, empty, or ``otherwise_value``."""

    entries: tuple[tuple[str, str], ...]
    otherwise: Literal["reject", "keep", "empty", "value"]
    otherwise_value: str = ""


@dataclass(frozen=True, slots=True)
class Shift:
    """Adds a duration column in ``unit`` to a time, or subtracts it if ``sign`` is -1."""

    column: str
    unit: str
    sign: int


@dataclass(frozen=True, slots=True)
class Value:
    """A field's source and transformation; equal values are computed once a row.

    ``how``: ``column``; the ``first`` column that is not empty; ``join`` of all, empty if one is; ``hmac`` of all,
    empty if all are; ``const``; ``cases``: the first of the values in ``cases`` that applies and is not empty.
    ``integer`` has the limits of a whole number; other texts leave the field empty.
    """

    how: Literal["column", "first", "join", "hmac", "const", "cases"]
    columns: tuple[str, ...] = ()
    const: str = ""
    separator: str = ""
    empty: frozenset[str] = frozenset()
    decode: bool = False
    default: str = ""
    table: Table | None = None
    time: tuple[str, ...] = ()
    zone: tzinfo | None = None
    number: tuple[str, LinearPattern | None] | None = None
    split: str = ""
    integer: tuple[int, int] | None = None
    shifts: tuple[Shift, ...] = ()
    when: tuple[Condition, ...] = ()
    cases: tuple["Value", ...] = ()


@dataclass(frozen=True, slots=True)
class Extract:
    """Columns made of the first of ``columns`` that is not empty: the named groups of ``pattern``."""

    columns: tuple[str, ...]
    pattern: LinearPattern


@dataclass(frozen=True, slots=True)
class RejectRule:
    """Rows for which ``when`` holds are rejected with this code word and reason."""

    when: tuple[Condition, ...]
    reason: str
    code: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """The order of rows with equal event time: by a column of integers. Rows without one come first."""

    column: str
    descending: bool


@dataclass(frozen=True, slots=True)
class EventKind:
    """Events of one kind: those for which ``when`` holds, and for which no earlier kind's does.

    Of several events of a call the first counts, in the order of the call, or the last if ``last``. ``fails``: the
    event closes a call that has no answer.
    """

    name: str
    when: tuple[Condition, ...]
    opens: bool
    answers: bool
    closes: bool
    fails: bool
    last: bool


@dataclass(frozen=True, slots=True)
class Pick:
    """A column of a call: ``column`` of its first event in which it is not empty, or of the first of ``kinds``."""

    column: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Events:
    """How several records make one call.

    Events of one call have the same text ``call`` and the same two texts ``ends``, in either order. ``sequence`` is a
    column of whole numbers that orders them; without it their time does. An unanswered call ends ``ring_timeout_ms``
    after its last event, a closed one ``settle_ms`` after it, every other one ``max_call_ms`` after its first event.
    ``picks`` are the columns of a call, by their names in the mapping.
    """

    call: Value
    ends: tuple[str, ...]
    time: Value
    sequence: str
    kinds: tuple[EventKind, ...]
    ring_timeout_ms: int
    max_call_ms: int
    settle_ms: int
    picks: dict[str, Pick]


@dataclass(frozen=True, slots=True)
class Versions:
    """How several rows correct one call: of those that come within ``settle_ms`` the one of the greatest ``version``
    counts. With ``settle_ms`` 0 no row is held.
    """

    version: Value
    settle_ms: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """One mapping. ``marks`` has the first position of each column.

    ``rows`` are paths, the first that a document has counts. ``field`` is the form field that holds the document.
    ``decode``: every text of the file is percent-encoded. Times of a call that contradict each other by at most
    ``precision_ms`` are corrected. With ``events`` a row is an event, and a record is made of a call's events. With
    ``versions`` a row is one version of its record. ``tenant_columns``: those of the file that name the tenant.
    """

    name: str
    file: str
    about: str
    form: Form
    encoding: str
    dialect: Dialect
    rows: tuple[tuple[PathStep, ...], ...]
    field: str
    decode: bool
    extracts: tuple[Extract, ...]
    precision_ms: int
    record: str
    record_type: type[Any]
    required: frozenset[str]
    event: str
    sort: bool
    arrival: Arrival | None
    rejections: tuple[RejectRule, ...]
    fields: dict[str, Value]
    optional: frozenset[str]
    marks: dict[str, Mark]
    tenant_columns: frozenset[str]
    events: Events | None = None
    versions: Versions | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the mapping reads, in the order of first use."""
        return tuple(self.marks)

    def column_fault(self, column: str, message: Bilingual) -> PolicyFault:
        """A fault at the first position of ``column``."""
        return PolicyFault.worded(self.file, *self.marks[column], message)


def fields_of(conditions: tuple[Condition, ...]) -> Iterator[str]:
    """The fields of the record that the conditions test."""
    for condition in conditions:
        if isinstance(condition, GroupTest):
            yield from fields_of(condition.tests)
        elif condition.made is not None:
            yield condition.made


def depends_on_fields(conditions: tuple[Condition, ...]) -> bool:
    """Whether a condition tests a field of the record."""
    return next(fields_of(conditions), None) is not None


def tested_fields(value: Value) -> set[str]:
    """The fields of the record that the conditions of a value test."""
    return set(fields_of(value.when)).union(*map(tested_fields, value.cases))


def needs_fields(value: Value) -> bool:
    """Whether a value can be computed only after other fields."""
    return bool(tested_fields(value))
