"""Paths into a JSON value: keys, positions and selections, such as `participants[purpose=customer].sessions[0].dnis`.

path       = key { "." key | "[" position "]" | "[" selection "]" }
key        = characters other than `.` `[` `"`, or any characters in double quotes; also `["any characters"]`
position   = a whole number; -1 is the last element
selection  = keys "=" value { "|" value }, or "!=": the elements for which it holds; without a position behind it,
             the first of them
"""

from dataclasses import dataclass
from typing import Any

from monitor.adapters.mapping_wording import mapping_text
from monitor.text.bilingual import BilingualError


class PathError(BilingualError):
    """A text that is not a path."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The elements of a list whose text at ``path`` is one of ``values``, or with ``negated`` none of them."""

    path: tuple[str, ...]
    values: frozenset[str]
    negated: bool


PathStep = str | int | Selection


def is_plain(text: str) -> bool:
    """Whether a path has nothing but keys that are written without quotes."""
    return "[" not in text and '"' not in text


def parse_path(text: str) -> tuple[PathStep, ...]:
    """The steps of a path. Raises `PathError` with what was expected."""
    if is_plain(text):
        return tuple(text.split("."))
    steps: list[PathStep] = []
    at = 0
    while at < len(text):
        if text[at] == "[":
            step, at = _bracket(text, at + 1)
        else:
            if steps and text[at] != ".":
                raise PathError(mapping_text("path_step", at=at + 1, got=text[at]))
            step, at = _key(text, at + 1 if steps else at, ".[")
        steps.append(step)
    return tuple(steps)


def _key(text: str, at: int, ends: str) -> tuple[str, int]:
    if text[at : at + 1] == '"':
        return _quoted(text, at)
    start = at
    while at < len(text) and text[at] not in ends:
        at += 1
    if at == start:
        raise PathError(mapping_text("path_key", at=start + 1))
    return text[start:at], at


def _quoted(text: str, at: int) -> tuple[str, int]:
    end = text.find('"', at + 1)
    if end < 0:
        raise PathError(mapping_text("path_quote", at=at + 1))
    return text[at + 1 : end], end + 1


def _bracket(text: str, at: int) -> tuple[PathStep, int]:
    end = _end(text, at)
    inside = text[at:end]
    if inside.removeprefix("-").isdecimal() and inside.isascii() and len(inside) < 10:
        return int(inside), end + 1
    if inside.startswith('"') and inside.endswith('"') and inside.count('"') == 2:
        return inside[1:-1], end + 1
    where, equals, given = inside.partition("=")
    if not equals:
        raise PathError(mapping_text("path_brackets", inside=inside))
    negated = where.endswith("!")
    where = where.removesuffix("!").strip()
    keys: list[str] = []
    place = 0
    while place < len(where) or not keys:
        key, place = _key(where, place, ".")
        keys.append(key)
        place += 1
    values = (value.strip() for value in given.split("|"))
    return Selection(tuple(keys), frozenset(value.strip('"') for value in values), negated), end + 1


def _end(text: str, at: int) -> int:
    quoted = False
    for n in range(at, len(text)):
        if text[n] == '"':
            quoted = not quoted
        elif text[n] == "]" and not quoted:
            return n
    raise PathError(mapping_text("path_bracket", at=at))


def find(value: Any, steps: tuple[PathStep, ...]) -> Any:
    """What is at the path; None if there is nothing. Its cost is linear in ``value``."""
    selected = False
    for step in steps:
        if isinstance(step, Selection):
            value = _selected(value, step)
            selected = True
            continue
        if isinstance(step, int):
            there = isinstance(value, list) and -len(value) <= step < len(value)
            value = value[step] if there else None
        else:
            if selected:
                value = value[0] if value else None
            value = value.get(step) if isinstance(value, dict) else None
        selected = False
        if value is None:
            return None
    if selected:
        return value[0] if value else None
    return value


def _selected(value: Any, step: Selection) -> list[Any]:
    if not isinstance(value, list):
        return []
    return [
        item
        for item in value
        if isinstance(item, dict) and (scalar(find(item, step.path)) in step.values) != step.negated
    ]


def scalar(value: Any) -> str | None:
    """A text, number or truth value as text, "" for null; None for a list or an object."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, (int, float)) else None
