"""Reads the clock log: the journal of a partition."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import structlog

from monitor.partition.journal import JournalEntry
from streams.kafka.api import TP, FetchedBatch, PermanentError
from streams.topics.transaction_records import NOT_AN_ENTRY, decode_journal_entry, is_tick

log = structlog.get_logger("callwarden")


class ClockLog(Protocol):
    """The part of a cluster that is needed to read."""

    def read(self, tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        """See `streams.kafka.api.Cluster`."""
        ...


async def journal_entries(
    cluster: ClockLog, clock: TP, start: int, end: int, having: Sequence[bytes] = (b"",)
) -> AsyncIterator[tuple[int, int | None, JournalEntry]]:
    """The entries between these offsets, without ticks: offset, number of the source (None: the partition), entry.

    ``having``: only entries whose bytes contain one of these; the others are not decoded. Raises TransientError, and
    PermanentError if an entry cannot be read.
    """
    async for fetched in cluster.read(clock, start, end):
        for offset, value in zip(fetched.offsets.tolist(), fetched.values, strict=True):
            if is_tick(value) or not any(some in (value or b"") for some in having):
                continue
            at = f"{clock.topic}-{clock.partition} offset {offset}"
            if offset in fetched.unreadable:
                # No release writes such a record: another program did.
                log.warning(
                    "skipped a record of the clock topic that is not a journal entry",
                    at=at,
                    why=fetched.unreadable[offset].reason,
                )
                continue
            try:
                source, entry = decode_journal_entry(value or b"")
            except NOT_AN_ENTRY as error:
                raise PermanentError(f"{at}: expected a journal entry that this release can read: {error}") from None
            yield offset, source, entry
