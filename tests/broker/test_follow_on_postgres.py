"""Tables of a real PostgreSQL: text in any encoding, and transactions that have not ended."""

import json

import psycopg
import pytest
from postgres import Postgres
from psycopg.sql import SQL, Identifier

from streams.ingest.follow.tables.sql_table import SqlTable

pytestmark = pytest.mark.services


def _database_in(postgres: Postgres, encoding: str) -> str:
    name = f"follow_{encoding.lower()}"
    with psycopg.connect(postgres.address("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0".encode())
    return postgres.address(name)


@pytest.mark.parametrize(
    ("encoding", "stored", "texts"),
    [
        ("SQL_ASCII", (b"\\xe4\\xb8\\xad", b"\\xff\\xfe", b"a"), ["中", "\ufffd\ufffd", "a"]),
        ("WIN1252", (b"caf\\xe9", b"\\x81", b"a"), ["café", "\ufffd", "a"]),
        ("LATIN1", (b"caf\\xe9", b"\\x81", b"a"), ["café", "\x81", "a"]),
        ("EUC_JP", (b"\\xc3\\xe6", b"\\xa2\\xaf", b"a"), ["中", "\ufffd\ufffd", "a"]),
    ],
)
def test_text_that_is_not_utf8_stops_no_row(
    postgres: Postgres, encoding: str, stored: tuple[bytes, ...], texts: list[str]
) -> None:
    """A caller chooses the text of a name, and such a database stores any bytes."""
    url = _database_in(postgres, encoding)
    with psycopg.connect(f"{url}?client_encoding={encoding}") as connection:
        connection.execute("CREATE TABLE acc (id SERIAL PRIMARY KEY, callid TEXT)")
        for text in stored:
            connection.execute(b"INSERT INTO acc (callid) VALUES (E'" + text + b"')")
        connection.execute("INSERT INTO acc (callid) VALUES (repeat('x', 2000000))")
    table = SqlTable(url, "acc", "id")
    try:
        *rows, long = table.rows(0)
        assert [json.loads(row.value or b"")["callid"] for row in rows] == texts
        assert (long.key, long.value) == (4, None)
        assert json.loads(table.rows_of([2])[0].value or b"")["callid"] == texts[1]
        assert table.greatest() == 4
    finally:
        table.close()


@pytest.mark.parametrize("name", ["acc", 'public.Odd "name', "other.acc"])
def test_the_transactions_that_write_to_the_table_are_known(postgres: Postgres, name: str) -> None:
    url = postgres.database("follow_writers")
    schema, _, table_name = name.rpartition(".")
    quoted = SQL(".").join(Identifier(part) for part in (schema or "public", table_name))
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(schema or "public")))
        admin.execute(SQL("CREATE TABLE {} (id SERIAL PRIMARY KEY, callid TEXT)").format(quoted))
        admin.execute("CREATE TABLE another (id SERIAL PRIMARY KEY, callid TEXT)")
        admin.execute("CREATE USER reader_of_writers")
        admin.execute(SQL("GRANT USAGE ON SCHEMA {} TO reader_of_writers").format(Identifier(schema or "public")))
        admin.execute(SQL("GRANT SELECT ON {} TO reader_of_writers").format(quoted))
    insert = SQL("INSERT INTO {} (callid) VALUES ('a')").format(quoted)
    table = SqlTable(url.replace("callwarden@", "reader_of_writers@"), name, "id")
    try:
        with psycopg.connect(url) as one, psycopg.connect(url) as other, psycopg.connect(url) as reader:
            reader.execute(SQL("SELECT * FROM {}").format(quoted))
            reader.execute("INSERT INTO another (callid) VALUES ('a')")
            assert table.writers() == frozenset()
            one.execute(insert)
            first = table.writers()
            other.execute(insert)
            assert len(first) == 1
            assert first < table.writers()
            other.commit()
            assert (table.writers(), table.greatest()) == (first, 2)
            one.commit()
            assert (table.writers(), table.keys(0, 2).tolist()) == (frozenset(), [1, 2])
            other.execute(insert)
            assert first.isdisjoint(table.writers()), "another transaction has another name"
    finally:
        table.close()
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("DROP OWNED BY reader_of_writers")
            admin.execute("DROP USER reader_of_writers")
