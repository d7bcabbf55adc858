"""Whether a text is in the prohibited catalogue: certain (equal to a term), likely (contains one), or not."""

import unicodedata
from typing import Any


def _kept(char: str) -> bool:
    return not char.isspace() and unicodedata.category(char)[0] not in "ZPSC"


def _latin_or_digit(char: str) -> bool:
    category = unicodedata.category(char)
    if category == "Nd":
        return True
    return category[0] == "L" and unicodedata.name(char, "").startswith("LATIN")


def compared(text: str) -> str:
    """The form in which text is compared: NFKC, lower case, without Z, P, S and C."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).lower() if _kept(c))


def contains(text: str, term: str) -> bool:
    """``text`` contains ``term``, and no Latin letter or digit at the match's edge is adjacent to another."""
    written = unicodedata.normalize("NFKC", text)
    letters: list[tuple[str, int]] = []  # the compared form, each character with its index in the original text
    for place, char in enumerate(written):
        letters.extend((low, place) for low in char.lower() if _kept(low))
    wanted = compared(term)
    if not wanted:
        return False
    for start in range(len(letters) - len(wanted) + 1):
        if "".join(c for c, _ in letters[start : start + len(wanted)]) != wanted:
            continue
        first, last = letters[start][1], letters[start + len(wanted) - 1][1]
        joined_before = first > 0 and _latin_or_digit(written[first]) and _latin_or_digit(written[first - 1])
        joined_after = last + 1 < len(written) and _latin_or_digit(written[last]) and _latin_or_digit(written[last + 1])
        if not joined_before and not joined_after:
            return True
    return False


def sureness(text: str | None, catalogue: list[dict[str, Any]]) -> int:
    """2: certain, 1: likely, 0: not in the catalogue."""
    if not text:
        return 0
    best = 0
    for row in catalogue:
        terms, unless = row.get("terms") or [], row.get("unless") or []
        if any(compared(term) == compared(text) for term in terms):
            return 2
        if any(contains(text, term) for term in terms) and not any(contains(text, word) for word in unless):
            best = 1
    return best
