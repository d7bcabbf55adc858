"""The seam of the adapters: one input row in, one record or one reason out."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Protocol

from schemas.inputs import Record


class InputRow(NamedTuple):
    """One input row: its line number from 1, its bytes as they came, and a record or the reason for refusal.

    Exactly one of ``record`` and ``reason`` is None.
    """

    line: int
    raw: bytes
    record: Record | None
    reason: str | None


class Adapter(Protocol):
    """Turns a decompressed stream into rows, one for each input row, none left out.

    Rows come sorted by event time (stable) where the source does not sort them itself, so that none is late.
    """

    def rows(self, stream: BinaryIO) -> Iterator[InputRow]:
        """The rows of one file."""
        ...
