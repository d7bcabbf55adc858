"""What a format of several records a call makes of a content: its outcome, its reasons, its calls."""

import json
from typing import Any

from adapter_rows import fields, read

from monitor.adapters.base import InputRow


def reasons(name: str, content: str, **settings: str) -> list[str]:
    return [row.reason.partition(":")[0] for row in read(name, content, **settings) if row.reason is not None]


def outcome(name: str, content: str, **settings: str) -> tuple[str, str | None]:
    found = fields(name, content, **settings)
    assert ("answer_ms" in found) == (found["outcome"] == "answered")
    return found["outcome"], found.get("hangup_by")


def calls_of(rows: list[InputRow]) -> list[InputRow]:
    return [row for row in rows if row.record is not None]


def lines(documents: list[dict[str, Any]]) -> str:
    return "\n".join(map(json.dumps, documents))
