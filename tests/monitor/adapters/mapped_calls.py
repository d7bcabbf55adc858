"""Calls as JSON, and the ids that a mapping reads of them."""

from adapter_rows import SMALL

from monitor.adapters.base import InputRow

T = 1_700_000_000
LINES = "format: jsonl\n"
JSON = SMALL.replace("format: csv", "format: json")


def call(name: object) -> str:
    return f'{{"id": {name}, "to": "2", "end": {T}}}'


def ids(found: list[InputRow]) -> list[object]:
    return [row.record.call_id if row.record else row.reason for row in found]
