"""A consumer's own database, SQLite or PostgreSQL: numbered migrations create its tables, one thread writes."""

import asyncio
import os
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeVar
from weakref import WeakSet

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from monitor.text.private_files import make_private
from streams.consumers.locks import Acquire, file_lock, server_lock
from streams.kafka.api import PermanentError, TransientError
from streams.runtime.monotonic import steady_s

_DRIVERS: Final = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg"}
_BUSY_S: Final = 15
_BUSY_AGAIN_S: Final = 0.02
_TURN_AGAIN_S: Final = 0.05
_CLOSE_S: Final = 10.0
_READING: Final = "callwarden_reading"
POSTGRESQL_LIMITS: Final = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "client_encoding": "utf8",
}
"""With these options of a connection, an unresponsive server counts as unavailable after 15 s."""

_POSTGRESQL: Final = {**POSTGRESQL_LIMITS, "options": "-c statement_timeout=60s"}

# From a standby, or a former primary: the primary is another server now.
_STANDING_BY: Final = "25006"  # read_only_sql_transaction
_NO_RIGHT: Final = "42501"  # insufficient_privilege

T = TypeVar("T")


class Database:
    """One consumer's tables. A dedicated thread does all writes, one transaction at a time.

    Connection errors are raised as TransientError: whether the transaction was committed is then unknown. Others,
    such as a violated constraint, are raised unchanged.
    """

    def __init__(self, url: str, name: str, *, read_only: bool = False, package: str = "") -> None:
        """``name`` is the consumer's: its tables' prefix. ``package`` has its migrations, in ``versions``; by default
        the package of that name beside this module.

        Does not connect yet. Raises PermanentError if the address cannot be parsed or the file cannot exist. A file
        on a read-only disk is opened read-only, until a write finds it writable; any database is with ``read_only``.
        """
        self.name, self._read_only = name, read_only
        self._package = package or f"streams.consumers.{name}"
        try:
            address = make_url(url)
            address = address.set(drivername=_DRIVERS[address.drivername])
        except (ArgumentError, ValueError, KeyError):
            raise PermanentError(
                f"CALLWARDEN_{name.upper()}_DATABASE: not the address of a database; "
                "expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/NAME"
            ) from None
        self._shown = masked_url(address)
        self._path = file = _file(address)
        if file is not None and (wrong := _no_place(file)):
            raise PermanentError(f"the database {self._shown}: {wrong}")
        self._address = address
        self._engine = self._open()
        self._served: WeakSet[Any] = WeakSet()  # connections to a server
        if self._engine.dialect.name == "postgresql":
            event.listen(self._engine, "connect", lambda connection, _: self._served.add(connection))
        self._thread = ThreadPoolExecutor(1, f"{name}-database")
        self._closed = False

    async def migrate(self) -> None:
        """Create or upgrade the tables. Raises TransientError; PermanentError if they are of a newer release."""
        await self.run(self._upgrade)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction and return its result; roll back if it raises. Raises TransientError."""
        if self._read_only:
            raise RuntimeError("the database is open read-only")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._write, work)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read-only connection that sees one snapshot; callable from any thread. Raises TransientError."""
        options: dict[str, Any] = {_READING: True}
        if self._engine.dialect.name == "postgresql":  # by default each statement would see its own snapshot
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self._translated(writing=False), self._engine.connect().execution_options(**options) as connection:
            yield connection

    @asynccontextmanager
    async def turn(self, name: str, within_s: float) -> AsyncIterator[None]:
        """Wait until no other process of this database has the turn ``name``, at most ``within_s``, then continue.

        A stalled process so delays others and stops none: correctness must not rest on turns. Raises TransientError.
        """
        with ExitStack() as stack:

            def begin() -> Acquire:
                with self._translated(writing=True):
                    lock = self._lock(f"callwarden-{self.name}-{name}")
                    return stack.enter_context(lock)

            def take(acquire: Acquire) -> bool:
                with self._translated(writing=True):
                    return acquire()

            acquire, until_s = await asyncio.to_thread(begin), steady_s() + within_s
            while not await asyncio.to_thread(take, acquire) and steady_s() < until_s:
                await asyncio.sleep(_TURN_AGAIN_S)
            yield

    def _lock(self, name: str) -> AbstractContextManager[Acquire]:
        return server_lock(self._engine, name) if self._path is None else file_lock(self._path, name)

    def _open(self) -> Engine:
        file = self._path
        if file is not None and (self._read_only or _only_read(file)):
            return _reader(file)
        return _engine(self._address)

    def forget(self) -> None:
        """Discard the idle connections; later ones are new."""
        self._engine.dispose()

    def close(self, within_s: float = _CLOSE_S) -> None:
        """Wait for the current write, then close all connections.

        After ``within_s`` the wait ends, as with a frozen server: the write then fails as if the server had gone away.
        Calling it twice has no effect.
        """
        if self._closed:
            return
        self._closed = True
        last = self._thread.submit(lambda: None)
        if wait([last], timeout=within_s).not_done:
            self._cut()
        self._thread.shutdown(cancel_futures=True)
        self._engine.dispose()

    def _cut(self) -> None:
        """Shut down the connections to a server, also those that a thread waits on."""
        for connection in list(self._served):
            # By the socket: the driver would wait for the thread that holds the connection. On a duplicated descriptor,
            # since closing ours must not close a descriptor that the driver still uses.
            import psycopg  # here: not with SQLite

            with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    def _write(self, work: Callable[[Connection], T]) -> T:
        with self._translated(writing=True), self._engine.begin() as connection:
            return work(connection)

    @contextmanager
    def _translated(self, writing: bool) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            # The driver's message; SQLAlchemy's would show the statement with its values.
            why, code = str(error.orig), getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_NOTADB:
                raise PermanentError(
                    f"the database {self._shown}: the file is not an SQLite database; expected one of Callwarden, or "
                    "a path without a file"
                ) from None
            if code == sqlite3.SQLITE_CORRUPT:
                raise PermanentError(
                    f"the database {self._shown} is damaged: {why}; expected an intact one: restore a backup, or use a "
                    "new one, which is filled from the topics"
                ) from None
            if _state(error) == _NO_RIGHT:
                raise PermanentError(
                    f"the database {self._shown}: {why.partition(chr(10))[0]}; expected one that this role owns"
                ) from None
            stands_by = _state(error) == _STANDING_BY
            if not is_away(error) or (stands_by and not writing):  # a reader does not need the primary
                raise
            if stands_by:
                self.forget()  # only a new connection finds the new primary
            if writing and code == sqlite3.SQLITE_READONLY:
                # What was opened while the file was not writable stays read-only, even when the disk is repaired.
                self._engine.dispose()
                self._engine = self._open()
            raise TransientError(f"the database {self._shown}: {' '.join(why.split())}") from None

    def _upgrade(self, connection: Connection) -> None:
        if _has_newest_tables(connection, self.name, self._package):
            return
        if connection.dialect.name == "postgresql":
            if (encoding := connection.execute(text("SHOW server_encoding")).scalar_one()) != "UTF8":
                raise PermanentError(
                    f"the database {self._shown} has the encoding {encoding}, which cannot store all text; "
                    "expected one created with ENCODING 'UTF8' TEMPLATE template0"
                )
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            # Or two processes that start at once would both create the tables.
            connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"callwarden-{self.name}"}
            )
        from alembic import command  # here: for most commands the tables are up to date
        from alembic.config import Config
        from alembic.util.exc import CommandError

        config = Config(attributes={"connection": connection, "version_table": f"{self.name}_version"})
        config.set_main_option("script_location", "streams.consumers:migrations")
        config.set_main_option("path_separator", "newline")
        config.set_main_option("version_locations", str(_versions(self._package)))
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise PermanentError(
                f"the database {self._shown} has tables of another release of Callwarden ({error}); "
                "expected that release, or another database"
            ) from None


def _state(error: DBAPIError) -> str | None:
    """The SQLSTATE that PostgreSQL returned."""
    return getattr(error.orig, "sqlstate", None)


def is_away(error: DBAPIError) -> bool:
    """Whether the database or the connection caused the error, not the statement, so that a retry may help."""
    return isinstance(error, OperationalError) or error.connection_invalidated or _state(error) == _STANDING_BY


@contextmanager
def filled(url: str, name: str, table: Table, otherwise: str, *, read_only: bool = False) -> Iterator[Database]:
    """A consumer's database as opened by other programs, with its ``table``.

    Raises TransientError; PermanentError, with the address and ``otherwise``, if the table does not exist.
    """
    database = Database(url, name, read_only=read_only)
    address = make_url(url)
    nothing = PermanentError(f"{masked_url(address)} {otherwise}")
    try:
        if address.get_backend_name() == "sqlite" and not Path(address.database or "").exists():
            raise nothing  # opening it would create it
        with database.reading() as connection:
            if not inspect(connection).has_table(table.name):
                raise nothing
        yield database
    finally:
        database.close()


def masked_url(address: URL) -> str:
    """An address for display: without user, password and query string, which may be secret."""
    host = address.host.rpartition("@")[2] if address.host else None  # before it: a password with an @ in it
    return URL.create(
        address.get_backend_name(), host=host, port=address.port, database=address.database
    ).render_as_string()


def _has_newest_tables(connection: Connection, name: str, package: str) -> bool:
    """Whether the tables are of this release. Avoids alembic, whose import takes longer than the query."""
    table = f"{name}_version"
    if not inspect(connection).has_table(table):
        return False
    newest = max(path.name.partition("_")[0] for path in _versions(package).glob("[0-9]*_*.py"))
    return list(connection.execute(text(f"SELECT version_num FROM {table}")).scalars()) == [newest]


def _versions(package: str) -> Path:
    found = import_module(package).__file__
    assert found is not None
    return Path(found).parent / "versions"


def _engine(url: URL) -> Engine:
    # By default an error's message shows the values of its statement.
    if url.get_backend_name() != "sqlite":
        bounds = {name: value for name, value in _POSTGRESQL.items() if name not in url.query}
        return create_engine(url, pool_pre_ping=True, hide_parameters=True, connect_args=bounds)
    engine = create_engine(url, connect_args={"timeout": _BUSY_S}, hide_parameters=True)
    file = _file(url)

    @event.listens_for(engine, "do_connect")
    def connecting(*_: object) -> None:
        # SQLite creates its side files with the same permissions. If the file cannot be created, SQLite reports why.
        if file is not None and not file.exists():
            with suppress(OSError):
                make_private(file)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver's own transactions exclude DDL
        _write_ahead(connection)
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # A transaction that begins as a reader may fail at its first write, after another one has written.
        reading = connection.get_execution_options().get(_READING)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _file(address: URL) -> Path | None:
    """The path of a database file; None for other databases."""
    name = address.database
    if address.get_backend_name() != "sqlite" or not name or name == ":memory:" or name.startswith("file:"):
        return None
    return Path(name)


def _no_place(file: Path) -> str | None:
    """Why no database can exist at that path, so that a retry cannot help. None if it can."""
    if file.is_dir():
        return "the path is a folder; expected a file in it"
    if not file.parent.is_dir():
        return f"there is no folder {file.parent}; expected an existing one: create it first"
    return None


def _only_read(file: Path) -> bool:
    """Whether the file exists and neither it nor its folder is writable."""
    own = os.access in os.supports_effective_ids
    return file.exists() and not any(os.access(path, os.W_OK, effective_ids=own) for path in (file, file.parent))


def _reader(file: Path) -> Engine:
    def connect() -> sqlite3.Connection:
        connection = _connect_to_read(file, "mode=ro")
        try:
            connection.execute("SELECT 1 FROM sqlite_master").fetchall()
        except sqlite3.OperationalError as error:
            connection.close()
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
            log = file.with_name(f"{file.name}-wal")
            if log.exists() and log.stat().st_size:
                raise PermanentError(
                    f"the database {file}: part of it is in {log.name}, which cannot be read in a folder that is "
                    "not writable; expected a writable copy of both files"
                ) from None
            return _connect_to_read(file, "immutable=1")  # no process has it open: all data is in the file
        return connection

    engine = create_engine("sqlite+pysqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")  # or each statement would see its own snapshot

    return engine


def _connect_to_read(file: Path, how: str) -> sqlite3.Connection:
    uri = f"{file.absolute().as_uri()}?{how}"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)


def _write_ahead(connection: sqlite3.Connection) -> None:
    # When two connections switch a new file to this mode at once, SQLite refuses one immediately: each waits for the
    # other to stop reading, so the connection's own timeout does not apply.
    until_s = time.monotonic() + _BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until_s:
                raise
            time.sleep(_BUSY_AGAIN_S)
        else:
            return
