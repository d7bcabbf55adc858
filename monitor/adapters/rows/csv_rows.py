"""Splits a CSV file into rows and a row into cells; a malformed row does not affect its neighbours."""

import codecs
import csv
import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from monitor.adapters.errors import Reject, RowErrorCode, quoted_value
from monitor.adapters.lines import LongLine, must_be_whole
from monitor.adapters.mapping.spec import Dialect
from monitor.adapters.rows.open_row import OpenRow

# A quoted cell may contain line breaks. An unclosed quote must not consume the file, so the search for its end stops
# here, and only the first line is the malformed row.
MAX_LINES: Final = 1_000
MAX_BYTES: Final = 1 << 20

# What decoding makes of each invalid byte with the error handler `surrogateescape`.
_ESCAPED: Final = re.compile("[\udc80-\udcff]")

Physical = tuple[int, bytes]


class CsvRows:
    """The rows of one CSV file: `names` first, then `records`; `cells` splits each of them.

    ``unread`` is the reason why the header cannot be read, and empty if it can.
    """

    def __init__(
        self, lines: Iterable[bytes], dialect: Dialect, encoding: str, columns: Collection[str] | None = None
    ) -> None:
        """``columns``: the names of the columns that are read; None: all. In others, an invalid byte is no fault."""
        self._dialect = dialect
        self._encoding = encoding
        self._whole = _whole(dialect)
        self._lines = iter(enumerate(lines, 1))
        self._back: deque[Physical] = deque()
        self._width = self._least = 0
        self.unread = ""
        self._read: frozenset[int] | None = None
        self.names: tuple[str, ...] = self._names()
        if columns is not None:  # of a name that stands twice the first counts
            self._read = frozenset(self.names.index(column) for column in columns if column in self.names)

    def _names(self) -> tuple[str, ...]:
        self._skip_mark()
        header = self._dialect.header
        if isinstance(header, tuple):
            names = header
        elif header:
            names = self._named()
        else:
            names = self._numbered()
        self._width = self._least = len(names)
        if isinstance(header, tuple):
            self._least = self._dialect.least or len(names)
        return names

    def _named(self) -> tuple[str, ...]:
        """The names in the first row; empty if it cannot be read, with the reason in `unread`."""
        first = next(self.records(), None)
        if first is None:
            return ()
        try:
            return tuple(name.strip() for name in self.cells(first[1]))
        except Reject as reject:
            self.unread = str(reject)
            return ()

    def _numbered(self) -> tuple[str, ...]:
        """Numbers for the cells of the first readable row, without consuming any row.

        If each row has an invalid byte, for those of the first: the byte may stand in a cell that is not read.
        """
        taken: list[Physical] = []
        width = 0
        for number, raw in self.records():
            lines = [raw] if isinstance(raw, LongLine) else re.findall(rb"[^\n]*\n", raw + b"\n")
            taken += enumerate(lines, number)
            try:
                width = len(self.cells(raw))
            except Reject:
                width = width or max(0, self._count(raw))
                if len(taken) < MAX_LINES:
                    continue
            break
        self._back.extendleft(reversed(taken))
        return tuple(str(n) for n in range(1, width + 1))

    def _skip_mark(self) -> None:
        first = next(self._lines, None)
        if first is not None and isinstance(first[1], LongLine):
            self._back.append(first)
        elif first is not None:
            # Byte order marks: UTF-8's and GB 18030's.
            line = first[1].removeprefix(codecs.BOM_UTF8).removeprefix(b"\x84\x31\x95\x33")
            self._back.append((first[0], line))

    def records(self) -> Iterator[Physical]:
        """Each row with the number of its first physical line, without its line end; blank lines are skipped."""
        quote = self._dialect.quote.encode()
        back, lines = self._back, self._lines
        while True:
            found = back.popleft() if back else next(lines, None)
            if found is None:
                return
            number, line = found
            if isinstance(line, LongLine):
                yield number, line
                continue
            if not line or line.isspace():
                continue
            if quote and quote in line and self._whole.fullmatch(self._text(line)) is None:
                line = self._joined(number, line)
            yield number, line.rstrip(b"\r\n")

    def _text(self, line: bytes) -> str:
        return line.rstrip(b"\r\n").decode(self._encoding, "replace")

    def _joined(self, number: int, first: bytes) -> bytes:
        """``first`` with the lines that its open cell continues on, or alone if they do not form a row.

        Within one line a closed quote may be followed by anything, as in the csv module. Across lines only a delimiter
        or the end may follow, or a stray quote would end at the next stray quote.
        """
        quote = self._dialect.quote.encode()
        row = OpenRow(self._dialect, self._width)
        row.read(self._text(first))
        taken: list[Physical] = []
        parts, size = [first], len(first)
        while row.is_open and len(taken) < MAX_LINES and size < MAX_BYTES:
            found = self._back.popleft() if self._back else next(self._lines, None)
            if found is None:
                break
            taken.append(found)
            if isinstance(found[1], LongLine):
                break
            parts.append(found[1])
            size += len(found[1])
            if quote in found[1]:
                row.read(self._text(found[1]))
        if row.is_closed:
            raw = b"".join(parts)
            if not self._width or self._least <= self._count(raw) <= self._width:
                return raw
        self._back.extendleft(reversed(taken))
        return first

    def _count(self, raw: bytes) -> int:
        """The number of cells; -1 if the row is malformed."""
        try:
            must_be_whole(raw)
            return len(self._split(self._escaped(raw.rstrip(b"\r\n"))))
        except Reject:
            return -1

    def cells(self, raw: bytes) -> list[str]:
        """The cells of a row. In those of columns that are not read, an invalid byte is U+FFFD.

        Raises `Reject` on an invalid byte in another, an unclosed quote, or the wrong number of cells.
        """
        must_be_whole(raw)
        try:
            return self._fitted(self._split(raw.decode(self._encoding)))
        except UnicodeDecodeError as error:
            reason, read = self._not_text(error), self._read
        if read is None:
            raise Reject(reason)
        cells = self._fitted(self._split(self._escaped(raw)))
        for at, cell in enumerate(cells):
            if (invalid := _ESCAPED.search(cell)) is None:
                continue
            if at in read:
                where = f"column {self.names[at]}: character {invalid.start() + 1}"
                raise Reject(f"{RowErrorCode.NOT_TEXT}: {where} is not {self._encoding}")
            cells[at] = _ESCAPED.sub("\ufffd", cell)
        return cells

    def _escaped(self, raw: bytes) -> str:
        try:
            return raw.decode(self._encoding, "surrogateescape")
        except UnicodeDecodeError as error:  # the handler escapes no ASCII
            raise Reject(self._not_text(error)) from None

    def _not_text(self, error: UnicodeDecodeError) -> str:
        return f"{RowErrorCode.NOT_TEXT}: byte {error.start + 1} of the row is not {self._encoding}: {error.reason}"

    def _fitted(self, cells: list[str]) -> list[str]:
        """``cells``, with an empty one for each that may be missing. Raises `Reject` if it is the wrong number."""
        if len(cells) != self._width and self._width:
            if not self._least <= len(cells) < self._width:
                few = f"{self._least} to " if self._least < self._width else ""
                message = f"{len(cells)} cells; expected {few}{self._width}, as in the header"
                raise Reject(f"{RowErrorCode.MALFORMED_ROW}: {message}")
            cells.extend("" for _ in range(self._width - len(cells)))
        return cells

    def _split(self, text: str) -> list[str]:
        dialect = self._dialect
        if not dialect.quote or dialect.quote not in text:
            return text.split(dialect.delimiter)
        if not self._whole.fullmatch(text):
            raise Reject(f"{RowErrorCode.MALFORMED_ROW}: a quoted cell is not closed")
        try:
            # In a list: the reader would take a bare text for a file of one-letter lines.
            return next(csv.reader([text], delimiter=dialect.delimiter, quotechar=dialect.quote))
        except (csv.Error, StopIteration) as error:
            raise Reject(f"{RowErrorCode.MALFORMED_ROW}: {error}, in {quoted_value(text)}") from None


def is_open(raw: bytes, dialect: Dialect, encoding: str) -> bool:
    """Whether a row ends inside of a quoted cell: it may continue on lines that are not there yet."""
    if not dialect.quote or isinstance(raw, LongLine):
        return False
    return _whole(dialect).fullmatch(raw.rstrip(b"\r\n").decode(encoding, "replace")) is None


def _whole(dialect: Dialect) -> re.Pattern[str]:
    """Matches a row in which every quoted cell is closed, by the rules of Python's csv module, without backtracking."""
    delimiter, quote = re.escape(dialect.delimiter), re.escape(dialect.quote or '"')
    plain = f"[^{delimiter}]*+"
    cell = f"(?>{quote}(?:[^{quote}]++|{quote}{quote})*+{quote}{plain}|(?!{quote}){plain})"
    return re.compile(f"{cell}(?:{delimiter}{cell})*+", re.DOTALL)
