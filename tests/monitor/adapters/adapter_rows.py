"""Shared by the adapters' tests: a small mapping, and rows read from a text."""

import io
from pathlib import Path
from typing import Any

import msgspec

from monitor.adapters.base import InputRow
from monitor.adapters.mapped import MappedAdapter
from monitor.adapters.mapping.read import read_mapping
from monitor.adapters.shipped import open_adapter
from monitor.adapters.values.pseudonym import PUBLIC_KEY

DATA = Path(__file__).parents[4] / "shared" / "data"

# One call per row: an id, its end in epoch seconds, an outcome code.
SMALL = """\
format: csv
record: cdr
fields:
  call_id: {column: id}
  tenant_id: {column: tenant}
  direction: {const: outbound}
  caller: {const: "+8675586013388"}
  callee: {column: to}
  start_ms: {column: end, time: epoch_s}
  end_ms: {column: end, time: epoch_s}
  outcome: {const: busy}
"""

# One application per row: the minimum of fields, for tests of a single value.
ONE = """\
record: application
fields:
  application_id: {column: id}
  tenant_id: {column: tenant}
  updated_ms: {const: "1700000000000"}
"""


def adapter(mapping: str, constants: dict[str, str] | None = None) -> MappedAdapter:
    """The adapter of a mapping's text; of `SMALL` and `ONE` for a file of one tenant, and therefore
    without its column.
    """
    if "tenant_id: {column: tenant}" in mapping:
        constants = {"tenant_id": "acme", **(constants or {})}
    return MappedAdapter(read_mapping(mapping, "test.yaml", constants), PUBLIC_KEY)


def rows(mapping: str, content: bytes | str, constants: dict[str, str] | None = None) -> list[InputRow]:
    """All rows of a file's content, as replay receives them."""
    data = content.encode() if isinstance(content, str) else content
    return list(adapter(mapping, constants).rows(io.BytesIO(data)))


def value(field: str, content: str, more: str = "") -> object:
    """The value of the field ``declared_business`` in the one row of ``content``, or the row's reason."""
    (row,) = rows(f"{more}{ONE}  declared_business: {field}\n", content)
    return row.reason if row.record is None else row.record.declared_business


def time_of(field: str, content: str, more: str = "") -> object:
    """The value of the field ``updated_ms`` in the one row of ``content``, or the row's reason."""
    mapping = f"{more}{ONE}  declared_business: {{const: hotel}}\n"
    (row,) = rows(mapping.replace('{const: "1700000000000"}', field), content)
    return row.reason if row.record is None else row.record.updated_ms


START = 1_772_415_000_000  # 2026-03-02T01:30:00Z


def read(name: str, content: str, **settings: str) -> list[InputRow]:
    """All rows of a file in the shipped format."""
    return list(open_adapter(name, settings).rows(io.BytesIO(content.encode())))


def fields(name: str, content: str, **settings: str) -> dict[str, Any]:
    """The fields of the file's one record that are not empty; times as ms since `START`."""
    (row,) = read(name, content, **settings)
    assert row.record is not None, row.reason
    found = {key: value for key, value in msgspec.structs.asdict(row.record).items() if value not in (None, "")}
    return {key: value - START if key.endswith("_ms") else value for key, value in found.items()}
