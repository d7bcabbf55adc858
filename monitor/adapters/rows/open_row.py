"""A row of CSV that continues on further lines: whether its quoted cells are closed, by RFC 4180."""

import re

from monitor.adapters.mapping.spec import Dialect


class OpenRow:
    """Reads a row line by line, and no line twice.

    ``is_open``: it ends inside of a quoted cell. ``is_closed``: every quoted cell is closed. Neither holds for a row
    that no further line can close: something stands between a closing quote and the delimiter, or it has more than
    ``most_cells`` cells (0: any number).
    """

    def __init__(self, dialect: Dialect, most_cells: int) -> None:
        delimiter, quote = re.escape(dialect.delimiter), re.escape(dialect.quote)
        self._delimiter, self._quote = dialect.delimiter, dialect.quote
        self._quoted = re.compile(f"(?:[^{quote}]++|{quote}{quote})*+")
        self._plain = re.compile(f"[^{delimiter}]*+")
        self._most_cells, self._cells = most_cells, 1
        self.is_open = self.is_closed = False

    def read(self, line: str) -> None:
        """Read the first line, or the next one of an open row that has a quote, without its line end."""
        at, inside = 0, self.is_open
        self.is_open = False
        while True:
            if not inside and line.startswith(self._quote, at):
                at, inside = at + 1, True
            at = (self._quoted if inside else self._plain).match(line, at).end()  # type: ignore[union-attr]  # may be empty
            if inside:
                if at == len(line):
                    self.is_open = True
                    return
                at += 1  # the closing quote
            if at == len(line):
                self.is_closed = True
                return
            self._cells += 1
            if line[at] != self._delimiter or 0 < self._most_cells < self._cells:
                return
            at, inside = at + 1, False
