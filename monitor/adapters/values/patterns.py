"""Regular expressions whose cost is linear in the text: patterns are the operator's, the text is anybody's.

Python's engine backtracks: for some patterns its time is exponential in the text. RE2 does not. Its syntax lacks
look-around, back references and possessive repeats (https://github.com/google/re2/wiki/Syntax).
"""

from typing import Final

import re2

from monitor.adapters.mapping_wording import mapping_text
from monitor.text.bilingual import BilingualError

MAX_TEXT: Final = 1_024
"""Of a longer text, `LinearPattern.search` reads the beginning; `LinearPattern.fullmatch` does not match it."""

_MAX_PROGRAM_BYTES: Final = 1 << 20


class PatternError(BilingualError):
    """Not a regular expression of RE2, or one that is too large."""


class LinearPattern:
    """A compiled pattern; equal to another one of the same text. ``groups`` are the names of its groups."""

    def __init__(self, text: str) -> None:
        self.text = text
        options = re2.Options()
        options.max_mem = _MAX_PROGRAM_BYTES
        options.log_errors = False
        try:
            self._compiled = re2.compile(text, options)
        except (re2.error, UnicodeEncodeError) as error:
            reason = error.args[0].decode(errors="replace") if isinstance(error, re2.error) else str(error)
            raise PatternError(mapping_text("no_pattern", why=reason)) from None
        self.groups = tuple(self._compiled.groupindex)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LinearPattern) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def fullmatch(self, text: str) -> bool:
        """Whether the pattern matches all of ``text``."""
        return len(text) <= MAX_TEXT and self._compiled.fullmatch(_encodable(text)) is not None

    def search(self, text: str) -> dict[str, str] | None:
        """The named groups of the first match in ``text``, "" for a group that took no part; None without a match."""
        found = self._compiled.search(_encodable(text[:MAX_TEXT]))
        return None if found is None else {name: found[name] or "" for name in self.groups}


def _encodable(text: str) -> str:
    """``text`` with "?" for what UTF-8 cannot carry: a lone surrogate."""
    return text if text.isascii() else text.encode(errors="replace").decode()
