"""Splits JSON into rows: one a line, or the elements of an array in a document, each with its bytes and line."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

import msgspec
import orjson

from monitor.adapters.errors import Reject, quoted_value
from monitor.adapters.lines import LongLine, must_be_whole
from schemas.error_codes import ErrorCode

Physical = tuple[int, bytes]

_RAW: Final = msgspec.json.Decoder(msgspec.Raw)
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY: Final = msgspec.json.Decoder(list[msgspec.Raw])
_LOOKED_AT: Final = 1_000


class JsonRows:
    """The rows of one JSON file.

    Without ``document`` each line is a row. With it the file may also be one document, and the array at the path
    ``rows`` of a document (the file's, or each line's) contains the rows; a document without that array is a row.
    """

    def __init__(
        self, lines: Iterable[bytes], columns: tuple[str, ...], document: bool, rows: tuple[str, ...] = ()
    ) -> None:
        self._lines = iter(lines)
        self._document = document
        self._rows = rows
        self._getters = [(column, tuple(column.split("."))) for column in columns]

    def records(self) -> Iterator[Physical]:
        """Each row with the number of the physical line on which it begins."""
        if not self._document:
            yield from self._by_line(self._lines)
            return
        head: list[bytes] = []
        for line in self._lines:
            head.append(line.removeprefix(b"\xef\xbb\xbf") if not head else line)
            if not line.isspace():
                break
        if not head:
            return
        if _is_object(head[-1]):
            yield from self._by_line(chain(head, self._lines))
            return
        head.extend(self._lines)
        data = b"".join(head)
        if not data.strip():
            return
        # A malformed document is one malformed row, unless most of its lines are objects themselves.
        some = [line for line in head[:_LOOKED_AT] if not line.isspace()]
        if _is_value(data) or 2 * sum(map(_is_object, some)) < len(some):
            yield from self._within(1 + _breaks_before(data), data.strip())
        else:
            yield from self._by_line(head)

    def _by_line(self, lines: Iterable[bytes]) -> Iterator[Physical]:
        for number, line in enumerate(lines, 1):
            if isinstance(line, LongLine):
                yield number, line
                continue
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line and not line.isspace():
                yield from self._within(number, line.rstrip(b"\r\n"))

    def _within(self, number: int, raw: bytes) -> Iterator[Physical]:
        """The elements at the path of the document ``raw``, or the document as one row."""
        if not self._rows:
            yield number, raw
            return
        found = _at_path(raw, self._rows)
        if found is None:
            yield number, raw
            return
        array, elements = found
        position = raw.find(array)
        line = number + raw.count(b"\n", 0, position)
        for element in elements:
            # Only white space and commas are between elements, so the next match is the element itself.
            start = raw.find(element, position)
            line += raw.count(b"\n", position, start)
            yield line, element
            line += element.count(b"\n")
            position = start + len(element)

    def cells(self, raw: bytes) -> list[str]:
        """The texts of the mapping's columns in one row. Raises `Reject` if it is not a JSON object."""
        must_be_whole(raw)
        try:
            row = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise Reject(f"{ErrorCode.MALFORMED_JSON}: {error.msg}, at character {error.pos + 1} of the row") from None
        if not isinstance(row, dict):
            raise Reject(f"{ErrorCode.NOT_AN_OBJECT}: {quoted_value(raw[:200].decode('utf-8', 'replace'))}")
        return [_text(row, column, path) for column, path in self._getters]


def _text(row: dict[str, Any], column: str, path: tuple[str, ...]) -> str:
    value = row.get(column)
    if value is None and len(path) > 1:
        value = row
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    found = "a list" if isinstance(value, list) else "an object"
    raise Reject(f"{ErrorCode.WRONG_TYPE}: {column} is {found}; expected a text or a number")


def _is_value(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


def _is_object(line: bytes) -> bool:
    return line.lstrip().startswith(b"{") and _is_value(line)


def _at_path(raw: bytes, path: tuple[str, ...]) -> tuple[bytes, list[bytes]] | None:
    """The array at ``path`` and its elements, in their original bytes; None if there is no array."""
    try:
        found = _RAW.decode(raw)
        for name in path:
            found = _OBJECT.decode(found)[name]
        return bytes(found), [bytes(element) for element in _ARRAY.decode(found)]
    except (msgspec.DecodeError, KeyError, UnicodeDecodeError, RecursionError):
        return None


def _breaks_before(data: bytes) -> int:
    return data[: len(data) - len(data.lstrip())].count(b"\n")
