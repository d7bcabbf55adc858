"""Shared parts of the consumers' tables: partition columns, rejected records, inserts that skip existing rows."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, String, Table

from streams.consumers.sql_text import AnyText

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert


def of_partition() -> list[Column[Any]]:
    """The partition of a topic, as the first columns of a primary key."""
    return [
        Column("topic", String(249), primary_key=True),
        Column("partition", Integer, primary_key=True, autoincrement=False),
    ]


def rejected_table(metadata: MetaData, name: str) -> Table:
    """The table in which the consumer ``name`` records undecodable records."""
    return Table(
        f"{name}_rejected",
        metadata,
        *of_partition(),
        Column("offset", BigInteger, primary_key=True, autoincrement=False),
        Column("reason", AnyText, nullable=False),
    )


def insert_new(connection: Connection, table: Table) -> "PostgresqlInsert | SqliteInsert":
    """An insert that keeps existing rows with the same key."""
    # Imported here: each takes as long to load as everything else that a command needs of a database.
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table).on_conflict_do_nothing()
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table).on_conflict_do_nothing()


def inserted(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row; False if there is one with the same key.

    What it returns says so: the row count of such an insert is not known on PostgreSQL.
    """
    key = next(iter(table.primary_key.columns))
    return connection.execute(insert_new(connection, table).values(row).returning(key)).first() is not None
