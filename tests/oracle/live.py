"""Sections 1 to 3 for topics: the records of a partition of the five input topics with the clock log, in plain loops.

It uses nothing of ``monitor`` or ``streams``: the crash schedules check their results with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.partitioner import murmur2

from oracle.reading import Read
from oracle.records import parse, written_time

TOPICS = ("cdr", "complaints", "findings", "tenants", "reviews")
_TOPIC_OF = {
    "cdr": "cdr",
    "complaint": "complaints",
    "finding": "findings",
    "tenant": "tenants",
    "application": "tenants",
    "review": "reviews",
}


@dataclass(frozen=True)
class Row:
    """A record of a topic as the broker stores it."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


@dataclass
class RecordedJournal:
    """The entries of the clock log for one source: clocks by offset, limits of `max_ahead` by offset,
    skipped offsets.
    """

    clocks: list[tuple[int, int]] = field(default_factory=list)
    limits: list[tuple[int, int]] = field(default_factory=list)
    skipped: set[int] = field(default_factory=set)


@dataclass
class Partition:
    """A partition's number, the partition count, and the five logs with their journal entries, in the order of
    `TOPICS`.
    """

    number: int
    partitions: int
    logs: Sequence[Sequence[Row]]
    journal: Sequence[RecordedJournal]


def read_partition(partition: Partition, late_line: Callable[[int], int]) -> tuple[Read, int | None]:
    """The records of its logs, as `read_files` returns them with offsets for lines, and the watermark; None: none yet.

    Of records other than calls, only those below the watermark; of calls all.
    """
    out, seq = Read(), 0
    clocks: list[int | None] = []
    used: dict[tuple[str, str], list[int]] = {}
    for source, (log, journal) in enumerate(zip(partition.logs, partition.journal, strict=True)):
        clock: int | None = None
        for row in log:
            seq += 1
            out.read += 1
            for offset, at in journal.clocks:
                if offset <= row.offset:
                    clock = at if clock is None else max(clock, at)
            record = None if row.offset in journal.skipped else _placed(partition, source, row)
            # The first recorded limit also applies to the records before it: they were read under no other.
            before = [limit for limit in journal.limits if limit[0] <= row.offset] or [min(journal.limits)]
            ahead = max(before)[1]
            if record is None or written_time(record) > row.timestamp_ms + ahead:
                out.rejected.append((seq, source, row.offset, "invalid"))
                continue
            time = written_time(record)
            moved = min(time, row.timestamp_ms)
            clock = moved if clock is None else max(clock, moved)
            line = late_line(clock)
            record.update(t=time, seq=seq, file=source, line=row.offset)
            if record["type"] != "cdr":
                record["t"] = max(time, line)
                out.others.append(record)
                continue
            if time < line:
                out.late.append(record)
                continue
            times = used.setdefault((record["tenant_id"], record["call_id"]), [])
            if any(t >= line for t in times):
                out.duplicates += 1
                continue
            times.append(time)
            out.calls.append(record)
        for _, at in journal.clocks:
            clock = at if clock is None else max(clock, at)
        clocks.append(clock)
    known = [clock for clock in clocks if clock is not None]
    if len(known) < len(clocks):
        out.others = []
        return out, None
    watermark = late_line(min(known))
    out.others = [record for record in out.others if record["t"] < watermark]
    out.largest = watermark
    return out, watermark


def _placed(partition: Partition, source: int, row: Row) -> dict[str, Any] | None:
    """The record; None if it cannot be read or is in the wrong partition or topic."""
    record = None if row.value is None else parse(row.value)
    if record is None or _TOPIC_OF[record["type"]] != TOPICS[source]:
        return None
    key: bytes = record["tenant_id"].encode()
    if row.key != key or (murmur2(key) & 0x7FFFFFFF) % partition.partitions != partition.number:
        return None
    return record
