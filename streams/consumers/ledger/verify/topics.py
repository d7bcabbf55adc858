"""Compares the ledger with the topics themselves: every record, up to the committed ends."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from monitor.text.timestamps import date_time
from schemas.review_signature import kept
from streams.consumers.data_loss import same_cluster
from streams.consumers.database import Database
from streams.consumers.ledger.tables import ENTRIES, JOURNAL, POSITIONS
from streams.consumers.ledger.up_to_date import topics_of
from streams.consumers.ledger.verify.chains import as_bytes, chain_name
from streams.consumers.topic_reader import TopicReader
from streams.kafka.api import TP, FetchedBatch
from streams.kafka.topic_names import TopicNames

_AT_ONCE = 1_000
_LOOK_S = 0.25
_QUIET_S = 5.0


@dataclass
class TopicComparison:
    """How the ledger differs from the topics, and how many entries could not be compared.

    ``compared`` counts entries within the topics' current range. ``older`` entries precede the start of their topics.
    ``absent`` counts, by topic, entries of topics that the cluster does not have, such as those before a migration.
    """

    faults: list[str] = field(default_factory=list)
    compared: int = 0
    older: int = 0
    absent: dict[str, int] = field(default_factory=dict)


async def committed_ends(topics: TopicReader, names: TopicNames) -> dict[TP, int]:
    """The committed end of each partition of the ledger's topics. Raises TransientError or PermanentError."""
    counts = await topics.partitions(topics_of(names))
    return await topics.ends([TP(topic, number) for topic in counts for number in range(counts[topic])])


async def wait_until_caught_up(database: Database, ends: Mapping[TP, int]) -> None:
    """Wait until a running ledger has reached ``ends``, as long as its positions advance. Raises TransientError."""
    moved_s, before = time.monotonic(), None
    while True:
        known = await asyncio.to_thread(_positions, database)
        if all(known.get(tp, 0) >= end for tp, end in ends.items()):
            return
        if known != before:
            moved_s, before = time.monotonic(), known
        elif time.monotonic() - moved_s >= _QUIET_S:
            return
        await asyncio.sleep(_LOOK_S)


async def compare(
    topics: TopicReader, connection: Connection, names: TopicNames, ends: Mapping[TP, int]
) -> TopicComparison:
    """Compare one state of the ledger with the topics, up to its position and at least up to ``ends``.

    Records beyond the position are reported too: a ledger that is behind looks the same as one whose end was removed
    together with its position. Raises TransientError or PermanentError (including `OtherCluster`).
    """
    found = TopicComparison()
    positions, entries = POSITIONS.known(connection), _entries(connection)
    counts = await topics.partitions(sorted({tp.topic for tp in positions.keys() | entries.keys() | ends.keys()}))
    there, absent = set(ends), set()
    for tp in positions.keys() | entries.keys():
        if tp.topic in counts and tp.partition < counts[tp.topic]:
            there.add(tp)
        else:
            absent.add(tp)
    starts, now = await topics.starts(sorted(there)), await topics.ends(sorted(there))
    same_cluster("ledger", POSITIONS.clusters(connection), await topics.cluster_id(), starts)
    for tp in sorted(absent):
        if tp.topic in counts:
            found.faults.append(
                f"{chain_name(tp)}: the topic has {counts[tp.topic]} partitions; expected this one among them"
            )
        elif entries.get(tp):
            found.absent[tp.topic] = found.absent.get(tp.topic, 0) + entries[tp]
    for tp in sorted(there):
        position = positions.get(tp)
        if position is not None and position > now[tp]:
            found.faults.append(f"{chain_name(tp)}: the topic ends at {now[tp]}, the ledger at {position}")
        if (position or 0) < starts[tp]:
            found.faults.append(
                f"{chain_name(tp)}: the topic begins at {starts[tp]}, the ledger ends at {position or 0}: records "
                "were deleted before they were kept, or the ledger's end was removed with its position"
            )
        stop = min(now[tp], max(position or 0, ends.get(tp, 0)))
        batches = topics.read(tp, starts[tp], stop)
        found.faults += await compare_partition(connection, tp, position, starts[tp], batches)
        older = _count_before(connection, tp, starts[tp])
        found.older += older
        found.compared += entries.get(tp, 0) - older
    return found


async def compare_partition(
    connection: Connection, tp: TP, position: int | None, start: int, batches: AsyncIterator[FetchedBatch]
) -> list[str]:
    """Compare a chain with ``batches``, the records of its partition from its first offset, ``start``."""
    faults: list[str] = []
    missing = _Missing(tp, position, faults)
    rows = iter(
        connection.execution_options(yield_per=_AT_ONCE).execute(
            select(ENTRIES)
            .where(ENTRIES.c.topic == tp.topic, ENTRIES.c.partition == tp.partition, ENTRIES.c.offset >= start)
            .order_by(ENTRIES.c.offset)
        )
    )
    row = next(rows, None)
    async for batch in batches:
        columns = zip(batch.offsets.tolist(), batch.timestamps_ms.tolist(), batch.keys, batch.values, strict=True)
        for offset, *held in columns:
            signature = kept(batch.signatures.get(offset, ()))
            while row is not None and row.offset < offset:
                missing.end()
                faults.append(_unknown(tp, row.number, row.offset))
                row = next(rows, None)
            if row is None or row.offset > offset:
                missing.add(offset, held[0])
                continue
            missing.end()
            if [row.timestamp_ms, as_bytes(row.key), as_bytes(row.value)] != held:
                faults.append(
                    f"{chain_name(tp)} entry {row.number}: the topic has another time, key or value at offset {offset}"
                )
            elif as_bytes(row.signature) != signature:
                faults.append(
                    f"{chain_name(tp)} entry {row.number}: the topic has another signature at offset {offset}"
                )
            row = next(rows, None)
    missing.end()
    while row is not None:
        faults.append(_unknown(tp, row.number, row.offset))
        row = next(rows, None)
    return faults


class _Missing:
    """Consecutive records of a partition that the ledger does not have, reported in one line."""

    def __init__(self, tp: TP, position: int | None, faults: list[str]) -> None:
        self._tp, self._position, self._faults = tp, position, faults
        self._first = self._last = self._count = self._newest_ms = 0

    def add(self, offset: int, timestamp_ms: int) -> None:
        """Add a record."""
        if self._count and self._is_beyond(offset) != self._is_beyond(self._first):
            self.end()
        if not self._count:
            self._first = offset
        self._last, self._newest_ms, self._count = offset, timestamp_ms, self._count + 1

    def end(self) -> None:
        """Report the records added so far, if any."""
        count, self._count = self._count, 0
        if not count:
            return
        which = f"offset {self._first}" if count == 1 else f"offsets {self._first} to {self._last} ({count:,} records)"
        newest = f"{date_time(self._newest_ms)} UTC"
        said = f"{chain_name(self._tp)}: the topic has {which}, the newest of {newest}; "
        if self._position is None:
            said += "the ledger has no position there: it has never kept this partition, or all of it was removed"
        elif self._is_beyond(self._first):
            said += (
                f"the ledger's position is {self._position}: the ledger is behind, or its end was removed with its "
                "position"
            )
        else:
            said += f"the ledger, which ends at {self._position}, does not have them"
        self._faults.append(said)

    def _is_beyond(self, offset: int) -> bool:
        return self._position is not None and offset >= self._position


def _unknown(tp: TP, number: int, offset: int) -> str:
    return f"{chain_name(tp)} entry {number}: the topic has no record at offset {offset}"


def _positions(database: Database) -> dict[TP, int]:
    with database.reading() as connection:
        return POSITIONS.known(connection)


def _entries(connection: Connection) -> dict[TP, int]:
    """The number of entries in each topic's chain."""
    by = ENTRIES.c.topic, ENTRIES.c.partition
    rows = connection.execute(select(*by, func.count()).group_by(*by).where(ENTRIES.c.topic != JOURNAL.topic))
    return {TP(topic, partition): count for topic, partition, count in rows}


def _count_before(connection: Connection, tp: TP, start: int) -> int:
    query = select(func.count()).where(
        ENTRIES.c.topic == tp.topic, ENTRIES.c.partition == tp.partition, ENTRIES.c.offset < start
    )
    return connection.execute(query).scalar_one()
