"""A table as its follower sees it: keys and rows."""

from collections.abc import Collection
from typing import NamedTuple, Protocol

from streams.ingest.follow.tables.seen_keys import Keys


class TableRow(NamedTuple):
    """A row: its key, and the JSON object of its columns; None if that is too large, with its length."""

    key: int
    value: bytes | None
    length: int = 0


class TableAway(Exception):
    """The table cannot be read now. The message is one readable line without credentials."""


class TableRows(Protocol):
    """Reads a table whose rows are only added. Every method may raise TableAway and PermanentError."""

    @property
    def table(self) -> str:
        """Its name."""
        ...

    @property
    def key(self) -> str:
        """The name of the column of its keys."""
        ...

    def greatest(self) -> int | None:
        """The greatest key of the table; None if it is empty."""
        ...

    def keys(self, above: int, through: int) -> Keys:
        """The keys in that range, sorted."""
        ...

    def rows(self, above: int) -> list[TableRow]:
        """The next rows above a key, in their order; at least one if there is one, and a limited number."""
        ...

    def rows_of(self, keys: list[int]) -> list[TableRow]:
        """The rows of these keys, in their order, limited likewise."""
        ...

    def writers(self) -> Collection[str]:
        """The transactions that write to the table and have not ended, by names of the database; empty if the database
        does not say.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
