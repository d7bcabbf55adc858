"""A minimal consumer: it stores the records that it handles."""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, String, Table, insert, select

from streams.consumers.database import Database
from streams.consumers.follower import FollowedRecord
from streams.consumers.offsets import Offsets, position_table

METADATA = MetaData()
POSITIONS = Offsets(position_table(METADATA, "notebook"))
NOTES = Table(
    "note",
    METADATA,
    Column("topic", String),
    Column("partition", Integer),
    Column("offset", BigInteger),
    Column("value", String),
)


def database_url(folder: Path) -> str:
    """The address of a database in that folder."""
    return f"sqlite:///{folder / 'notebook.db'}"


async def new_database(folder: Path) -> Database:
    """The database in that folder, with its tables."""
    database = Database(database_url(folder), "notebook")
    await database.run(lambda connection: METADATA.create_all(connection))
    return database


def store_records(connection: Connection, records: Sequence[FollowedRecord]) -> None:
    """Store the records."""
    rows = [
        {"topic": record.tp.topic, "partition": record.tp.partition, "offset": record.offset, "value": record.value}
        for record in records
    ]
    connection.execute(insert(NOTES), [row | {"value": (row["value"] or b"").decode()} for row in rows])


def stored_records(database: Database) -> list[tuple[str, int, int, str]]:
    """The stored records, in the order of partitions and offsets."""
    with database.reading() as connection:
        rows = connection.execute(select(NOTES).order_by(NOTES.c.topic, NOTES.c.partition, NOTES.c.offset))
        return [tuple(row) for row in rows]  # type: ignore[misc]
