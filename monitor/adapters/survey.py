"""The dry run: how an adapter reads a file, and statistics for the mapping's author."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from monitor.adapters.assembled import AssembledAdapter
from monitor.adapters.bank import COLUMNS, BankAdapter
from monitor.adapters.base import Adapter, InputRow
from monitor.adapters.errors import Reject, RowErrorCode
from monitor.adapters.mapped import MappedAdapter, MappedRows
from monitor.adapters.mapping.cells import Cells, Index
from monitor.adapters.mapping.compile_conditions import all_hold
from monitor.adapters.mapping.compile_value import compile_value, source_text
from monitor.adapters.mapping.read import record_fields
from monitor.adapters.mapping.spec import ROW, Condition, Mapping, Value, needs_fields
from monitor.adapters.shipped import ByHeader
from monitor.adapters.versioned import VersionedAdapter
from monitor.text.display import DEFAULT, Display
from monitor.text.masking import mask_id, mask_number, mask_text
from monitor.text.record_ids import ID_FIELDS, ids_of
from schemas.error_messages import NUMBER_FIELDS
from schemas.inputs import Cdr, Record, Tenant

# Counts by value are bounded: a file of another kind could have a new value in each row.
_KINDS: Final = 1_000
_OTHER: Final = "(others)"
_LOOKED_AT: Final = 1_000
# So many ids are remembered, to find repeated ones: 100 MB.
_IDS: Final = 1_000_000
_EXAMPLES: Final = 3
_KEYS: Final = ("call_id", "complaint_id", "finding_id", "application_id", "review_id", "status", "verdict")
# A longer table is one that the mapping only names: that most of its entries are never met says nothing.
_NAMED: Final = 100
_NO_TENANT: Final = "missing_field: tenant_id: "
_DEEP: Final = 3
# Two reasons are of one kind if they differ only in quoted values and numbers.
_VALUE: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[0-9]+""")


@dataclass(slots=True)
class ReasonCount:
    """One kind of reason: an example, its number of rows, and the first line that has it."""

    example: str
    rows: int
    line: int


@dataclass(slots=True)
class TableUse:
    """The use of a value table: entries that no row has, and values without an entry, with their rows."""

    columns: tuple[str, ...]
    otherwise: str
    never_met: list[str]
    without_entry: dict[str, int]


@dataclass(slots=True)
class KeptNumbers:
    """The values of a field of numbers that are not written in E.164, with examples, masked."""

    rows: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class RepeatedIds:
    """Records with the id of an earlier record, the line of the first, and how many ids were compared."""

    rows: int = 0
    line: int = 0
    compared: int = 0


@dataclass(slots=True)
class TenantUse:
    """Different tenants (counted up to 1,000), one of them, whether the file names them, and rows that do not."""

    count: int = 0
    example: str = ""
    from_file: bool = True
    missing: int = 0

    @property
    def constant(self) -> bool:
        """Whether the file has one tenant, although each record names its own."""
        return self.from_file and self.count == 1


@dataclass(slots=True)
class Survey:
    """The outcome of the rows read, in file order. Times in ms.

    ``steps_back`` counts records earlier than the previous one, ``behind`` those earlier than any previous one. Of a
    mapping with events ``rows`` are the calls and rejected events, and ``events`` is the number of rows of the file.
    ``settle_ms`` is how long a mapping with versions holds a call (None: it names no version), and ``superseded`` how
    many rows do not count as another version does.
    """

    mapping: str
    columns: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    rows: int = 0
    records: int = 0
    reasons: list[ReasonCount] = field(default_factory=list)
    tables: dict[str, TableUse] = field(default_factory=dict)
    filled: dict[str, int] = field(default_factory=dict)
    first_ms: int | None = None
    last_ms: int | None = None
    steps_back: int = 0
    behind: int = 0
    furthest_behind_ms: int = 0
    sorts: bool = True
    samples: list[dict[str, Any]] = field(default_factory=list)
    internal_legs: int = 0
    repeated: RepeatedIds = field(default_factory=RepeatedIds)
    kept_numbers: dict[str, KeptNumbers] = field(default_factory=dict)
    tenants: TenantUse = field(default_factory=TenantUse)
    events: int = 0
    settle_ms: int | None = None
    superseded: int = 0

    @property
    def unused(self) -> list[str]:
        """Columns of the file that the mapping does not read."""
        return [column for column in self.columns if column not in self.used]

    @property
    def never_filled(self) -> list[str]:
        """Fields that no record has."""
        return [name for name, count in self.filled.items() if not count]


def survey(
    adapter: Adapter,
    lines: Iterator[bytes],
    limit: int | None = None,
    samples: int = 3,
    display: Display = DEFAULT,
) -> Survey:
    """Read the first ``limit`` rows (default: all) of a file, given as its lines, in order. ``display`` masks samples.

    Raises `MappingError` if the file does not fit the adapter. Keeps counts, not rows.
    """
    if isinstance(adapter, ByHeader):
        adapter, lines = adapter.chosen(lines)
    if isinstance(adapter, AssembledAdapter):
        return _survey_calls(adapter, lines, limit, samples, display)
    if isinstance(adapter, VersionedAdapter):
        return _survey_versions(adapter, lines, limit, samples, display)
    if isinstance(adapter, MappedAdapter):
        return _survey_rows(adapter, lines, limit, samples, display)
    if isinstance(adapter, BankAdapter):
        found = Survey("bank-calls", list(COLUMNS), list(COLUMNS), tenants=TenantUse(from_file=False))
        seen = _Seen(found, samples, Cdr, display)
        for row in islice(adapter.file_rows(lines), limit):
            seen.add(row)
        return seen.finish()
    raise TypeError(f"no dry run for {type(adapter).__name__}")


class _Seen:
    """Counts rows into a survey."""

    def __init__(self, found: Survey, samples: int, record_type: type[Any], display: Display) -> None:
        self.found = found
        self._samples, self._display = samples, display
        self._reasons: dict[str, ReasonCount] = {}
        self._filled: Counter[str] = Counter()
        self._fields = tuple(record_fields(record_type))
        self._before_ms = 0
        self._ids: set[int] = set()
        self._tenants: set[str] = set()
        self._of_key = tuple(name for name in _KEYS if name in self._fields)

    def add(self, row: InputRow) -> None:
        found = self.found
        found.rows += 1
        if row.record is None:
            self._reject(row.reason or "", row.line)
            return
        found.records += 1
        self._identify(row.record, row.line)
        for name, kept in found.kept_numbers.items():
            text = getattr(row.record, name)
            if text and not text.startswith("+"):
                kept.rows += 1
                shown = mask_text(text)  # a short code shows what the mapping leaves
                if len(kept.examples) < _EXAMPLES and shown not in kept.examples:
                    kept.examples.append(shown)
        self._filled.update(name for name in self._fields if getattr(row.record, name) not in (None, "", []))
        event_ms = row.record.end_ms if isinstance(row.record, Cdr) else row.record.updated_ms
        if found.last_ms is not None and event_ms < found.last_ms:
            found.steps_back += event_ms < self._before_ms
            found.behind += 1
            found.furthest_behind_ms = max(found.furthest_behind_ms, found.last_ms - event_ms)
        self._before_ms = event_ms
        found.first_ms = event_ms if found.first_ms is None else min(found.first_ms, event_ms)
        found.last_ms = event_ms if found.last_ms is None else max(found.last_ms, event_ms)
        if len(found.samples) < self._samples:
            found.samples.append(masked(row.record, self._display))

    def _identify(self, record: Record, line: int) -> None:
        found = self.found
        if len(self._tenants) < _KINDS:
            self._tenants.add(record.tenant_id)
            found.tenants.count, found.tenants.example = len(self._tenants), record.tenant_id
        if isinstance(record, Tenant) or len(self._ids) >= _IDS:
            return
        key = hash((record.tenant_id, *(getattr(record, name) for name in self._of_key)))
        found.repeated.compared += 1
        if key in self._ids:
            found.repeated.rows += 1
            found.repeated.line = found.repeated.line or line
        self._ids.add(key)

    def _reject(self, reason: str, line: int) -> None:
        self.found.internal_legs += reason.startswith(RowErrorCode.INTERNAL_LEG)
        self.found.tenants.missing += reason.startswith(_NO_TENANT)
        self.found.superseded += reason.startswith(RowErrorCode.SUPERSEDED)  # also those that came late
        kind = _VALUE.sub("…", reason)
        if kind not in self._reasons and len(self._reasons) >= _KINDS:
            kind = reason = _OTHER
        count = self._reasons.setdefault(kind, ReasonCount(mask_text(reason), 0, line))
        count.rows += 1

    def finish(self) -> Survey:
        self.found.reasons = sorted(self._reasons.values(), key=lambda count: (-count.rows, count.line))
        self.found.filled = {name: self._filled[name] for name in self._fields}
        return self.found


def _survey_rows(
    adapter: MappedAdapter, lines: Iterable[bytes], limit: int | None, samples: int, display: Display
) -> Survey:
    reader = adapter.reader(lines)
    counted = _Counted(adapter.mapping, reader, reader.index, samples, display)
    for number, (line, raw) in enumerate(islice(reader.records(), limit), 1):
        counted.seen.add(reader.row(line, raw, number))
        counted.look(raw)
        if counted.tables:
            try:
                counted.count(reader.cells(raw, number))
            except Reject:
                continue
    return counted.finish()


def _survey_calls(
    adapter: AssembledAdapter, lines: Iterable[bytes], limit: int | None, samples: int, display: Display
) -> Survey:
    reader = adapter.reader(lines)
    counted = _Counted(adapter.mapping, reader, adapter.program.index, samples, display)
    for row, cells in adapter.calls(reader, limit, counted.look):
        counted.seen.add(row)
        if cells:
            counted.count(cells)
    found = counted.finish()
    found.events = counted.looked
    return found


def _survey_versions(
    adapter: VersionedAdapter, lines: Iterable[bytes], limit: int | None, samples: int, display: Display
) -> Survey:
    reader = adapter.reader(lines)
    counted = _Counted(adapter.mapping, reader, reader.index, samples, display)

    def look(raw: bytes, number: int) -> None:
        counted.look(raw)
        if counted.tables:
            try:
                counted.count(reader.cells(raw, number))
            except Reject:
                return

    for row in adapter.rows_of(reader, limit, look):
        counted.seen.add(row)
    return counted.finish()


class _Counted:
    """What is counted of a mapping: its records, its tables, and the columns of the file."""

    def __init__(self, mapping: Mapping, reader: MappedRows, index: Index, samples: int, display: Display) -> None:
        self._is_csv = mapping.form == "csv"
        used = [column for column in mapping.columns if column != ROW]
        found = Survey(mapping.name, list(reader.names) if self._is_csv else [], used, sorts=mapping.sort)
        found.kept_numbers = {name: KeptNumbers() for name, value in mapping.fields.items() if _has_number(value)}
        found.settle_ms = None if mapping.versions is None else mapping.versions.settle_ms
        found.tenants.from_file = mapping.fields["tenant_id"].how != "const"
        self.seen = _Seen(found, samples, mapping.record_type, display)
        self.tables = [_TableCount(each, index) for each in _tables(mapping.fields)]
        self.looked = 0
        self._keys: dict[str, None] = {}

    def count(self, cells: Cells) -> None:
        for table in self.tables:
            table.add(cells)

    def look(self, raw: bytes) -> None:
        """Find the columns of a JSON row; of the first rows only."""
        self.looked += 1
        if self._is_csv or self.looked > _LOOKED_AT:
            return
        try:
            self._name(orjson.loads(raw), "", 1)
        except orjson.JSONDecodeError:
            return

    def finish(self) -> Survey:
        found = self.seen.finish()
        found.columns = found.columns or list(self._keys)
        found.tables = {table.field: table.use() for table in self.tables}
        return found

    def _name(self, value: Any, prefix: str, depth: int) -> None:
        if not isinstance(value, dict):
            return
        for key, inner in value.items():
            if len(self._keys) >= _KINDS:
                return
            if isinstance(inner, dict) and inner and depth < _DEEP:
                self._name(inner, f"{prefix}{key}.", depth + 1)
            else:
                self._keys.setdefault(prefix + key)


class _Table(NamedTuple):
    """A field or a case with a table. It is used where all of ``when`` holds and none of ``before`` has a value."""

    name: str
    value: Value
    when: tuple[Condition, ...]
    before: tuple[Value, ...]


class _TableCount:
    def __init__(self, table: _Table, index: Index) -> None:
        value = table.value
        self.field = table.name
        self._columns = value.columns
        self._otherwise = value.table.otherwise if value.table else ""
        self._applies = all_hold(table.when, index)
        # What depends on other fields is not known here: such a case counts as one without a value.
        self._before = [compile_value(each, index, b"dry run") for each in table.before if not needs_fields(each)]
        self._text = source_text(value, index, b"dry run")
        self._left = dict.fromkeys(key for key, _ in (value.table.entries if value.table else ()))
        self._known = frozenset(self._left)
        self._without: Counter[str] = Counter()

    def add(self, cells: Cells) -> None:
        text = self._text(cells) if self._is_used(cells) else ""
        if text in self._known:
            self._left.pop(text, None)
        elif text:
            self._without[text if text in self._without or len(self._without) < _KINDS else _OTHER] += 1

    def _is_used(self, cells: Cells) -> bool:
        if not self._applies(cells):
            return False
        try:
            return all(make(cells) in (None, []) for make in self._before)
        except Reject:
            return False

    def use(self) -> TableUse:
        without = {mask_text(text): count for text, count in self._without.most_common()}
        return TableUse(self._columns, self._otherwise, list(self._left), without)


def _tables(fields: dict[str, Value]) -> Iterator[_Table]:
    """The fields with a table that is written out in the mapping; a case as `outcome.2`."""
    for name, value in fields.items():
        yield from _tables_of(_Table(name, value, value.when, ()))


def _tables_of(found: _Table) -> Iterator[_Table]:
    value = found.value
    if value.table is not None and len(value.table.entries) < _NAMED:
        yield found
    for n, case in enumerate(value.cases):
        before = (*found.before, *value.cases[:n])
        yield from _tables_of(_Table(f"{found.name}.{n + 1}", case, found.when + case.when, before))


def _has_number(value: Value) -> bool:
    return value.number is not None or any(map(_has_number, value.cases))


def masked(record: Record, display: Display) -> dict[str, Any]:
    """A record as data for display: numbers masked, ids as the display says, empty fields omitted."""
    found: dict[str, Any] = {"type": record.__struct_config__.tag}
    ids = ids_of(record)
    for name, value in msgspec.structs.asdict(record).items():
        if isinstance(value, str) and value:
            if name in NUMBER_FIELDS:
                found[name] = mask_number(value)
            elif name in ID_FIELDS:
                found[name] = mask_id(value, display.mask_ids)
            else:
                found[name] = mask_text(value, ids, display.mask_ids)
        elif isinstance(value, list):
            mask = mask_number if name in NUMBER_FIELDS else partial(mask_text, ids=ids, mask_ids=display.mask_ids)
            found[name] = [mask(item) for item in value]
        elif value not in (None, ""):
            found[name] = value
    return found
