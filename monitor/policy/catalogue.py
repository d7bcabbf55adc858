"""The prohibited catalogue: which row a text names, and whether for certain. Source: section 5 of the contract."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from monitor.policy.model import CatalogueRow

# Separators, punctuation, symbols, and control, format, surrogate and unassigned characters; with them all white space.
_DROPPED = frozenset("ZPSC")


@dataclass(frozen=True, slots=True)
class Match:
    """The row that a text names, by which term as the catalogue writes it (``""`` or the key where a record names
    the row itself), and whether for certain (the text *is* the term) or likely (the text contains it)."""

    row: CatalogueRow
    term: str
    certain: bool


@dataclass(frozen=True, slots=True)
class CatalogueHit:
    """A term found in a text; ``unless`` is the row's word that took it away, or None where it stands."""

    row: CatalogueRow
    term: str
    certain: bool
    unless: str | None


@dataclass(frozen=True, slots=True)
class _Words:
    """Words of one row, compared form to the form as written: the first of those that compare equal."""

    row: CatalogueRow
    terms: tuple[tuple[str, str], ...]
    unless: tuple[tuple[str, str], ...]


def normalise(text: str) -> str:
    """``text`` as the catalogue compares it: NFKC, lower case, without white space and categories Z, P, S and C."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).lower() if not _is_dropped(c))


class Catalogue:
    """Matches texts against the rows of the prohibited catalogue, in file order.

    ``rows`` without a word that vanishes when compared and without two rows of one key; else ``ValueError``.
    With the built-in catalogue (61 rows, 2,900 terms) a line of text takes 5 to 150 us, 4,096 code points 1.5 ms.
    """

    def __init__(self, rows: Sequence[CatalogueRow]) -> None:
        self._rows = {row.key: row for row in rows}
        if len(self._rows) != len(rows):
            raise ValueError("two rows of the catalogue have the same key")
        self._words = _words_of(tuple(rows))
        # Which terms can be in a text is soon told by their first two characters: (row, term) places by those.
        self._beginning: dict[str, list[tuple[int, int]]] = {}
        for row, words in enumerate(self._words):
            for place, (compared, _) in enumerate(words.terms):
                self._beginning.setdefault(compared[:2], []).append((row, place))

    def row(self, key: str) -> CatalogueRow | None:
        """The row of this key."""
        return self._rows.get(key)

    def match(self, text: str) -> Match | None:
        """The best match: a certain one before a likely one, then the first row in file order, then the longest
        term of the row (at a tie of lengths as compared, the first in the row)."""
        likely: Match | None = None
        for hit in self._hits(text):
            if hit.certain:
                return Match(hit.row, hit.term, True)
            if likely is None and hit.unless is None:
                likely = Match(hit.row, hit.term, False)
        return likely

    def explain(self, text: str) -> list[CatalogueHit]:
        """Every term found, rows in file order, the longest term of a row first, also those taken away."""
        return list(self._hits(text))

    def _hits(self, text: str) -> Iterator[CatalogueHit]:
        written = _Written(text)
        compared = written.compared
        beginnings = {compared[i : i + length] for i in range(len(compared)) for length in (1, 2)}
        taken: dict[int, str | None] = {}
        for row, place in sorted(found for some in beginnings for found in self._beginning.get(some, ())):
            words = self._words[row]
            term, as_written = words.terms[place]
            if term == compared:
                # The whole text is the term: nothing adjoins it, and no `unless` applies.
                yield CatalogueHit(words.row, as_written, True, None)
            elif written.contains(term):
                if row not in taken:
                    taken[row] = next((word for form, word in words.unless if written.contains(form)), None)
                yield CatalogueHit(words.row, as_written, False, taken[row])


class _Written:
    """A text as compared, with the way back to the characters beside a match.

    "As written" is the text after NFKC, so that a full-width letter is a Latin letter; NFKC reorders and joins
    characters, so there is no way back to before it that is the same for every text. Only lower-casing and
    dropping lie between, both one character at a time (``İ`` alone becomes two).
    """

    def __init__(self, text: str) -> None:
        self._nfkc = unicodedata.normalize("NFKC", text)
        self._origins: list[int] | None = None
        self.compared = "".join(c for c in self._nfkc.lower() if not _is_dropped(c))

    def contains(self, word: str) -> bool:
        """Whether the compared ``word`` occurs with no Latin letter or digit of its edges beside another."""
        start = self.compared.find(word)
        while start >= 0:
            if not (self._adjoins(start, -1) or self._adjoins(start + len(word) - 1, 1)):
                return True
            start = self.compared.find(word, start + 1)
        return False

    def _adjoins(self, position: int, step: int) -> bool:
        if not _is_latin_or_digit(self.compared[position]):
            return False
        if self._origins is None:
            self._origins = self._trace()
        beside = self._origins[position] + step
        return 0 <= beside < len(self._nfkc) and _is_latin_or_digit(self._nfkc[beside])

    def _trace(self) -> list[int]:
        """For each compared character, where the one that it came from stands in the NFKC form."""
        return [i for i, c in enumerate(self._nfkc) for lower in c.lower() if not _is_dropped(lower)]


def _is_dropped(c: str) -> bool:
    return unicodedata.category(c)[0] in _DROPPED


def _is_latin_or_digit(c: str) -> bool:
    if c.isascii():
        return c.isalnum()
    return c.isdecimal() or (c.isalpha() and unicodedata.name(c, "").startswith("LATIN "))


@lru_cache(maxsize=4)  # every shard of a worker has the same rows, and a catalogue takes 100 ms
def _words_of(rows: tuple[CatalogueRow, ...]) -> tuple[_Words, ...]:
    return tuple(_Words(row, _longest_first(row, row.terms), _distinct(row, row.unless)) for row in rows)


def _longest_first(row: CatalogueRow, terms: Iterable[str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(_distinct(row, terms), key=lambda pair: -len(pair[0])))


def _distinct(row: CatalogueRow, words: Iterable[str]) -> tuple[tuple[str, str], ...]:
    forms: dict[str, str] = {}
    for word in words:
        compared = normalise(word)
        if not compared:
            raise ValueError(f"row {row.key!r} of the catalogue: nothing of {word!r} is left to compare")
        forms.setdefault(compared, word)
    return tuple(forms.items())
