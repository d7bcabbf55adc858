"""The database of a followed table: its address, its driver, and the limits of a connection."""

from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from streams.consumers.database import POSTGRESQL_LIMITS
from streams.kafka.api import PermanentError

_DRIVERS: Final = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
STATEMENT_S: Final = 15
# A statement ends after 15 s. An unresponsive server counts as away after 15 s, one of MySQL or MariaDB after 20 s.
_POSTGRESQL: Final = {
    **POSTGRESQL_LIMITS,
    "options": f"-c statement_timeout={STATEMENT_S}s -c default_transaction_read_only=on",
}
_MYSQL: Final = {"connect_timeout": 5, "read_timeout": 20, "write_timeout": 15, "charset": "utf8mb4"}
_SQLITE: Final = {"timeout": 5, "uri": True}
# MariaDB reads only the first comment, in seconds, and MySQL only the second, in milliseconds. A server that is older
# than both limits has only that of the socket.
_MYSQL_SESSION: Final = (
    "SET SESSION TRANSACTION READ ONLY",
    "SET SESSION autocommit = 0 /*M!100101 , max_statement_time = {seconds} */"
    " /*!50708 , max_execution_time = {seconds}000 */",
)


def table_address(url: str) -> URL:
    """The address, with its driver. Raises PermanentError."""
    try:
        address = make_url(url)
        return address.set(drivername=_DRIVERS[address.drivername])
    except (ArgumentError, ValueError, KeyError):
        raise PermanentError(
            "--sql: not the address of a database; expected postgresql://USER:PASSWORD@HOST:PORT/NAME, mysql://... or "
            "sqlite:///FILE"
        ) from None


def table_engine(address: URL) -> Engine:
    """An engine whose connections only read. It does not connect yet. Raises PermanentError."""
    backend = address.get_backend_name()
    try:
        if backend == "sqlite":
            return _sqlite(address)
        limits = _POSTGRESQL if backend == "postgresql" else _MYSQL
        limits = {name: value for name, value in limits.items() if name not in address.query}
        engine = create_engine(address, pool_size=1, pool_pre_ping=True, connect_args=limits, hide_parameters=True)
    except (ImportError, NoSuchModuleError) as error:
        package = getattr(error, "name", None) or "the driver"
        raise PermanentError(
            f"--sql: {package} is not installed; expected it in this environment: `pip install 'callwarden[mysql]'`"
        ) from None
    if backend == "mysql":
        event.listen(engine, "connect", _limit_mysql)
    return engine


def _sqlite(address: URL) -> Engine:
    file = address.database or ""
    if not file or file == ":memory:":
        raise PermanentError("--sql: expected sqlite:///FILE, got no file")
    read_only = address.set(database=f"file:{file}", query={"mode": "ro", "uri": "true"})
    engine = create_engine(read_only, connect_args=_SQLITE, poolclass=NullPool, hide_parameters=True)
    event.listen(engine, "connect", _read_any_text)
    return engine


def _read_any_text(connection: Any, _: object) -> None:
    """Read text that is not UTF-8, which SQLite also stores: one such value must not fail all rows."""
    connection.text_factory = lambda text: text.decode("utf-8", "replace")


def _limit_mysql(connection: Any, _: object) -> None:
    """Let the server end a long statement. Otherwise it would still run after its reader has disconnected."""
    with connection.cursor() as cursor:
        for statement in _MYSQL_SESSION:
            cursor.execute(statement.format(seconds=STATEMENT_S))
