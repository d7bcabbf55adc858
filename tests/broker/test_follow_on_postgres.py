"""Tables of a real PostgreSQL: text in any encoding."""

import json

import psycopg
import pytest
from postgres import Postgres

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
