"""Entries of a log in memory as a client returns them."""

import random
from collections.abc import Sequence

import numpy as np

from crash.log import Entry
from monitor.byte_rows import NULL, ByteRows, RowBlock
from monitor.decoding import native
from monitor.partition.record_batch import UnreadableRecord
from schemas.review_signature import Signatures, signatures_in
from streams.kafka.api import (
    FetchedBatch,
)


def some_entries(rng: random.Random, entries: Sequence[Entry], most: int, stop: int) -> tuple[Sequence[Entry], int]:
    """Return a random prefix of the entries and the position after it: each fetch cuts batches differently.

    Tests replace it, so it is called by its module.
    """
    wanted = rng.choice((1, 2, 7, 60, 1000))
    if len(entries) <= min(wanted, most):
        return entries, stop
    entries = entries[: min(wanted, most)]
    return entries, entries[-1].offset + 1


def as_fetched(rows: list[bytes | None]) -> Sequence[bytes | None]:
    """The keys or values of records as the client returns them: cut from a larger batch."""
    if not native.enabled:
        return rows
    before, between = bytes(1 + sum(len(row or b"") + 1 for row in rows)), b"\0"
    size = np.array([NULL if row is None else len(row) for row in rows], np.int64)
    block = before + b"".join([between + (row or b"") for row in rows])
    start = len(before) + np.cumsum(np.maximum(size, 0) + 1) - np.maximum(size, 0)
    return ByteRows([RowBlock(block, start, size)]).trimmed()


def fetched_batch(start: int, stop: int, entries: Sequence[Entry]) -> FetchedBatch:
    records = [entry.record for entry in entries if entry.record is not None]
    return FetchedBatch(
        start,
        stop,
        np.array([entry.offset for entry in entries], np.int64),
        np.array([entry.timestamp_ms for entry in entries], np.int64),
        as_fetched([record.key for record in records]),
        as_fetched([record.value for record in records]),
        unreadable_among(entries),
        signatures_among(entries),
    )


def signatures_among(entries: Sequence[Entry]) -> dict[int, Signatures]:
    """Return the signature headers of those records that have any, as a client reports them."""
    found = {entry.offset: signatures_in(entry.record.headers) for entry in entries if entry.record is not None}
    return {offset: headers for offset, headers in found.items() if headers}


def unreadable_among(entries: Sequence[Entry]) -> dict[int, UnreadableRecord]:
    """Return the unreadable records, as a client reports them."""
    found = {}
    for entry in entries:
        if entry.record is not None and entry.record.fault:
            first = entry.offset - entry.record.offsets + 1 if entry.record.whole_batch else None
            found[entry.offset] = UnreadableRecord(entry.record.fault, first)
    return found
