"""The cells of a row: their types, their text, and the columns that a mapping extracts from them."""

from collections.abc import Mapping
from typing import Any

from monitor.adapters.errors import Reject, RowErrorCode, quoted_value
from monitor.adapters.mapping.spec import Extract
from monitor.adapters.values.percent import percent_decoded

Cells = list[str]
Index = Mapping[str, int]
"""The places of the columns among the cells."""

Data = dict[str, Any]
"""The data of a record."""


def url_decoded(text: str) -> str:
    """``text`` without percent-encoding; what is not encoded stays. Raises `Reject` if it is not UTF-8 then."""
    if "%" not in text:
        return text
    try:
        return percent_decoded(text.encode()).decode()
    except UnicodeError:  # also half of a surrogate pair, which some encodings of files give
        raise Reject(f"{RowErrorCode.NOT_TEXT}: expected UTF-8, percent-encoded, got {quoted_value(text)}") from None


class Extractor:
    """The columns that a mapping's ``extract`` makes: `names`, and their texts in a row."""

    def __init__(self, extracts: tuple[Extract, ...], index: Index) -> None:
        self._made = [([index[column] for column in each.columns], each.pattern) for each in extracts]
        self.names = tuple(dict.fromkeys(f"${group}" for each in extracts for group in each.pattern.groups))
        self._empty = dict.fromkeys(self.names, "")

    def texts(self, cells: Cells) -> list[str]:
        """The texts of `names`: of two that make the same column the first that matches counts."""
        found = self._empty.copy()
        for at, pattern in self._made:
            text = next((cells[n] for n in at if cells[n]), "")
            for group, part in (pattern.search(text) or {}).items() if text else ():
                found[f"${group}"] = found[f"${group}"] or part
        return list(found.values())
