"""A consumer's read positions, kept in its own database and moved in the transaction of the effect."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    MetaData,
    ScalarSelect,
    String,
    Table,
    cast,
    func,
    select,
    update,
)

from streams.consumers.sql_common import insert_new, of_partition
from streams.kafka.api import TP


class ConcurrentWriter(Exception):
    """Another process with the same database has moved a position."""


class LastRecord(NamedTuple):
    """The last handled record. It reveals that a log was truncated and rewritten."""

    offset: int
    hash: str


def hash_of(key: bytes | None, value: bytes | None) -> str:
    """The SHA-256 of a record's key and value, in hex."""
    parts = [b"-" if part is None else b"%d:%b" % (len(part), part) for part in (key, value)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def position_table(metadata: MetaData, name: str) -> Table:
    """The position table of the consumer ``name``."""
    return Table(
        f"{name}_position",
        metadata,
        *of_partition(),
        Column("next", BigInteger, nullable=False),
        Column("last_offset", BigInteger),
        Column("last_hash", String(64)),
        Column("cluster", String(255)),
    )


def read_text(text: str | None) -> dict[TP, int]:
    """Parses what `Offsets.as_text` returns."""
    parts = [each.split(":") for each in (text or "").split(",") if each]
    return {TP(topic, int(partition)): int(at) for topic, partition, at in parts}


class Offsets:
    """The next offset of each partition, and the last record before it."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def known(self, connection: Connection) -> dict[TP, int]:
        """All stored positions."""
        rows = connection.execute(select(self._table.c.topic, self._table.c.partition, self._table.c.next))
        return {TP(topic, partition): at for topic, partition, at in rows}

    def last(self, connection: Connection) -> dict[TP, LastRecord]:
        """The last handled record of each partition that has one."""
        c = self._table.c
        rows = connection.execute(select(c.topic, c.partition, c.last_offset, c.last_hash))
        return {TP(topic, partition): LastRecord(at, hashed) for topic, partition, at, hashed in rows if at is not None}

    def as_text(self) -> ScalarSelect[str | None]:
        """All stored positions as one value, so that another statement can tell which state it has seen."""
        c = self._table.c
        each = c.topic + ":" + cast(c.partition, String) + ":" + cast(c.next, String)
        return select(func.aggregate_strings(each, ",")).scalar_subquery()

    def clusters(self, connection: Connection) -> set[str]:
        """The clusters of the positions, where known."""
        cluster = self._table.c.cluster
        return set(connection.execute(select(cluster).where(cluster.is_not(None)).distinct()).scalars())

    def begin(self, connection: Connection, first: dict[TP, int], cluster: str | None) -> None:
        """Insert positions for new partitions, and assign positions without a cluster to ``cluster``.

        Positions that are already stored keep their offset.
        """
        rows = [{**tp._asdict(), "next": at, "cluster": cluster} for tp, at in first.items()]
        if rows:
            connection.execute(insert_new(connection, self._table), rows)
        column = self._table.c.cluster
        connection.execute(update(self._table).where(column.is_(None)).values(cluster=cluster))

    def distrust(self, connection: Connection, topics: Sequence[str]) -> None:
        """Mark the last records of these topics as not in the current logs."""
        c = self._table.c
        connection.execute(
            update(self._table).where(c.topic.in_(topics), c.last_offset.is_not(None)).values(last_hash="")
        )

    def raise_to(self, connection: Connection, at: Mapping[TP, int]) -> None:
        """Move each position forward to at least this offset, also under concurrent writers; for idempotent reads."""
        if not at:
            return
        rows = [{**tp._asdict(), "next": offset} for tp, offset in at.items()]
        connection.execute(insert_new(connection, self._table), rows)
        c = self._table.c
        for tp, offset in at.items():
            here = (c.topic == tp.topic, c.partition == tp.partition, c.next < offset)
            connection.execute(update(self._table).where(*here).values(next=offset))

    def move(self, connection: Connection, tp: TP, start: int, stop: int) -> None:
        """Move the position from ``start`` to ``stop``, handled or not. Raises ConcurrentWriter if it is elsewhere."""
        self._must_move(connection, tp, start, {"next": stop, "last_offset": None, "last_hash": None})

    def advance(self, connection: Connection, tp: TP, start: int, stop: int, last: LastRecord | None = None) -> int:
        """Move the position to ``stop``. Returns the first offset to handle; ``last`` is the last record of the batch.

        That offset is beyond ``start``, at ``stop`` or further, if another process with the same database has handled
        records. Raises ConcurrentWriter if records before ``start`` are not handled.
        """
        values = {"next": stop} | ({"last_offset": last.offset, "last_hash": last.hash} if last else {})
        if self._moved(connection, tp, start, values):
            return start
        table = self._table
        here = (table.c.topic == tp.topic, table.c.partition == tp.partition)
        at = connection.execute(select(table.c.next).where(*here).with_for_update()).scalar_one_or_none()
        if at is None or at < start:
            raise ConcurrentWriter(f"{tp.topic}-{tp.partition} was set back: it is at offset {at}; expected {start}")
        if at < stop:
            self._must_move(connection, tp, at, values)
        return int(at)

    def _must_move(self, connection: Connection, tp: TP, start: int, values: Mapping[str, object]) -> None:
        if not self._moved(connection, tp, start, values):
            raise ConcurrentWriter(f"{tp.topic}-{tp.partition} is no longer at offset {start}")

    def _moved(self, connection: Connection, tp: TP, start: int, values: Mapping[str, object]) -> bool:
        table = self._table
        here = (table.c.topic == tp.topic, table.c.partition == tp.partition, table.c.next == start)
        return connection.execute(update(table).where(*here).values(values)).rowcount == 1
