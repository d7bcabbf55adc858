"""Reads a table of PostgreSQL, MySQL or SQLite: in read-only transactions, with limits on time and memory."""

import datetime
import decimal
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import orjson
from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    MetaData,
    RowMapping,
    Select,
    Table,
    Text,
    case,
    cast,
    create_engine,
    event,
    func,
    inspect,
    literal_column,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, NoSuchTableError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from streams.consumers.database import POSTGRESQL_LIMITS, masked_url
from streams.ingest.follow.tables.seen_keys import Keys
from streams.ingest.follow.tables.table_rows import TableAway, TableRow
from streams.ingest.foreign_rows import MAX_RECORD_BYTES
from streams.kafka.api import PermanentError

_DRIVERS: Final = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
# An unresponsive server counts as away after 15 s; so does a statement.
_POSTGRESQL: Final = {
    **POSTGRESQL_LIMITS,
    "options": "-c statement_timeout=15s -c default_transaction_read_only=on",
}
_MYSQL: Final = {"connect_timeout": 5, "read_timeout": 15, "write_timeout": 15, "charset": "utf8mb4"}
_SQLITE: Final = {"timeout": 5, "uri": True}

_MOST_ROWS: Final = 1_000
_MOST_BYTES: Final = 4 << 20
_BUFFERED: Final = 20  # rows of the largest size that a driver holds
_ROW: Final = "callwarden_row"


class SqlTable:
    """`streams.ingest.follow.tables.table_rows.TableRows`. It does not connect before it is read.

    Raises PermanentError if the address cannot be used.
    """

    def __init__(self, url: str, table: str, key: str) -> None:
        address = _address(url)
        self._shown = masked_url(address)
        self.table, self.key = table, key
        self._engine = _engine(address)
        schema, _, name = table.rpartition(".")
        self._columns = Table(name, MetaData(), Column(key, BigInteger), schema=schema or None)
        self._checked = False

    def greatest(self) -> int | None:
        """See `TableRows`."""
        with self._reading() as connection:
            found = connection.execute(select(func.max(self._columns.c[self.key]))).scalar()
        return None if found is None else _whole(found)

    def keys(self, above: int, through: int) -> Keys:
        """See `TableRows`."""
        column = self._columns.c[self.key]
        query = select(column).where(column > above, column <= through).order_by(column)
        with self._reading() as connection:
            return np.fromiter(map(_whole, connection.execute(query).scalars()), np.int64)

    def rows(self, above: int) -> list[TableRow]:
        """See `TableRows`."""
        return self._rows_where(lambda column: column > above)

    def rows_of(self, keys: list[int]) -> list[TableRow]:
        """See `TableRows`."""
        return self._rows_where(lambda column: column.in_(keys))

    def close(self) -> None:
        """See `TableRows`."""
        self._engine.dispose()

    def _rows_where(self, condition: Any) -> list[TableRow]:
        rows: list[TableRow] = []
        size = 0
        with self._reading() as connection:
            found = connection.execution_options(stream_results=True, max_row_buffer=_BUFFERED).execute(
                self._query(condition)
            )
            with found:
                for row in found.mappings():
                    rows.append(_server_row(row) if self._on_server else _client_row(row, self.key))
                    size += len(rows[-1].value or b"")
                    if size >= _MOST_BYTES:
                        break
        return rows

    @property
    def _on_server(self) -> bool:
        """Whether the server makes the JSON: a value that the driver cannot represent would fail all rows."""
        return self._engine.dialect.name == "postgresql"

    def _query(self, condition: Any) -> Select[Any]:
        if not self._on_server:
            column = self._columns.c[self.key]
            return (
                select(literal_column("*"))
                .select_from(self._columns)
                .where(condition(column))
                .order_by(column)
                .limit(_MOST_ROWS)
            )
        row = self._columns.alias(_ROW)
        column = row.c[self.key]
        json: ColumnElement[Any] = cast(func.row_to_json(literal_column(_ROW)), Text)
        inner = (
            select(column.label("key"), json.label("value"))
            .select_from(row)
            .where(condition(column))
            .order_by(column)
            .limit(_MOST_ROWS)
            .subquery()
        )
        length = func.octet_length(inner.c.value)
        value = case((length <= MAX_RECORD_BYTES, inner.c.value))
        return select(inner.c.key, value.label("value"), length.label("length")).order_by(inner.c.key)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A read-only connection. Raises TableAway and PermanentError."""
        try:
            with self._engine.connect() as connection:
                if not self._checked:
                    self._check(connection)
                    self._checked = True
                yield connection
        except DBAPIError as error:
            # The driver's message; SQLAlchemy's would show the statement.
            why = str(error.orig).partition("\n")[0]
            raise TableAway(f"the database {self._shown}: {why}") from None
        except SQLAlchemyError as error:
            raise TableAway(f"the database {self._shown}: {type(error).__name__}") from None

    def _check(self, connection: Connection) -> None:
        """The column must have a unique integer."""
        found = inspect(connection)
        table, schema = self._columns.name, self._columns.schema
        try:
            columns = {each["name"]: each["type"] for each in found.get_columns(table, schema)}
        except NoSuchTableError:
            raise TableAway(f"the database {self._shown} has no table {self.table}") from None
        if self.key not in columns:
            raise PermanentError(
                f"--key {self.key}: the table {self.table} has no such column; expected one of {', '.join(columns)}"
            )
        if not isinstance(columns[self.key], Integer):
            raise PermanentError(f"--key {self.key}: expected an integer column, got {columns[self.key]}")
        if table in found.get_view_names(schema):
            return
        unique: list[Sequence[str | None]] = [found.get_pk_constraint(table, schema)["constrained_columns"]]
        unique += [each["column_names"] for each in found.get_unique_constraints(table, schema)]
        unique += [each["column_names"] for each in found.get_indexes(table, schema) if each["unique"]]
        if [self.key] not in unique:
            raise PermanentError(f"--key {self.key}: expected a unique column, such as one of {_names(unique)}")


def _names(unique: Sequence[Sequence[str | None]]) -> str:
    return ", ".join(str(each[0]) for each in unique if len(each) == 1) or "a primary key; the table has none"


def _address(url: str) -> URL:
    try:
        address = make_url(url)
        return address.set(drivername=_DRIVERS[address.drivername])
    except (ArgumentError, ValueError, KeyError):
        raise PermanentError(
            "--sql: not the address of a database; expected postgresql://USER:PASSWORD@HOST:PORT/NAME, mysql://... or "
            "sqlite:///FILE"
        ) from None


def _engine(address: URL) -> Engine:
    backend = address.get_backend_name()
    try:
        if backend == "sqlite":
            file = address.database or ""
            if not file or file == ":memory:":
                raise PermanentError("--sql: expected sqlite:///FILE, got no file")
            read_only = address.set(database=f"file:{file}", query={"mode": "ro", "uri": "true"})
            engine = create_engine(read_only, connect_args=_SQLITE, poolclass=NullPool, hide_parameters=True)
            event.listen(engine, "connect", _read_any_text)
            return engine
        limits = _POSTGRESQL if backend == "postgresql" else _MYSQL
        limits = {name: value for name, value in limits.items() if name not in address.query}
        return create_engine(address, pool_size=1, pool_pre_ping=True, connect_args=limits, hide_parameters=True)
    except (ImportError, NoSuchModuleError) as error:
        package = getattr(error, "name", None) or "the driver"
        raise PermanentError(
            f"--sql: {package} is not installed; expected it in this environment: `pip install pymysql` for MySQL"
        ) from None


def _read_any_text(connection: Any, _: object) -> None:
    """SQLite stores as text whatever a program calls text. Bytes that are not UTF-8 must not fail all rows."""
    connection.text_factory = lambda text: text.decode("utf-8", "replace")


def _whole(key: Any) -> int:
    """A key. SQLite has any value in an integer column, and MySQL has unsigned ones. Raises TableAway."""
    if not isinstance(key, int) or not -(1 << 63) <= key < 1 << 63:
        raise TableAway(f"a key is a {type(key).__name__}: expected a whole number of 64 bits, signed")
    return key


def _server_row(row: RowMapping) -> TableRow:
    value = row["value"]
    return TableRow(_whole(row["key"]), None if value is None else value.encode(), int(row["length"]))


def _client_row(row: RowMapping, key: str) -> TableRow:
    value = orjson.dumps({name: _plain(each) for name, each in row.items()}, default=str)
    return TableRow(_whole(row[key]), value if len(value) <= MAX_RECORD_BYTES else None, len(value))


def _plain(value: Any) -> Any:
    """A value as the server would write it into JSON."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | uuid.UUID | datetime.timedelta):
        return str(value)
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return str(value)
    return value
