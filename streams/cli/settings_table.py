"""The settings as text: each with its value, its origin and its meaning; never a secret."""

import ast
import inspect
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pydantic import SecretStr
from sqlalchemy import make_url

from monitor.text.durations import format_duration
from monitor.text.timestamps import rfc3339
from streams.consumers.database import masked_url
from streams.settings.load import GivenSettings, Settings, variable
from streams.settings.types import DatabaseUrl, Moment

_HIDDEN = "(hidden)"
_LINK = re.compile(r"\[[a-z-]+\.md\]\(([a-z./-]+)\)")  # from docs/reference/settings.md, which has the table
_HINTS = typing.get_type_hints(Settings, include_extras=True)
_DATABASES = {name for name, hint in _HINTS.items() if hint == DatabaseUrl}
_MOMENTS = {name for name, hint in _HINTS.items() if hint == Moment}


@dataclass(frozen=True, slots=True)
class SettingRow:
    """A setting; ``value`` and ``default`` are None if not set."""

    name: str
    value: str | None
    source: str
    default: str | None
    meaning: str


def rows(settings: Settings, given: GivenSettings) -> Iterator[SettingRow]:
    """All settings, in their order."""
    meanings = _meanings()
    for name, field in Settings.model_fields.items():
        value, default = _shown(name, getattr(settings, name)), _shown(name, field.default)
        meaning = _LINK.sub(_path, meanings[name])
        yield SettingRow(variable(name), value, given.source(name), default, meaning)


def markdown() -> str:
    """The table of the documents: names without their beginning, defaults and meanings."""
    meanings = _meanings()
    lines = ["| setting | default | |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = _shown(name, field.default)
        bare = variable(name).removeprefix("CALLWARDEN_")
        lines.append(f"| `{bare}` | {f'`{default}`' if default else 'none'} | {meanings[name]} |")
    return "\n".join(lines)


def _meanings() -> dict[str, str]:
    """The string below each field of the settings."""
    (settings,) = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(settings, ast.ClassDef)
    return {
        field.target.id: " ".join(below.value.value.split())  # a table's row is one line
        for field, below in pairwise(settings.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
    }


def _path(link: re.Match[str]) -> str:
    """A link between pages as the path of the file: a terminal follows no links."""
    target = link[1]
    return f"docs/{target.removeprefix('../')}" if target.startswith("../") else f"docs/reference/{target}"


def _shown(name: str, value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, SecretStr):
        return masked_url(make_url(value.get_secret_value())) if name in _DATABASES else _HIDDEN
    if name in _MOMENTS:
        return rfc3339(value)
    if name.endswith("_ms"):
        return format_duration(value)
    return str(value)
