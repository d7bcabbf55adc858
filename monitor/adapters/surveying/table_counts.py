"""Counts which entries of a mapping's tables the rows of a file use, and which values have no entry."""

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from monitor.adapters.errors import Reject
from monitor.adapters.mapping.cells import Cells, Index
from monitor.adapters.mapping.compile_conditions import all_hold
from monitor.adapters.mapping.compile_value import compile_value, source_text
from monitor.adapters.mapping.spec import Condition, Value, needs_fields
from monitor.adapters.surveying.findings import TableUse
from monitor.adapters.surveying.row_counts import MOST_KINDS, OTHERS
from monitor.text.masking import mask_text

# A longer table is one that the mapping only names: that most of its entries are never met says nothing.
_NAMED: Final = 100


class MappingTable(NamedTuple):
    """A field or a case with a table. It is used where all of ``when`` holds and none of ``before`` has a value."""

    name: str
    value: Value
    when: tuple[Condition, ...]
    before: tuple[Value, ...]


class TableCount:
    """Counts the use of one table."""

    def __init__(self, table: MappingTable, index: Index) -> None:
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
        """Count a row."""
        text = self._text(cells) if self._is_used(cells) else ""
        if text in self._known:
            self._left.pop(text, None)
        elif text:
            self._without[text if text in self._without or len(self._without) < MOST_KINDS else OTHERS] += 1

    def _is_used(self, cells: Cells) -> bool:
        if not self._applies(cells):
            return False
        try:
            return all(make(cells) in (None, []) for make in self._before)
        except Reject:
            return False

    def use(self) -> TableUse:
        """The use of the table in the rows so far."""
        without = {mask_text(text): count for text, count in self._without.most_common()}
        return TableUse(self._columns, self._otherwise, list(self._left), without)


def mapping_tables(fields: dict[str, Value]) -> Iterator[MappingTable]:
    """The fields with a table that is written out in the mapping; a case as `outcome.2`."""
    for name, value in fields.items():
        yield from _tables_of(MappingTable(name, value, value.when, ()))


def _tables_of(found: MappingTable) -> Iterator[MappingTable]:
    value = found.value
    if value.table is not None and len(value.table.entries) < _NAMED:
        yield found
    for n, case in enumerate(value.cases):
        before = (*found.before, *value.cases[:n])
        yield from _tables_of(MappingTable(f"{found.name}.{n + 1}", case, found.when + case.when, before))
