"""Fetched records as columns."""

import asyncio
from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.decoding.byte_rows import ByteRows, extended
from monitor.partition.record_batch import UnreadableRecord
from schemas.review_signature import Signatures, signatures_in
from streams.kafka.api import FetchedBatch

Headers = Sequence[tuple[str, bytes | None]]


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
        self.keys: list[bytes | None] | ByteRows = []
        self.values: list[bytes | None] | ByteRows = []
        self.headers: list[Headers] = []
        self.unreadable: dict[int, UnreadableRecord] = {}
        self.signatures: dict[int, Signatures] = {}
        self.beside: asyncio.Future[Any] | None = None

    def __bool__(self) -> bool:
        return bool(self.values) or self.beside is not None

    def __len__(self) -> int:
        return len(self.values)

    def add(self, rows: Sequence[Any], at_ms: int | None, *, offsets: bool, headers: WantedHeaders) -> None:
        """Append aiokafka's records (at least one). ``at_ms`` is the timestamp of all; None: each has its own.

        ``offsets``: whether to append these, too. Signatures are appended with the number of their row in place of the
        offset, which may not be known here.
        """
        if offsets:
            self.offsets.append(np.array([row.offset for row in rows], np.int64))
        if at_ms is None:
            self.timestamps_ms.append(np.array([row.timestamp for row in rows], np.int64))
        else:
            self.timestamps_ms.append(np.full(len(rows), at_ms, np.int64))
        self.keys = extended(self.keys, [row.key for row in rows])
        self.values = extended(self.values, [row.value for row in rows])
        if headers is WantedHeaders.ALL:
            self.headers += [tuple(row.headers) for row in rows]
        elif headers is WantedHeaders.SIGNATURES:
            first = len(self) - len(rows)
            for row, record in enumerate(rows, first):
                if record.headers and (found := signatures_in(record.headers)):
                    self.signatures[row] = found

    def extend(self, other: "RecordColumns") -> None:
        """Append the records of ``other``."""
        self.offsets += other.offsets
        self.timestamps_ms += other.timestamps_ms
        self.keys, self.values = extended(self.keys, other.keys), extended(self.values, other.values)
        if other.headers:
            self.headers += other.headers
        if other.unreadable:
            self.unreadable |= other.unreadable
        if other.signatures:
            self.signatures |= other.signatures

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


def _part(rows: list[bytes | None] | ByteRows, start: int, stop: int) -> list[bytes | None] | ByteRows:
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
