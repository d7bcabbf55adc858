"""Finds values of another type than their column's, which SQLite stores; nothing can be recomputed from them."""

from typing import Any, Final

from sqlalchemy import Column, Connection, LargeBinary, String, Table, func, or_, select

from monitor.text.masking import visible
from streams.consumers.ledger.tables import METADATA

_MOST_SHOWN: Final = 40


def mistyped(connection: Connection) -> list[str]:
    """The rows with such values, each as a difference. PostgreSQL stores none."""
    if connection.dialect.name != "sqlite":
        return []
    return [fault for table in METADATA.sorted_tables for fault in _of_table(connection, table)]


def _of_table(connection: Connection, table: Table) -> list[str]:
    found = [(column, func.typeof(column)) for column in table.columns]
    wrong = [kind.not_in((*_expected(column), "null")) for column, kind in found]
    # Quoted by SQLite: the driver fails at some values.
    keys = [func.quote(column) for column in table.primary_key.columns]
    rows = connection.execute(select(*keys, *(kind for _, kind in found)).where(or_(*wrong)))
    faults = []
    names = [column.name for column in table.primary_key.columns]
    for row in rows:
        place = ", ".join(f"{name} {_shown(value)}" for name, value in zip(names, row, strict=False))
        for (column, _), kind in zip(found, row[len(keys) :], strict=True):
            if kind != "null" and kind not in _expected(column):
                expected = " or ".join(_expected(column))
                faults.append(
                    f"{table.name}, {place}: the column {column.name} has the type {kind}; expected {expected}: "
                    "it was changed by hand. Restore it: until then nothing else is verified"
                )
    return faults


def _expected(column: "Column[Any]") -> tuple[str, ...]:
    if isinstance(column.type, LargeBinary):
        return "blob", "text"  # text is taken for its bytes
    return ("text",) if isinstance(column.type, String) else ("integer",)


def _shown(value: str) -> str:
    text = visible(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
