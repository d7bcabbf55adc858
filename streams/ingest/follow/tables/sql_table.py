"""Reads a table of PostgreSQL, MySQL, MariaDB or SQLite: in read-only transactions, with limits on time and memory."""

import codecs
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Text,
    case,
    cast,
    column,
    func,
    inspect,
    literal,
    literal_column,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, NoSuchTableError, SAWarning, SQLAlchemyError

from streams.consumers.database import masked_url
from streams.ingest.follow.tables.row_values import row_document, whole_key
from streams.ingest.follow.tables.seen_keys import Keys
from streams.ingest.follow.tables.table_database import table_address, table_engine
from streams.ingest.follow.tables.table_rows import TableAway, TableRow
from streams.ingest.foreign_rows import MAX_RECORD_BYTES
from streams.kafka.api import PermanentError

_MOST_ROWS: Final = 1_000
_MOST_BYTES: Final = 4 << 20
_BUFFERED: Final = 20  # rows of the largest size that a driver holds
_ROW: Final = "callwarden_row"
_WRITERS: Final = text(
    "SELECT virtualtransaction FROM pg_catalog.pg_locks WHERE locktype = 'relation' AND mode = 'RowExclusiveLock'"
    " AND relation = to_regclass(:name)"
    " AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"
)
"""Every user may read it. A transaction has this lock before it is given a key, and until its rows can be seen."""
_UNCONVERTIBLE: Final = ("22021", "22P05")
"""The server's errors for text that it cannot convert: bytes that are none of the encoding, or a character that UTF-8
does not have. A database in `SQL_ASCII` or `WIN1252` stores such text, and one value must not fail all rows.
"""
# MySQL and MariaDB name the user and his host, PostgreSQL the user.
_USER: Final = re.compile(r"""\b(user|role) (?:'[^']*'@'[^']*'|"[^"]*")""")

KeyCondition = Callable[[ColumnElement[int]], ColumnElement[bool]]
"""Which rows: a condition on the column of the key."""


class SqlTable:
    """`streams.ingest.follow.tables.table_rows.TableRows`. It does not connect before it is read.

    Raises PermanentError if the address cannot be used.
    """

    def __init__(self, url: str, table: str, key: str) -> None:
        address = table_address(url)
        self._shown = masked_url(address)
        self.table, self.key = table, key
        self._engine = table_engine(address)
        schema, _, name = table.rpartition(".")
        self._columns = Table(name, MetaData(), Column(key, BigInteger), schema=schema or None)
        self._checked = False

    def greatest(self) -> int | None:
        """See `TableRows`."""
        with self._reading() as connection:
            found = connection.execute(select(func.max(self._columns.c[self.key]))).scalar()
        return None if found is None else whole_key(found)

    def keys(self, above: int, through: int) -> Keys:
        """See `TableRows`."""
        key = self._columns.c[self.key]
        query = select(key).where(key > above, key <= through).order_by(key)
        with self._reading() as connection:
            return np.fromiter(map(whole_key, connection.execute(query).scalars()), np.int64)

    def rows(self, above: int) -> list[TableRow]:
        """See `TableRows`."""
        return self._rows_where(lambda key: key > above)

    def rows_of(self, keys: list[int]) -> list[TableRow]:
        """See `TableRows`."""
        return self._rows_where(lambda key: key.in_(keys))

    def writers(self) -> frozenset[str]:
        """See `TableRows`."""
        if self._engine.dialect.name != "postgresql":
            return frozenset()
        name = self._engine.dialect.identifier_preparer.format_table(self._columns)
        with self._reading() as connection:
            return frozenset(connection.execute(_WRITERS, {"name": name}).scalars())

    def close(self) -> None:
        """See `TableRows`."""
        self._engine.dispose()

    def _rows_where(self, condition: KeyCondition) -> list[TableRow]:
        # A server that makes the JSON also represents values that a driver cannot, which would fail all rows.
        read = self._server_documents if self._engine.dialect.name == "postgresql" else self._columns_by_length
        with self._reading() as connection:
            return read(connection, condition)

    def _server_documents(self, connection: Connection, condition: KeyCondition) -> list[TableRow]:
        """Rows as the JSON that the server makes, also those whose text the server cannot convert to UTF-8."""
        try:
            return self._converted_documents(connection, condition, None)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _UNCONVERTIBLE:
                raise
        connection.rollback()
        encoding = connection.execute(select(func.getdatabaseencoding())).scalar_one()
        return self._converted_documents(connection, condition, _codec_of(encoding))

    def _converted_documents(
        self, connection: Connection, condition: KeyCondition, codec: str | None
    ) -> list[TableRow]:
        """Rows as JSON; the server sends none that is too long. It converts them to UTF-8; with ``codec`` they come in
        the encoding of the database.
        """
        row = self._columns.alias(_ROW)
        key = row.c[self.key]
        json: ColumnElement[Any] = cast(func.row_to_json(literal_column(_ROW)), Text)
        inner = (
            select(key.label("key"), json.label("value"))
            .select_from(row)
            .where(condition(key))
            .order_by(key)
            .limit(_MOST_ROWS)
            .subquery()
        )
        length = func.octet_length(inner.c.value)
        sent = inner.c.value if codec is None else func.convert_to(inner.c.value, func.getdatabaseencoding())
        value = case((length <= MAX_RECORD_BYTES, sent))
        query = select(inner.c.key, value.label("value"), length.label("length")).order_by(inner.c.key)
        rows: list[TableRow] = []
        size = 0
        streaming = connection.execution_options(stream_results=True, max_row_buffer=_BUFFERED)
        with streaming.execute(query) as found:
            for row_key, document, row_length in found:
                decoded = document if document is None or codec is None else document.decode(codec, "replace")
                encoded = None if decoded is None else decoded.encode()
                rows.append(TableRow(whole_key(row_key), encoded, int(row_length)))
                size += len(encoded or b"")
                if size >= _MOST_BYTES:
                    break
        return rows

    def _columns_by_length(self, connection: Connection, condition: KeyCondition) -> list[TableRow]:
        """Rows as the driver reads them. It holds a value as a whole: the lengths are asked for before the values."""
        key = self._columns.c[self.key]
        lengths = self._lengths(connection, condition)
        fitting = _fitting(lengths)
        rows = [TableRow(each, None, length) for each, length in lengths.items() if length > MAX_RECORD_BYTES]
        if fitting:
            rows = [row for row in rows if row.key < fitting[-1]]  # those behind it may be followed by shorter ones
            found: Select[Any] = select(literal_column("*")).select_from(self._columns).where(key.in_(fitting))
            for row in connection.execute(found).mappings():
                document = row_document(row)
                fits = len(document) <= MAX_RECORD_BYTES
                rows.append(TableRow(whole_key(row[self.key]), document if fits else None, len(document)))
        return sorted(rows, key=lambda row: row.key)

    def _lengths(self, connection: Connection, condition: KeyCondition) -> dict[int, int]:
        """The bytes of the next rows by key, in order."""
        # Looked up each time: a column may have been added.
        nothing: Select[Any] = select(literal_column("*")).select_from(self._columns).limit(0)
        length: ColumnElement[int] = literal(0)
        with connection.execute(nothing) as names:
            for name in tuple(names.keys()):
                length += func.coalesce(func.length(cast(column(name), LargeBinary)), 0)
        key = self._columns.c[self.key]
        query = select(key, length).where(condition(key)).order_by(key).limit(_MOST_ROWS)
        return {whole_key(each): int(row_length) for each, row_length in connection.execute(query)}

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A read-only connection. Raises TableAway and PermanentError."""
        try:
            with self._connect() as connection:
                if not self._checked:
                    self._check(connection)
                    self._checked = True
                yield connection
        except DBAPIError as error:
            raise TableAway(f"the database {self._shown}: {_reason(error.orig)}") from None
        except SQLAlchemyError as error:
            raise TableAway(f"the database {self._shown}: {type(error).__name__}") from None

    def _connect(self) -> Connection:
        try:
            return self._engine.connect()
        except RuntimeError as error:  # pymysql's, for a way of authentication that needs another package
            raise PermanentError(f"--sql: {error}") from None

    def _check(self, connection: Connection) -> None:
        """The column must have a unique integer."""
        found = inspect(connection)
        table, schema = self._columns.name, self._columns.schema
        try:
            with warnings.catch_warnings(action="ignore", category=SAWarning):  # types that SQLAlchemy does not know
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


def _codec_of(encoding: str) -> str:
    """Python's name of an encoding of PostgreSQL; UTF-8 for one that says nothing, and for those that Python lacks."""
    name = encoding.replace("WIN", "cp").replace("KOI8", "koi8_")
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "utf-8"


def _fitting(lengths: Mapping[int, int]) -> list[int]:
    """The keys of the first rows that are not too long and have no more than a limit together; at least one, if any."""
    keys: list[int] = []
    size = 0
    for key, length in lengths.items():
        if length > MAX_RECORD_BYTES:
            continue
        keys.append(key)
        size += length
        if size >= _MOST_BYTES:
            break
    return keys


def _reason(error: BaseException | None) -> str:
    """The driver's message in one line without the user; SQLAlchemy's would show the statement."""
    parts = error.args if error is not None else ()
    said = str(parts[-1] if len(parts) == 2 else error)  # MySQL's have a number before the text
    return _USER.sub(r"the \1", said.partition("\n")[0])
