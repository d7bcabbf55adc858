"""The interface of adapters: one input row in, one record or one reason out."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Protocol

from schemas.inputs import Record


class InputRow(NamedTuple):
    """One input row: its line number from 1, its original bytes, and a record or the reason for rejection.

    Exactly one of ``record`` and ``reason`` is None.
    """

    line: int
    raw: bytes
    record: Record | None
    reason: str | None


class Adapter(Protocol):
    """Converts a decompressed stream to rows, one for each input row, without omissions.

    Rows are sorted by event time (stable) if the source is not sorted, so that none is late.
    """

    def rows(self, stream: BinaryIO) -> Iterator[InputRow]:
        """The rows of one file."""
        ...
