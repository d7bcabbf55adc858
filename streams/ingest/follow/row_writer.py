"""Maps rows, and adds what becomes of them to a batch."""

from typing import Final, NamedTuple

from monitor.adapters.base import InputRow
from monitor.adapters.errors import TooManyRows
from schemas.error_codes import ErrorCode
from streams.ingest.follow.follow_source import SourceBatch
from streams.ingest.foreign_rows import (
    ForeignAdapter,
    ForeignRow,
    Origin,
    code_of,
    dead_letter,
    foreign_rows,
    outcome_of,
)
from streams.ingest.placement import TopicPlacement

MOST_ROWS: Final = 5_000
"""The most rows of one document, and about the most of one transaction."""


class Rows(NamedTuple):
    """The rows of a document, or the reason why it has too many."""

    rows: list[ForeignRow]
    fault: str | None = None


class RowWriter:
    """The rows of the follower ``name``, which is the feed of its events."""

    def __init__(self, adapter: ForeignAdapter, placement: TopicPlacement, name: str) -> None:
        self._adapter, self._placement, self._name = adapter, placement, name

    def rows(self, document: bytes) -> Rows:
        """The rows of a document."""
        try:
            return Rows([*foreign_rows(self._adapter, document, MOST_ROWS)])
        except TooManyRows as error:
            return Rows([], f"{ErrorCode.TOO_LONG}: {error}")

    def add(self, batch: SourceBatch, row: ForeignRow, origin: Origin) -> None:
        """Add the outcome of a row. ``origin``: where it came from."""
        outcome = outcome_of(row, self._placement, self._name, self._origin(origin))
        if outcome.out is not None:
            batch.outs.append(outcome.out)
        if outcome.code is None:
            batch.results["record" if isinstance(row, InputRow) else "event"] += 1
            return
        batch.results["rejected" if outcome.out is not None else "left_out"] += 1
        batch.codes[outcome.code] += 1

    def reject(self, batch: SourceBatch, raw: bytes | None, reason: str, origin: Origin) -> None:
        """Add a dead letter for what is no row."""
        batch.outs.append(dead_letter(self._placement, self._name, raw, reason, self._origin(origin)))
        batch.results["rejected"] += 1
        batch.codes[code_of(reason)] += 1

    def _origin(self, origin: Origin) -> Origin:
        return (("follow", self._name.encode()), *origin)
