"""Tables of SQLite: their rows are read and written, and faults are reported without data or passwords."""

import sqlite3
from pathlib import Path

import msgspec
import pytest
from followed_tables import MAPPING, Followed, shown

from monitor.adapters.shipped import open_adapter
from streams.ingest.follow.row_writer import RowWriter
from streams.ingest.follow.tables.row_document import RowDocument
from streams.ingest.follow.tables.sql_table import SqlTable
from streams.ingest.follow.tables.table_rows import TableAway
from streams.ingest.follow.tables.table_source import TableSource
from streams.ingest.placement import TopicPlacement
from streams.kafka.api import PermanentError


def sqlite(folder: Path, *rows: tuple[object, ...], columns: str = "id INTEGER PRIMARY KEY, callid, tenant, at") -> str:
    path = folder / "acc.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE IF NOT EXISTS acc ({columns})")
        connection.executemany("INSERT INTO acc (callid, tenant, at) VALUES (?, ?, ?)", rows)
    connection.close()
    return f"sqlite:///{path}"


def test_a_table_of_sqlite_is_followed(tmp_path: Path, rows: RowWriter) -> None:
    url = sqlite(tmp_path, ("a", "acme", 1772438400000), ("b", "acme", "2026-03-02 08:00:00"), ("c", None, 1))
    table = SqlTable(url, "acc", "id")
    followed = Followed(table, rows)
    said = followed.read()
    assert said[:2] == ["a", "b"]
    assert said[2].startswith("letter 3: ")
    letter = followed.outs[2]
    assert msgspec.json.decode(letter.value or b"") == {"id": 3, "callid": "c", "tenant": None, "at": 1}
    assert dict(letter.headers)["table"] == b"acc"
    sqlite(tmp_path, ("d", "acme", 1772438400000), ("x" * 1_000_000, "acme", 1))
    said = followed.read()
    assert said[0] == "d"
    assert said[1].startswith("letter 5: too_long: the row has 1,000,0")
    assert table.keys(1, 3).tolist() == [2, 3]
    assert [each.key for each in table.rows_of([2, 4])] == [2, 4]
    table.close()


@pytest.mark.parametrize(
    ("columns", "key", "wanted"),
    [
        (
            "id INTEGER PRIMARY KEY, callid, tenant, at",
            "no",
            "--key no: the table acc has no such column; expected",
        ),
        ("id TEXT PRIMARY KEY, callid, tenant, at", "id", "--key id: expected an integer column, got TEXT"),
        (
            "id INTEGER, callid, tenant, at",
            "id",
            "--key id: expected a unique column, such as one of",
        ),
    ],
)
def test_a_key_that_does_not_order_the_rows_is_refused(tmp_path: Path, columns: str, key: str, wanted: str) -> None:
    table = SqlTable(sqlite(tmp_path, columns=columns), "acc", key)
    with pytest.raises(PermanentError, match=wanted):
        table.greatest()
    table.close()


def followed_table(url: str, folder: Path, rows: RowWriter) -> TableSource:
    adapter = open_adapter(str(folder / "calls.yaml"))
    return TableSource(SqlTable(url, "acc", "id"), RowDocument(adapter, "calls"), rows)  # type: ignore[arg-type]


def test_text_that_is_not_utf8_fails_no_other_row(tmp_path: Path, rows: RowWriter) -> None:
    url = sqlite(tmp_path, ("a", "acme", 1_772_438_400_000), ("b", "acme", 1_772_438_400_000))
    with sqlite3.connect(tmp_path / "acc.db") as database:
        database.execute("UPDATE acc SET tenant = CAST(x'4dfc6c6c6572' AS TEXT) WHERE id = 1")
    database.close()
    source = followed_table(url, tmp_path, rows)
    batch = source.read()
    assert source.away is None
    assert batch is not None
    assert "b" in map(shown, batch.outs)
    source.close()


@pytest.mark.parametrize("key", [float(1 << 63), "+4917012345"])
def test_a_key_that_is_none_is_said_without_it(key: str | float, tmp_path: Path, rows: RowWriter) -> None:
    url = sqlite(tmp_path, ("a", "acme", 1), columns="id BIGINT UNIQUE, callid, tenant, at")
    with sqlite3.connect(tmp_path / "acc.db") as database:
        database.execute("UPDATE acc SET id = ?", (f"{key}x" if isinstance(key, str) else key,))
    database.close()
    source = followed_table(url, tmp_path, rows)
    assert source.read() is None
    assert "expected a whole number" in (source.away or "")
    assert "4917" not in (source.away or "")
    source.close()


def test_what_is_not_there_is_waited_for_and_no_password_is_shown(tmp_path: Path) -> None:
    sqlite(tmp_path)
    for url, table in ((f"sqlite:///{tmp_path / 'acc.db'}", "other"), (f"sqlite:///{tmp_path / 'no.db'}", "acc")):
        reader = SqlTable(url, table, "id")
        with pytest.raises(TableAway):
            reader.greatest()
        reader.close()
    away = SqlTable("postgres://user:secret-word@127.0.0.1:1/kamailio", "acc", "id")
    with pytest.raises(TableAway) as error:
        away.greatest()
    assert "secret-word" not in str(error.value)
    assert "127.0.0.1:1/kamailio" in str(error.value)
    away.close()
    with pytest.raises(PermanentError, match="--sql: not the address of a database"):
        SqlTable("secret-word", "acc", "id")


def test_a_row_is_a_line_of_csv_for_a_mapping_of_csv(placement: TopicPlacement, tmp_path: Path) -> None:
    text = MAPPING.replace("format: json", "format: csv\nencoding: gb18030")
    (tmp_path / "calls.yaml").write_text(text)
    rows = RowWriter(open_adapter(str(tmp_path / "calls.yaml")), placement, "acc")  # type: ignore[arg-type]
    odd = 'a "b",\nc\u4e2d'
    url = sqlite(tmp_path, (odd, "acme", 1772438400000), ("b", "acme", "2026-03-02 08:00:00"), ("c", None, 1.5))
    followed = Followed(SqlTable(url, "acc", "id"), rows)
    said = followed.read()
    assert said[:2] == [odd, "b"]
    assert said[2].startswith("letter 3: ")
    assert msgspec.json.decode(followed.outs[2].value or b"") == {"id": 3, "callid": "c", "tenant": None, "at": 1.5}
    followed.table.close()
