"""The dry run: how an adapter reads a file, and statistics for the mapping's author."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

import orjson

from monitor.adapters.assembled import AssembledAdapter
from monitor.adapters.bank import COLUMNS, BankAdapter
from monitor.adapters.base import Adapter
from monitor.adapters.errors import Reject
from monitor.adapters.mapped import MappedAdapter, MappedRows
from monitor.adapters.mapping.cells import Cells, Index
from monitor.adapters.mapping.spec import ROW, Mapping, Value
from monitor.adapters.shipped import ByHeader
from monitor.adapters.surveying.findings import KeptNumbers, Survey, TenantUse
from monitor.adapters.surveying.row_counts import MOST_KINDS, RowCounts
from monitor.adapters.surveying.table_counts import TableCount, mapping_tables
from monitor.adapters.versioned import VersionedAdapter
from monitor.text.display import DEFAULT, Display
from schemas.inputs import Cdr

_LOOKED_AT: Final = 1_000
_DEEP: Final = 3


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
        seen = RowCounts(found, samples, Cdr, display)
        for row in islice(adapter.file_rows(lines), limit):
            seen.add(row)
        return seen.finish()
    raise TypeError(f"no dry run for {type(adapter).__name__}")


def _survey_rows(
    adapter: MappedAdapter, lines: Iterable[bytes], limit: int | None, samples: int, display: Display
) -> Survey:
    reader = adapter.reader(lines)
    counted = _Counted(adapter.mapping, reader, reader.index, samples, display)
    for number, (line, raw) in enumerate(islice(reader.records(), limit), 1):
        counted.seen.add(reader.row(line, raw, number))
        counted.look_at(raw, number)
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
    for row in adapter.rows_of(reader, limit, counted.look_at):
        counted.seen.add(row)
    return counted.finish()


class _Counted:
    """What is counted of a mapping: its records, its tables, and the columns of the file."""

    def __init__(self, mapping: Mapping, reader: MappedRows, index: Index, samples: int, display: Display) -> None:
        self._is_csv, self._reader = mapping.form == "csv", reader
        used = [column for column in mapping.columns if column != ROW]
        found = Survey(mapping.name, list(reader.names) if self._is_csv else [], used, sorts=mapping.sort)
        found.kept_numbers = {name: KeptNumbers() for name, value in mapping.fields.items() if _has_number(value)}
        found.settle_ms = None if mapping.versions is None else mapping.versions.settle_ms
        found.tenants.from_file = mapping.fields["tenant_id"].how != "const"
        self.seen = RowCounts(found, samples, mapping.record_type, display)
        self.tables = [TableCount(each, index) for each in mapping_tables(mapping.fields)]
        self.looked = 0
        self._keys: dict[str, None] = {}

    def look_at(self, raw: bytes, number: int) -> None:
        """Count one row."""
        self.look(raw)
        if not self.tables:
            return
        try:
            self.count(self._reader.cells(raw, number))
        except Reject:  # it is counted among the rejected rows
            return

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
            if len(self._keys) >= MOST_KINDS:
                return
            if isinstance(inner, dict) and inner and depth < _DEEP:
                self._name(inner, f"{prefix}{key}.", depth + 1)
            else:
                self._keys.setdefault(prefix + key)


def _has_number(value: Value) -> bool:
    return value.number is not None or any(map(_has_number, value.cases))
