"""Databases whose tables are created quickly, and whose transactions do not wait for the disk."""

from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture(autouse=True, scope="session")
def nothing_waits_for_the_disk() -> Iterator[None]:
    """Of the thousands of transactions of these tests none has to survive a loss of power. A killed process keeps what
    the kernel has.
    """
    make = database._engine

    def quick(url: URL) -> Engine:
        engine = make(url)
        if url.get_backend_name() == "sqlite":
            event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_engine", quick)
        yield
