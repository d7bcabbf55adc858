"""Databases whose tables are created quickly, and whose transactions do not wait for the disk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Connection, Engine, event, inspect

import streams
from streams.consumers import database
from streams.consumers.database import Database

STREAMS = Path(streams.__file__).parent


@pytest.fixture(autouse=True, scope="session")
def migrations_are_run_once() -> Iterator[None]:
    """Run the migrations of a new SQLite file once for each consumer and process of pytest; later files receive the
    statements that rebuild their result, which takes a twentieth of the time. Files with tables are migrated as usual,
    and so are those of a test's own migrations.
    """
    migrate, scripts = Database._upgrade, dict[tuple[str, str], list[str]]()

    def upgrade(self: Database, connection: Connection) -> None:
        shipped = database._versions(self._package).is_relative_to(STREAMS)
        if connection.dialect.name != "sqlite" or not shipped or inspect(connection).get_table_names():
            migrate(self, connection)
            return
        consumer = (self.name, self._package)
        if consumer in scripts:
            for statement in scripts[consumer]:
                connection.exec_driver_sql(statement)
        else:
            migrate(self, connection)
            dump = connection.connection.driver_connection.iterdump()  # type: ignore[union-attr]
            scripts[consumer] = [line for line in dump if line not in ("BEGIN TRANSACTION;", "COMMIT;")]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "_upgrade", upgrade)
        yield


class _CompiledStatements:
    """The compiled statements of all engines of SQLite, as SQLAlchemy keeps those of one: each test has engines of its
    own, and would compile all its statements again.
    """

    def __init__(self) -> None:
        self._found: dict[Any, Any] = {}

    def get(self, key: Any) -> Any:
        """The compiled statement; the first part of the key is the dialect of the engine."""
        return self._found.get(key[1:])

    def __setitem__(self, key: Any, compiled: Any) -> None:
        self._found[key[1:]] = compiled


@pytest.fixture(autouse=True, scope="session")
def databases_are_quick() -> Iterator[None]:
    """Of the thousands of transactions of these tests none has to survive a loss of power: nothing waits for the disk.
    A killed process keeps what the kernel has. And no statement is compiled twice.
    """
    engine, reader, compiled = database._engine, database._reader, _CompiledStatements()

    def quick_engine(url: URL) -> Engine:
        made = engine(url)
        if url.get_backend_name() == "sqlite":
            event.listen(
                made, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"), insert=True
            )
            made._compiled_cache = compiled  # type: ignore[assignment]
        return made

    def quick_reader(path: Path) -> Engine:
        made = reader(path)
        made._compiled_cache = compiled  # type: ignore[assignment]
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_engine", quick_engine)
        patch.setattr(database, "_reader", quick_reader)
        yield
