"""Reads the clock log: the journal of a partition."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from monitor.partition.journal import JournalEntry
from streams.kafka.api import TP, FetchedBatch, PermanentError
from streams.topics.foreign_records import log_foreign_record
from streams.topics.transaction_records import NOT_AN_ENTRY, decode_journal_entry, is_tick, no_journal_entry


class ClockLog(Protocol):
    """The part of a cluster that is needed to read."""

    def read(self, tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        """See `streams.kafka.api.Cluster`."""
        ...


async def has_entries(cluster: ClockLog, clock: TP, start: int, end: int) -> bool:
    """Whether there is a journal entry between these offsets, perhaps of a newer release.

    Ticks do not count: they are written before there is any state. Raises TransientError and PermanentError.
    """
    async for fetched in cluster.read(clock, start, end):
        for offset, value in zip(fetched.offsets.tolist(), fetched.values, strict=True):
            if not is_tick(value) and _foreign(fetched, offset, value) is None:
                return True
    return False


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
            found = _decoded(fetched, offset, value)
            if isinstance(found, str):
                at, foreign = f"{clock.topic}-{clock.partition} offset {offset}", _foreign(fetched, offset, value)
                if foreign is None:
                    raise PermanentError(f"{at}: expected a journal entry that this release can read: {found}")
                log_foreign_record(
                    "skipped a record of the clock topic that is not a journal entry", at=at, why=foreign
                )
                continue
            yield offset, *found


def _decoded(fetched: FetchedBatch, offset: int, value: bytes | None) -> tuple[int | None, JournalEntry] | str:
    """The entry with the number of its source, or why this release cannot read it."""
    if bad := fetched.unreadable.get(offset):
        return bad.reason
    try:
        return decode_journal_entry(value or b"")
    except NOT_AN_ENTRY as error:
        return str(error)


def _foreign(fetched: FetchedBatch, offset: int, value: bytes | None) -> str | None:
    """Why another program wrote this record: no release does. None if one may have."""
    bad = fetched.unreadable.get(offset)
    return no_journal_entry(value) if bad is None else bad.reason
