"""Checks tables of texts in both languages."""

import re
from collections.abc import Iterable
from string import Formatter

from helpers.english_sentences import english_in
from monitor.text.bilingual import Bilingual

_HAN = re.compile("[\u4e00-\u9fff]")


def one_sided(texts: Iterable[Bilingual]) -> list[Bilingual]:
    """The texts that lack a language, have English in the Chinese one, or different values in the two."""
    return [each for each in texts if not _is_complete(each)]


def _is_complete(both: Bilingual) -> bool:
    letters = "".join(literal for literal, *_ in Formatter().parse(re.sub("`[^`]*`", "", both.zh)))
    has_zh = _HAN.search(both.zh) is not None or not re.search("[A-Za-z]", letters)
    has_same_values = _names(both.zh) == _names(both.en)
    return bool(both.zh and both.en) and has_zh and has_same_values and english_in(_filled(both.zh)) == []


def _filled(template: str) -> str:
    return re.sub(r"\{\w*(:[^}]*)?\}", "¦", template)


def _names(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}
