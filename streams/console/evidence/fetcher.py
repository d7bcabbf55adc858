"""Fetches the records that decisions name from the input topics, while these keep them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog
from sqlalchemy import Connection, bindparam, func, select, update

from schemas import codec
from streams.console.evidence.masked_record import masked
from streams.console.evidence.tables import EVIDENCE, EXPIRED, KEPT, UNREADABLE, WANTED
from streams.console.telemetry import ConsoleMetrics, WaitingEvidence
from streams.consumers.database import Database
from streams.kafka.api import TP, Cluster, CorruptLog, OffsetOutOfRange, TransientError

log = structlog.get_logger("callwarden")

_EVERY_S: Final = 1.0
_LONGEST_S: Final = 30.0  # between two attempts while the broker is away
_AT_ONCE: Final = 500  # records in a round
_MOST_COUNTED: Final = 10_000
_NEAR: Final = 200  # records this many offsets apart are read together


@dataclass(frozen=True, slots=True)
class WantedRecord:
    """A record to fetch for a decision."""

    enforcement_id: str
    number: int
    tenant_id: str
    tp: TP
    offset: int


@dataclass(frozen=True, slots=True)
class FetchedState:
    """What became of a wanted record."""

    wanted: WantedRecord
    state: str
    value: bytes | None = None


class EvidenceFetcher:
    """Fetches what the table of evidence wants, oldest first."""

    def __init__(self, cluster: Cluster, database: Database, telemetry: ConsoleMetrics) -> None:
        self._cluster, self._database, self._telemetry = cluster, database, telemetry

    async def run(self) -> None:
        """Fetch until cancelled."""
        delay_s = _EVERY_S
        while True:
            try:
                fetched = await self.fetch_due()
                delay_s = 0.0 if fetched == _AT_ONCE else _EVERY_S
            except TransientError as error:
                delay_s = min(2 * max(delay_s, _EVERY_S), _LONGEST_S)
                log.warning("evidence cannot be fetched; it is tried again", why=str(error), again_in_s=delay_s)
            await asyncio.sleep(delay_s)

    async def fetch_due(self) -> int:
        """Fetch a round of wanted records. Returns how many. Raises TransientError."""
        wanted, self._telemetry.evidence = await asyncio.to_thread(self._wanted)
        found = [one async for one in self._fetched(wanted)] if wanted else []
        if found:
            await self._database.run(lambda connection: _store(connection, found))
            for state, records in Counter(one.state for one in found).items():
                self._telemetry.fetched(state, records)
        return len(wanted)

    def _wanted(self) -> tuple[list[WantedRecord], WaitingEvidence]:
        e = EVIDENCE.c
        columns = (e.enforcement_id, e.number, e.tenant_id, e.topic, e.partition, e.offset, e.added_ms)
        query = select(*columns).where(e.state == WANTED).order_by(e.added_ms).limit(_AT_ONCE)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
            count = len(rows)
            if count == _AT_ONCE:
                some = select(e.number).where(e.state == WANTED).limit(_MOST_COUNTED).subquery()
                count = connection.execute(select(func.count()).select_from(some)).scalar_one()
        wanted = [
            WantedRecord(row.enforcement_id, row.number, row.tenant_id, TP(row.topic, row.partition), row.offset)
            for row in rows
        ]
        return wanted, WaitingEvidence(count, rows[0].added_ms if rows else None)

    async def _fetched(self, wanted: Sequence[WantedRecord]) -> AsyncIterator[FetchedState]:
        cluster = self._cluster
        counts = await cluster.partitions(sorted({one.tp.topic for one in wanted}))
        there = {one.tp for one in wanted if one.tp.partition < counts.get(one.tp.topic, 0)}
        starts = await cluster.starts(sorted(there))
        ends = await cluster.ends(sorted(there))
        readable = []
        for one in wanted:
            if one.tp not in there or not starts[one.tp] <= one.offset:
                yield FetchedState(one, EXPIRED)
            elif one.offset >= ends[one.tp]:
                yield FetchedState(one, UNREADABLE)  # its topic was created again
            else:
                readable.append(one)
        for some in _together(readable):
            async for each in self._read(some):
                yield each

    async def _read(self, wanted: Sequence[WantedRecord]) -> AsyncIterator[FetchedState]:
        """Read the records of one partition that lie near each other."""
        values: dict[int, bytes | None] = {}
        offsets = {one.offset for one in wanted}
        try:
            async for fetched in self._cluster.read(wanted[0].tp, wanted[0].offset, wanted[-1].offset + 1):
                values |= {
                    offset: value
                    for offset, value in zip(fetched.offsets.tolist(), fetched.values, strict=True)
                    if offset in offsets
                }
        except OffsetOutOfRange:
            return  # deleted meanwhile: the next round finds them expired
        except CorruptLog as torn:
            log.warning("records of evidence are damaged", topic=torn.tp.topic, partition=torn.tp.partition)
        for one in wanted:
            value = _kept(values.get(one.offset), one.tenant_id)
            yield FetchedState(one, UNREADABLE if value is None else KEPT, value)


def _together(wanted: Sequence[WantedRecord]) -> Iterator[list[WantedRecord]]:
    """Wanted records in groups of one partition, ascending, each near the one before it."""
    group: list[WantedRecord] = []
    for one in sorted(wanted, key=lambda one: (one.tp, one.offset)):
        if group and (one.tp != group[-1].tp or one.offset > group[-1].offset + _NEAR):
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def _kept(value: bytes | None, tenant_id: str) -> bytes | None:
    """What is kept of a record; None if it is no record of that tenant."""
    try:
        record = codec.read(value or b"")
    except codec.InvalidRecordError:
        return None
    return msgspec.json.encode(masked(record)) if record.tenant_id == tenant_id else None


def _store(connection: Connection, found: Sequence[FetchedState]) -> None:
    e = EVIDENCE.c
    statement = (
        update(EVIDENCE)
        .where(e.enforcement_id == bindparam("b_id"), e.number == bindparam("b_number"))
        .values(state=bindparam("b_state"), value=bindparam("b_value"))
    )
    rows = [
        {"b_id": one.wanted.enforcement_id, "b_number": one.wanted.number, "b_state": one.state, "b_value": one.value}
        for one in found
    ]
    connection.execute(statement, rows)
