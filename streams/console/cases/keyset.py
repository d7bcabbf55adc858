"""Pages of a list that continue behind the last row of the page before, and what one page looks at."""

from typing import Any, Final

from sqlalchemy import ColumnElement, literal, tuple_

EXAMINED: Final = 5_000
"""The most rows that a page looks at. What no index finds is looked for among these; the rest is on the next pages."""


def before(at: ColumnElement[int], key: ColumnElement[Any], at_ms: int | str, last: int | str) -> ColumnElement[bool]:
    """Whether a row comes after the row of a cursor in a list whose newest row is the first.

    Compared as a pair, so that an index in this order begins at the cursor, also within the rows of one time.
    """
    return tuple_(at, key) < tuple_(literal(at_ms), literal(last))


def later(at: ColumnElement[int], key: ColumnElement[Any], at_ms: int | str, last: int | str) -> ColumnElement[bool]:
    """The same of a list whose oldest row is the first."""
    return tuple_(at, key) > tuple_(literal(at_ms), literal(last))
