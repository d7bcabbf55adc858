"""A text in both languages."""

from typing import NamedTuple


class Bilingual(NamedTuple):
    """The same text in Chinese and in English."""

    zh: str
    en: str

    def fill(self, **values: object) -> "Bilingual":
        """The text with ``values`` in its places, such as ``{n}``; of a value in both languages, each has its own."""
        zh = {name: value.zh if isinstance(value, Bilingual) else value for name, value in values.items()}
        en = {name: value.en if isinstance(value, Bilingual) else value for name, value in values.items()}
        return Bilingual(self.zh.format(**zh), self.en.format(**en))


class BilingualError(ValueError):
    """An error whose message is in both languages. As a text it is the English one."""

    def __init__(self, message: Bilingual) -> None:
        super().__init__(message.en)
        self.message = message
