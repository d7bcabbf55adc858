"""Fetched records as columns."""

import asyncio
from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.byte_rows import ByteRows, concatenated
from monitor.partition.record_batch import UnreadableRecord
from schemas.review_signature import Signatures, signatures_in
from streams.kafka.api import FetchedBatch

Headers = Sequence[tuple[str, bytes | None]]
Rows = list[bytes | None] | ByteRows


class WantedHeaders(Enum):
    """Which headers of records are kept. Signatures are few, and cost no memory where a record has none."""

    NONE = "none"
    SIGNATURES = "signatures"
    ALL = "all"


class RecordColumns:
    """Records in offset order, as columns; offsets and timestamps in pieces, ``headers`` only on request.

    ``unreadable``: the invalid records, by offset; ``signatures``, on request: the signature headers, by offset, of
    those that have any (`schemas.review_signature`). ``beside``: a thread reads what follows, see
    `streams.kafka.fetch.columnar_fetch.settled`; the columns are then true even if empty, so that clients keep them.
    """

    __slots__ = ("beside", "headers", "keys", "offsets", "signatures", "timestamps_ms", "unreadable", "values")

    def __init__(self) -> None:
        self.offsets: list[NDArray[np.int64]] = []
        self.timestamps_ms: list[NDArray[np.int64]] = []
        self.keys: Rows = []
        self.values: Rows = []
        self.headers: list[Headers] = []
        self.unreadable: dict[int, UnreadableRecord] = {}
        self.signatures: dict[int, Signatures] = {}
        self.beside: asyncio.Future[Any] | None = None

    def __bool__(self) -> bool:
        return bool(self.values) or self.beside is not None

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def of(
        cls, rows: Sequence[Any], at_ms: int | None, *, offsets: bool = True, headers: WantedHeaders
    ) -> "RecordColumns":
        """aiokafka's records (at least one). ``at_ms`` is the timestamp of all; None: each has its own.

        ``offsets``: whether to take these, too. Signatures have the number of their row in place of the offset, which
        may not be known here.
        """
        made = cls()
        if offsets:
            made.offsets = [np.array([row.offset for row in rows], np.int64)]
        if at_ms is None:
            made.timestamps_ms = [np.array([row.timestamp for row in rows], np.int64)]
        else:
            made.timestamps_ms = [np.full(len(rows), at_ms, np.int64)]
        made.keys, made.values = [row.key for row in rows], [row.value for row in rows]
        if headers is WantedHeaders.ALL:
            made.headers = [tuple(row.headers) for row in rows]
        elif headers is WantedHeaders.SIGNATURES:
            for number, row in enumerate(rows):
                if row.headers and (found := signatures_in(row.headers)):
                    made.signatures[number] = found
        return made

    @classmethod
    def concat(cls, parts: Sequence["RecordColumns"]) -> "RecordColumns":
        """The records of all parts, in this order.

        The cost grows with the number of parts: collect them, and call this once.
        """
        if len(parts) == 1:
            return parts[0]
        made = cls()
        made.keys = concatenated([part.keys for part in parts])
        made.values = concatenated([part.values for part in parts])
        for part in parts:
            made.offsets += part.offsets
            made.timestamps_ms += part.timestamps_ms
            made.headers += part.headers
            made.unreadable |= part.unreadable
            made.signatures |= part.signatures
        return made

    def part(self, start: int, stop: int) -> "RecordColumns":
        """The records ``[start, stop)`` by row."""
        if (start, stop) == (0, len(self)):
            return self
        part = RecordColumns()
        part.offsets = [joined(self.offsets)[start:stop]]
        part.timestamps_ms = [joined(self.timestamps_ms)[start:stop]]
        part.keys, part.values = _part(self.keys, start, stop), _part(self.values, start, stop)
        part.headers = self.headers[start:stop]
        if self.unreadable:
            within = set(part.offsets[0].tolist())
            part.unreadable = {offset: one for offset, one in self.unreadable.items() if offset in within}
        if self.signatures:
            first, after = (int(part.offsets[0][at]) for at in (0, -1)) if len(part) else (0, -1)
            part.signatures = {offset: one for offset, one in self.signatures.items() if first <= offset <= after}
        return part


def _part(rows: Rows, start: int, stop: int) -> Rows:
    return rows[start:stop].trimmed() if isinstance(rows, ByteRows) else rows[start:stop]


def columns(start: int, stop: int, records: RecordColumns | Sequence[Any]) -> FetchedBatch:
    """``records`` (an empty list if there are none) as a batch fetched from position ``start`` to ``stop``."""
    if not isinstance(records, RecordColumns):
        records = RecordColumns()
    offsets, timestamps_ms = joined(records.offsets), joined(records.timestamps_ms)
    return FetchedBatch(
        start, stop, offsets, timestamps_ms, records.keys, records.values, records.unreadable, records.signatures
    )


def before(fetched: FetchedBatch, stop: int) -> FetchedBatch:
    """The part of ``fetched`` below offset ``stop``."""
    if fetched.stop <= stop:
        return fetched
    count = int(np.searchsorted(fetched.offsets, stop))
    return FetchedBatch(
        fetched.start,
        stop,
        fetched.offsets[:count],
        fetched.timestamps_ms[:count],
        fetched.keys[:count],
        fetched.values[:count],
        fetched.unreadable,
        fetched.signatures,
    )


def joined(pieces: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The pieces as one column."""
    if len(pieces) == 1:
        return pieces[0]
    return np.concatenate(pieces) if pieces else np.empty(0, np.int64)
