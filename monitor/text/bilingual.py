"""A text in both languages."""

from typing import NamedTuple


class Bilingual(NamedTuple):
    """The same text in Chinese and in English."""

    zh: str
    en: str
