"""Finds the Chinese of an English sentence that another program wrote, by the tables that both programs have.

Records and pages of programs have their sentences in English alone, as their logs do. A sentence of another release may
be in no table; it stays English.
"""

from collections.abc import Iterable
from string import Formatter
from typing import Final, NamedTuple

from monitor.text.bilingual import Bilingual

_LONGEST: Final = 4_096
_DEEPEST: Final = 6
_SENTENCES: Final = ("why", "error", "doing")  # values that are sentences: one in no table is quoted, in English
_BETWEEN: Final = ", "  # the items of a value that is a list


class _Template(NamedTuple):
    """An English template as its literals and, between them, the names of its values."""

    literals: tuple[str, ...]
    names: tuple[str, ...]
    zh: str


class KnownSentences:
    """The sentences of wording tables. A value of a sentence may be a sentence of these tables itself; if it names a
    sentence (`_SENTENCES`) that is in no table, it is quoted in English.

    A template needs a literal between two values, and a word beside them.
    """

    def __init__(self, *tables: Iterable[Bilingual]) -> None:
        made = [_template(both) for table in tables for both in table]
        # The template with the most text of its own first: another could take its text for a value.
        self._templates = sorted(made, key=lambda one: -sum(map(len, one.literals)))

    def in_chinese(self, text: str) -> str | None:
        """The Chinese sentence with the values of the English one; None if it is in no table."""
        return self._found(text, _DEEPEST) if len(text) <= _LONGEST else None

    def _found(self, text: str, depth: int) -> str | None:
        for template in self._templates:
            values = _values(template.literals, text)
            if values is not None and (named := _named(template.names, values)) is not None:
                return template.zh.format(**{name: self._value(name, value, depth) for name, value in named.items()})
        return None

    def _value(self, name: str, text: str, depth: int) -> str:
        found = self._sentence(text, depth) if depth else None
        return found or (f"“{text}”" if name in _SENTENCES and " " in text else text)

    def _sentence(self, text: str, depth: int) -> str | None:
        """The Chinese of a value that is a sentence, or a list of sentences."""
        parts = [self._found(part, depth - 1) for part in text.split(_BETWEEN)]
        if len(parts) > 1 and all(parts):
            return "、".join(part for part in parts if part is not None)
        return self._found(text, depth - 1)


def _template(both: Bilingual) -> _Template:
    literals, names = [""], list[str]()
    for literal, name, _, _ in Formatter().parse(both.en):
        literals[-1] += literal
        if name is not None:
            names.append(name)
            literals.append("")
    if any(not literal for literal in literals[1:-1]) or not any(map(str.strip, literals)):
        raise ValueError(f"expected text between the values of {both.en!r}")
    return _Template(tuple(literals), tuple(names), _without_formats(both.zh))


def _without_formats(template: str) -> str:
    """The template for values that are texts already: ``{size:,}`` becomes ``{size}``."""
    parts = Formatter().parse(template)
    braces = str.maketrans({"{": "{{", "}": "}}"})
    return "".join(text.translate(braces) + ("" if name is None else f"{{{name}}}") for text, name, _, _ in parts)


def _values(literals: tuple[str, ...], text: str) -> list[str] | None:
    """The values between the literals, each the shortest possible; None if the text has other literals."""
    if len(literals) == 1:
        return [] if text == literals[0] else None
    first, *inner, last = literals
    if not text.startswith(first) or not text.endswith(last):
        return None
    values, at, end = [], len(first), len(text) - len(last)
    for literal in inner:
        found = text.find(literal, at, end)
        if found < 0:
            return None
        values.append(text[at:found])
        at = found + len(literal)
    return [*values, text[at:end]] if at <= end else None


def _named(names: tuple[str, ...], values: list[str]) -> dict[str, str] | None:
    """The values by name; None if a name has two values."""
    found = dict(zip(names, values, strict=True))
    return found if all(found[name] == value for name, value in zip(names, values, strict=True)) else None
