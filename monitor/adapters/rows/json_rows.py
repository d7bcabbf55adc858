"""Splits JSON into rows: one a line, several a line, or the elements of an array, each with its bytes and line."""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, Final

import msgspec
import orjson

from monitor.adapters.errors import Reject, quoted_value
from monitor.adapters.lines import LongLine, must_be_whole
from monitor.adapters.mapping.paths import PathStep, find, is_plain, parse_path, scalar
from monitor.adapters.rows.form_rows import unwrapped
from schemas.error_codes import ErrorCode

Physical = tuple[int, bytes]

_RAW: Final = msgspec.json.Decoder(msgspec.Raw)
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXTS: Final = msgspec.json.Decoder(dict[str, str])
_ARRAY: Final = msgspec.json.Decoder(list[msgspec.Raw])
_LOOKED_AT: Final = 1_000
_NESTED: Final = 2  # names in the path of a field in an object in the row
# Numbers stay text: Python refuses to convert integers of more than 4,300 digits, with an error of its own.
_SPLITTER: Final = json.JSONDecoder(parse_int=str, parse_float=str)
_PART: Final = 4_096
_MARGIN: Final = 64  # longer than any word or escape that the end of a part may cut
_SPACE: Final = re.compile(r"\s*")
_NEXT: Final = re.compile(r"(?<=\})\s*(?=\{)")
# Outside of its texts a JSON value never has this.
_MORE: Final = re.compile(rb"\}\s*\{")


class JsonRows:
    """The rows of one JSON file.

    Without ``document`` each line is a row, or several objects one behind the other. With it the file may also be one
    document; the array at the first of the paths ``rows`` that a document (the file's, or each line's) has contains
    the rows, and an object at that path is the row. A document that is an array of objects contains the rows, too;
    any other document is a row. With ``field`` a line may be a form whose field of that name holds the document.
    """

    def __init__(
        self,
        lines: Iterable[bytes],
        columns: tuple[str, ...],
        document: bool,
        rows: tuple[tuple[PathStep, ...], ...] = (),
        field: str = "",
    ) -> None:
        self._lines = iter(lines)
        self._document = document
        self._rows = rows
        self._field = field
        self._getters = [(column.name, column.outer, column.inner, column) for column in map(_Column, columns)]

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
        if _begins_with_value(head[-1]) or (self._field and head[-1].startswith(self._field.encode() + b"=")):
            yield from self._by_line(chain(head, self._lines))
            return
        head.extend(self._lines)
        data = b"".join(head)
        if not data.strip():
            return
        # A malformed document is one malformed row, unless most of its lines are objects themselves.
        some = [line for line in head[:_LOOKED_AT] if not line.isspace()]
        if _is_value(data) or 2 * sum(map(_begins_with_value, some)) < len(some):
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
                line = line.rstrip(b"\r\n")
                yield from self._within(number, unwrapped(line, self._field) if self._field else line)

    def _within(self, number: int, raw: bytes) -> Iterator[Physical]:
        """The rows of the JSON values in ``raw``, which stand one behind the other."""
        found = self._elements(raw)
        if found is not None:
            yield from _numbered(number, raw, *found)
        elif not _MORE.search(raw) or _is_value(raw):
            yield number, raw
        else:
            for line, element in _numbered(number, raw, raw, _values(raw)):
                found = self._elements(element)
                yield from [(line, element)] if found is None else _numbered(line, element, *found)

    def _elements(self, raw: bytes) -> tuple[bytes, list[bytes]] | None:
        """The array in the document ``raw`` and the rows in it; None if the document is a row, or is no JSON."""
        if not self._document:
            return None
        if raw.lstrip().startswith(b"["):
            return _objects(raw)
        for path in self._rows:
            found = _at_path(raw, path)
            if found is not None:
                return found
        return None

    def cells(self, raw: bytes) -> list[str]:
        """The texts of the mapping's columns in one row. Raises `Reject` if it is not a JSON object."""
        must_be_whole(raw)
        try:
            row = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise Reject(f"{ErrorCode.MALFORMED_JSON}: {error.msg}, at character {error.pos + 1} of the row") from None
        if not isinstance(row, dict):
            raise Reject(f"{ErrorCode.NOT_AN_OBJECT}: {quoted_value(raw[:200].decode('utf-8', 'replace'))}")
        return self._texts(row)

    def only_cells(self, document: bytes) -> list[str] | None:
        """The cells of a document that is one object and one row; None for a document that `records` may split.

        Raises `Reject` like `cells`.
        """
        if self._field or (not self._document and b"\n" in document):
            return None
        try:
            row = orjson.loads(document)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(row, dict) or (self._rows and any(path[0] in row for path in self._rows)):
            return None
        return self._texts(row)

    def _texts(self, row: dict[str, Any]) -> list[str]:
        """The texts of the columns. What most columns are, texts and whole numbers in the row or in an object in it,
        is read here, without a call for each.
        """
        cells: list[str] = []
        add, get = cells.append, row.get
        value: Any
        for name, outer, inner, column in self._getters:
            value = get(name)
            if value is None and outer is not None:
                within = get(outer)
                value = within.get(inner) if type(within) is dict else None
            kind = type(value)
            if kind is str:
                add(value)
            elif kind is int:
                add(str(value))
            elif value is None and column.shallow:
                add("")
            else:
                add(column.text(row))
        return cells


class ObjectRows:
    """Rows that are JSON objects of texts, one by one: a column is a name, whatever it looks like."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns

    def records(self) -> Iterator[Physical]:
        """None: the rows are given to `cells`."""
        return iter(())

    def cells(self, raw: bytes) -> list[str]:
        """The texts of the mapping's columns in one row. Raises `Reject` if it is not a JSON object."""
        try:
            row = _TEXTS.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Reject(f"{ErrorCode.MALFORMED_JSON}: expected an object of texts: {error}") from None
        return [row.get(column, "") for column in self._columns]


class _Column:
    """A column of the mapping: a name in the row, or a path.

    ``shallow``: it is a name, or the name ``inner`` in the object ``outer``, so that `find` finds nothing more.
    """

    def __init__(self, name: str) -> None:
        names = name.split(".") if is_plain(name) else []
        self.name = name
        self.shallow = 1 <= len(names) <= _NESTED
        self.outer: str | None = None
        self.inner = ""
        if len(names) == _NESTED:
            self.outer, self.inner = names
        self._path = parse_path(name)

    def text(self, row: dict[str, Any]) -> str:
        """Its text in a row. Raises `Reject` if it has none."""
        value = row.get(self.name)
        if value is None:
            value = find(row, self._path)
        text = scalar(value)
        if text is None:
            got = "a list" if isinstance(value, list) else "an object"
            raise Reject(f"{ErrorCode.WRONG_TYPE}: {self.name} is {got}; expected a text or a number")
        return text


def _is_value(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


def _begins_with_value(line: bytes) -> bool:
    """Whether the line is an object or an array, or begins with a complete object."""
    if not line.lstrip().startswith((b"{", b"[")):
        return False
    return _is_value(line) or (_MORE.search(line) is not None and any(islice(_values(line), 1, 2)))


def _values(raw: bytes) -> Iterator[bytes]:
    """The JSON values that stand one behind the other in ``raw``, where most stand alone.

    What is not JSON ends at the next place where one object could end and another begin, and is a value by itself.
    The cost is linear.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        yield raw
        return
    at = _after_space(text, 0)
    while at < len(text):
        end = _end_of_value(text, at)
        yield text[at:end].rstrip().encode()
        at = _after_space(text, end)


def _end_of_value(text: str, at: int) -> int:
    """Where the value that begins at ``at`` ends.

    It is read from a part of the text that begins with it: an error of the decoder counts the lines before it, and so
    reads whatever stands before it again. The part is doubled until it has the value or its error: what is close to its
    end may be cut there. A text that does not end costs all that is left, but once: behind it each quote is escaped, so
    no other object has a text that begins.
    """
    length = _PART
    while True:
        sure = length - _MARGIN if at + length < len(text) else len(text)
        try:
            end = _SPLITTER.raw_decode(text[at : at + length])[1]
            if end <= sure:
                return at + end
        except json.JSONDecodeError as error:
            if error.pos <= sure and (sure == len(text) or not error.msg.startswith("Unterminated")):
                return _next_object(text, at + max(error.pos, 1))
        except RecursionError:
            return len(text)
        length *= 2


def _next_object(text: str, at: int) -> int:
    found = _NEXT.search(text, at)
    return found.start() if found else len(text)


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _numbered(number: int, raw: bytes, array: bytes, elements: Iterable[bytes]) -> Iterator[Physical]:
    """``elements``, which stand in the part ``array`` of ``raw`` in this order, each with its line."""
    position = raw.find(array)
    line = number + raw.count(b"\n", 0, position)
    for element in elements:
        # Only white space and commas are between elements, so the next match is the element itself.
        start = raw.find(element, position)
        line += raw.count(b"\n", position, start)
        yield line, element
        line += element.count(b"\n")
        position = start + len(element)


def _objects(raw: bytes) -> tuple[bytes, list[bytes]] | None:
    """An array that has nothing but objects, and these; None for anything else."""
    try:
        found = [bytes(element) for element in _ARRAY.decode(raw)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return (raw, found) if all(element.startswith(b"{") for element in found) else None


def _at_path(raw: bytes, path: tuple[PathStep, ...]) -> tuple[bytes, list[bytes]] | None:
    """The array at ``path`` and its elements, or the object there, in their original bytes; None without either."""
    try:
        found = _RAW.decode(raw)
        for step in path:
            if isinstance(step, str):
                found = _OBJECT.decode(found)[step]
            elif isinstance(step, int):
                found = _ARRAY.decode(found)[step]
            else:
                items = _ARRAY.decode(found)
                found = next(item for item in items if find([orjson.loads(bytes(item))], (step,)) is not None)
        data = bytes(found)
        return data, [data] if data.startswith(b"{") else [bytes(element) for element in _ARRAY.decode(found)]
    except (msgspec.DecodeError, KeyError, IndexError, StopIteration, ValueError, RecursionError):
        return None


def _breaks_before(data: bytes) -> int:
    return data[: len(data) - len(data.lstrip())].count(b"\n")
