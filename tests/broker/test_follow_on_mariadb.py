"""Tables of a real MariaDB: keys without sign, any value, commits in any order, servers that end or do not answer."""

import asyncio
import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from followers import Followers
from ingest_instances import ready
from shared_broker import Broker

from streams.ingest.follow.tables import table_database
from streams.ingest.follow.tables.sql_table import SqlTable
from streams.ingest.follow.tables.table_rows import TableAway
from streams.kafka.api import PermanentError

if TYPE_CHECKING:
    from mariadb import MariaDb

pytestmark = pytest.mark.services

MAPPING = """\
mapping: calls
record: cdr
format: csv
zone: UTC
fields:
  call_id: {column: callid}
  tenant_id: {column: tenant}
  direction: {const: outbound}
  caller: {const: anonymous}
  callee: {const: "+8613800000000"}
  start_ms: {column: at, time: iso8601}
  end_ms: {column: at, time: iso8601}
  outcome: {const: no_answer}
"""
ACC = """CREATE TABLE acc (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, callid VARCHAR(64), tenant VARCHAR(64),
at DATETIME) ENGINE=InnoDB"""
ROW = "INSERT INTO acc (callid, tenant, at) VALUES (%s, 'acme', '2026-03-02 08:00:00')"


class Proxy:
    """Processes of a proxy that write rows: some transactions take long, some are rolled back, some end with the
    server.
    """

    def __init__(self, mariadb: "MariaDb", database: str, seed: int) -> None:
        self._mariadb, self._database = mariadb, database
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(seed + n, f"{n}")) for n in range(4)]
        for thread in self._threads:
            thread.start()

    def _write(self, seed: int, name: str) -> None:
        import pymysql

        rng, number = random.Random(seed), 0
        while not self._stopping.is_set():
            try:
                with self._mariadb.connect(self._database) as connection, connection.cursor() as cursor:
                    while not self._stopping.is_set():
                        for _ in range(rng.choice((1, 1, 5))):
                            number += 1
                            cursor.execute(ROW, (f"{name}-{number}",))
                        self._stopping.wait(rng.choice((0.0, 0.01, 0.3, 2.0)))
                        if rng.random() < 0.1:
                            connection.rollback()
                        else:
                            connection.commit()
            except pymysql.Error:
                self._stopping.wait(0.1)

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def committed(self) -> list[str]:
        with self._mariadb.connect(self._database) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT callid FROM acc")
            return [callid for (callid,) in cursor]


@pytest.fixture
def followers(kafka: Broker, mariadb: "MariaDb", tmp_path: Path) -> Iterator[Followers]:
    (tmp_path / "calls.yaml").write_text(MAPPING)
    url = mariadb.database("follow", ACC)
    words = ("--sql", url, "--table", "acc", "--key", "id", "--format", str(tmp_path / "calls.yaml"))
    followers = Followers(tmp_path, kafka.address, *words)
    yield followers
    followers.close()


async def test_each_row_is_written_once_while_follower_and_server_are_killed(
    followers: Followers, mariadb: "MariaDb"
) -> None:
    rng = random.Random(6)
    followers.start()
    await ready(followers.port)
    proxy = Proxy(mariadb, "follow", 6)
    try:
        for kill in (followers.kill, mariadb.kill, followers.kill):
            await asyncio.sleep(rng.uniform(0.5, 2.0))
            await asyncio.to_thread(kill)
            if kill == mariadb.kill:
                await asyncio.to_thread(mariadb.start)
            else:
                followers.start()
            await ready(followers.port)
    finally:
        await asyncio.to_thread(proxy.stop)
    ids = proxy.committed()
    assert len(ids) > 20
    with mariadb.connect("follow") as connection, connection.cursor() as cursor:  # the server accepts any such day
        cursor.execute("SET SESSION sql_mode = ''")
        cursor.execute("INSERT INTO acc (callid, tenant, at) VALUES ('odd', 'acme', '2026-02-31')")
        connection.commit()
    await followers.assert_ends_with(ids, rejected="odd")


def test_a_value_of_each_type_is_read_as_the_server_shows_it(mariadb: "MariaDb") -> None:
    url = mariadb.database(
        "follow_types",
        """CREATE TABLE calls (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, text VARCHAR(64), wide TEXT CHARACTER SET
        utf16, moment DATETIME(3), stamp TIMESTAMP NULL, day DATE, time TIME, amount DECIMAL(30, 3), ratio DOUBLE,
        doc JSON, raw VARBINARY(8), kind ENUM('a', 'b'), uuid UUID, ip INET6, flag BOOLEAN, bits BIT(8), spot POINT)""",
        """INSERT INTO calls VALUES (1, 'caf\u00e9', '\u4e2d', '2026-03-02 08:00:00.25', '2026-03-02 08:00:00',
        '2026-03-02', '100:00:05', 123456789012345678901234567.5, 0.5, '{"a": [1]}', x'41ff', 'b',
        '0f8fad5b-d9cb-469f-a165-70867728950e', '::1', TRUE, b'1000001', POINT(0, 0))""",
        "INSERT INTO calls (id, time) VALUES (2, '-00:01:00.5')",
        "SET SESSION sql_mode = ''",
        "INSERT INTO calls (id, moment) VALUES (3, '2026-02-31 08:00:00')",
        "ALTER TABLE calls MODIFY id BIGINT UNSIGNED",
        f"INSERT INTO calls (id) VALUES ({(1 << 63) - 1})",
    )
    table = SqlTable(url, "calls", "id")
    rows = table.rows(-(1 << 63))
    assert [row.key for row in rows] == [1, 2, 3, (1 << 63) - 1]
    first, second, third, _ = (json.loads(row.value or b"") for row in rows)
    del first["spot"]
    assert first == {
        "id": 1, "text": "caf\u00e9", "wide": "\u4e2d", "moment": "2026-03-02T08:00:00.250000",
        "stamp": "2026-03-02T08:00:00", "day": "2026-03-02", "time": "100:00:05",
        "amount": "123456789012345678901234567.500", "ratio": 0.5, "doc": '{"a": [1]}', "raw": "A\ufffd", "kind": "b",
        "uuid": "0f8fad5b-d9cb-469f-a165-70867728950e", "ip": "::1", "flag": 1, "bits": "A",
    }  # fmt: skip
    assert second["time"] == "-00:01:00"
    assert third["moment"] == "0000-00-00 00:00:00.000"
    assert [row.key for row in table.rows_of([2, (1 << 63) - 1])] == [2, (1 << 63) - 1]
    assert table.keys(1, (1 << 63) - 1).tolist() == [2, 3, (1 << 63) - 1]
    with mariadb.connect("follow_types") as connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE calls ADD added TEXT")
        cursor.execute(f"INSERT INTO calls (id, added) VALUES ({1 << 63}, 'x'), (5, 'y')")
        connection.commit()
    assert json.loads(table.rows_of([5])[0].value or b"")["added"] == "y"
    with pytest.raises(TableAway, match="expected a whole number of 64 bits, signed"):
        table.rows(5)
    table.close()


def test_the_server_does_not_send_a_row_that_is_too_long(mariadb: "MariaDb") -> None:
    url = mariadb.database(
        "follow_long",
        "CREATE TABLE acc (id INT PRIMARY KEY, one LONGTEXT, other LONGBLOB)",
        "INSERT INTO acc VALUES (1, 'a', 'b'), (2, REPEAT('x', 50000000), NULL), (3, 'c', NULL)",
        "INSERT INTO acc VALUES (4, REPEAT('x', 700000), REPEAT('y', 700000))",
        *(f"INSERT INTO acc VALUES ({key}, REPEAT('z', 800000), NULL)" for key in range(5, 15)),
    )

    def sent() -> int:
        with mariadb.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Bytes_sent'")
            found = cursor.fetchone()
            assert found is not None
            return int(found[1])

    table = SqlTable(url, "acc", "id")
    assert table.greatest() == 14
    before = sent()
    rows = table.rows(0)
    assert sent() - before < 5_500_000
    assert [(row.key, row.value is None) for row in rows[:4]] == [(1, False), (2, True), (3, False), (4, True)]
    assert rows[1].length > 50_000_000
    assert [row.key for row in rows] == [*range(1, 11)]  # no more than 4 MiB and a row at once
    before = sent()
    assert [row.value for row in table.rows_of([2, 4])] == [None, None]
    assert sent() - before < 100_000
    table.close()


def test_a_server_that_does_not_answer_is_away_and_is_read_again_afterwards(
    mariadb: "MariaDb", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_database, "STATEMENT_S", 1)
    url = mariadb.database("follow_away", "CREATE TABLE acc (id INT PRIMARY KEY)", "INSERT INTO acc VALUES (1)")
    hasty = SqlTable(f"{url}?read_timeout=2", "acc", "id")
    with mariadb.frozen(), pytest.raises(TableAway, match=f"127.0.0.1:{mariadb.port}/follow_away: .*timed out"):
        hasty.greatest()
    hasty.close()
    table = SqlTable(url, "acc", "id")
    assert table.greatest() == 1
    # A statement ends at the server: else each attempt would leave one more that waits.
    with mariadb.connect("follow_away") as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLES acc WRITE")
        with pytest.raises(TableAway, match="max_statement_time"):
            table.greatest()
        cursor.execute(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'reader' AND command = 'Query'"
        )
        assert cursor.fetchone() == (0,)
    assert table.greatest() == 1
    mariadb.kill()
    with pytest.raises(TableAway):
        table.greatest()
    mariadb.start()
    assert table.greatest() == 1
    table.close()


def test_no_message_shows_who_reads(mariadb: "MariaDb") -> None:
    url = mariadb.database(
        "follow_who", "CREATE TABLE acc (id INT PRIMARY KEY, callid TEXT, other INT UNIQUE, text CHAR(9))"
    )
    for wrong, said in (
        (url.replace("a-password", "a-wrong-one"), "Access denied for the user"),
        (url.replace("reader:", "nobody-else:"), "Access denied for the user"),
        (url.replace("/follow_who", "/no_such"), "Access denied for the user"),
    ):
        table = SqlTable(wrong, "acc", "id")
        with pytest.raises(TableAway, match=said) as error:
            table.greatest()
        assert not any(word in str(error.value) for word in ("reader", "nobody", "a-wrong-one", "a-password"))
        table.close()
    for name, key, message in (
        ("nothing", "id", "has no table nothing"),
        ("acc", "no", "--key no: the table acc has no such column; expected one of id, callid, other, text"),
        ("acc", "text", "--key text: expected an integer column"),
    ):
        table = SqlTable(url, name, key)
        with pytest.raises((TableAway, PermanentError), match=message):
            table.greatest()
        table.close()


def test_a_connection_cannot_write_even_if_its_user_may(mariadb: "MariaDb") -> None:
    mariadb.database("follow_only", "CREATE TABLE acc (id INT PRIMARY KEY)")
    table = SqlTable(f"mariadb://root@127.0.0.1:{mariadb.port}/follow_only", "acc", "id")
    with pytest.raises(TableAway, match="READ ONLY transaction"), table._reading() as connection:
        connection.exec_driver_sql("DELETE FROM acc")
    table.close()
