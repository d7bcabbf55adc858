"""Rows of a table, also those that are committed out of order: each is read once."""

import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from helpers.thorough import thorough
from monitor.adapters.shipped import open_adapter
from streams.ingest.follow.positions import Position, TablePosition, decode_position, encode_position
from streams.ingest.follow.row_writer import RowWriter
from streams.ingest.follow.tables import table_source
from streams.ingest.follow.tables.row_document import RowDocument
from streams.ingest.follow.tables.seen_keys import SeenKeys
from streams.ingest.follow.tables.sql_table import SqlTable
from streams.ingest.follow.tables.table_rows import TableAway, TableRow
from streams.ingest.follow.tables.table_source import POSITION, SETTLED_S, TableSource
from streams.ingest.placement import TopicPlacement
from streams.kafka.api import OutputRecord, PermanentError
from streams.kafka.topic_names import TopicNames

MAPPING = """\
mapping: calls
record: cdr
format: json
fields:
  call_id: {column: callid}
  tenant_id: {column: tenant}
  direction: {const: outbound}
  caller: {const: anonymous}
  callee: {const: "+8613800000000"}
  start_ms: {column: at, time: [epoch_ms, iso8601]}
  end_ms: {column: at, time: [epoch_ms, iso8601]}
  outcome: {const: no_answer}
zone: UTC
"""


class Topics:
    """Their numbers of partitions."""

    async def partitions(self, topics: list[str]) -> dict[str, int]:
        return dict.fromkeys(topics, 2)


@pytest.fixture
async def rows(tmp_path: Path) -> RowWriter:
    (tmp_path / "calls.yaml").write_text(MAPPING)
    placement = TopicPlacement(TopicNames(), "murmur2")
    await placement.refresh(Topics())  # type: ignore[arg-type]
    return RowWriter(open_adapter(str(tmp_path / "calls.yaml")), placement, "acc")  # type: ignore[arg-type]


class MemoryTable:
    """A table as readers see it: only rows that are committed."""

    table, key = "acc", "id"

    def __init__(self) -> None:
        self.visible: set[int] = set()
        self.away = False

    def greatest(self) -> int | None:
        if self.away:
            raise TableAway("no answer")
        return max(self.visible, default=None)

    def keys(self, above: int, through: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        return np.array(sorted(key for key in self.visible if above < key <= through), np.int64)

    def rows(self, above: int) -> list[TableRow]:
        return [row(key) for key in sorted(key for key in self.visible if key > above)[:7]]

    def rows_of(self, keys: list[int]) -> list[TableRow]:
        return [row(key) for key in sorted(keys)[:3]]

    def close(self) -> None:
        pass


def row(key: int) -> TableRow:
    return TableRow(key, msgspec.json.encode({"id": key, "callid": f"c-{key}", "tenant": "acme", "at": 1772438400000}))


class Followed:
    """A source of a table; `restart` is what a new process sees."""

    def __init__(self, table: "MemoryTable | SqlTable", rows: RowWriter) -> None:
        self.table, self.rows, self.adapter = table, rows, rows._adapter
        self.now_s = 0.0
        self.from_end = False
        self.outs: list[OutputRecord] = []
        self.positions: dict[str, Position] = {}
        self.source = self._made()

    def _made(self) -> TableSource:
        form = RowDocument(self.adapter, "calls")
        return TableSource(self.table, form, self.rows, lambda: self.now_s, self.from_end)

    def read(self, after_s: float = 2.0, lost: float = 0.0, rng: random.Random | None = None) -> list[str]:
        """Read to the end; a share of the batches is lost, as by a crash."""
        self.now_s += after_s
        first = len(self.outs)
        while (batch := self.source.read()) is not None:
            if rng is not None and rng.random() < lost:
                self.restart()
                continue
            self.outs += batch.outs
            for of, position in batch.positions.items():
                assert position is not None
                self.positions[of] = decode_position(encode_position(position))  # type: ignore[assignment]
            self.source.committed(batch)
        return [shown(out) for out in self.outs[first:]]

    def restart(self) -> None:
        self.source = self._made()
        self.source.restore(self.positions)


def shown(out: OutputRecord) -> str:
    if out.topic == "callwarden.cdr":
        return str(msgspec.json.decode(out.value or b"")["call_id"])
    headers = dict(out.headers)
    return f"letter {headers['key'].decode()}: {headers['reason'].decode()}"


@pytest.mark.parametrize("seed", thorough(range(40), 10))
def test_each_row_is_read_once_in_whatever_order_it_is_committed(seed: int, rows: RowWriter) -> None:
    print("seed", seed)
    rng = random.Random(seed)
    table = MemoryTable()
    followed = Followed(table, rows)
    commits: list[tuple[float, int]] = []
    now_s, key, rolled_back = 0.0, 0, set[int]()
    while now_s < 400 or commits:
        now_s += rng.uniform(0, 1.5)
        for _ in range(rng.choice((0, 1, 3)) if now_s < 400 else 0):
            key += rng.choice((1, 1, 1, 3))
            slow_s = rng.uniform(0, SETTLED_S - 2) if rng.random() < 0.3 else rng.uniform(0, 0.1)
            commits.append((now_s + slow_s, key))
            if rng.random() < 0.05:
                rolled_back.add(key)
        table.visible |= {each for at_s, each in commits if at_s <= now_s and each not in rolled_back}
        commits = [each for each in commits if each[0] > now_s]
        table.away = rng.random() < 0.05
        followed.read(now_s - followed.now_s, 0.1, rng)
        if rng.random() < 0.03:
            followed.restart()
        if rng.random() < 0.02 and now_s > 200:  # old rows are deleted
            least = sorted(table.visible)[len(table.visible) // 4]
            table.visible -= {each for each in table.visible if each < least}
    table.away = False
    followed.read()
    written = [shown(out) for out in followed.outs]
    assert len(written) == len(set(written))
    assert set(written) >= {f"c-{each}" for each in table.visible}
    stored = followed.positions[POSITION]
    assert isinstance(stored, TablePosition)
    assert len(stored.seen) < 1_000


def test_the_floor_rises_and_keys_are_forgotten(rows: RowWriter) -> None:
    table = MemoryTable()
    followed = Followed(table, rows)
    for number in range(300):
        table.visible.add(number + 1)
        assert followed.read(1.0) == [f"c-{number + 1}"]
    stored = followed.positions[POSITION]
    assert isinstance(stored, TablePosition)
    assert 230 <= stored.floor <= 240
    assert followed.source.backlog.left == 0


def test_no_row_is_read_while_too_many_may_have_smaller_keys_behind(
    rows: RowWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_source, "MOST_SEEN", 20)
    table = MemoryTable()
    table.visible |= set(range(1, 100))
    followed = Followed(table, rows)
    assert len(followed.read()) == 21
    assert not followed.source.at_end
    assert followed.source.backlog.left == 99 - 21
    read = 21
    while read < 99:
        found = len(followed.read(SETTLED_S))
        assert found
        read += found
    followed.read()
    assert followed.source.at_end


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("huge", [5_000_000, (1 << 63) - 1])
def test_rows_far_below_a_key_given_by_hand_are_read(huge: int, restarts: bool, rows: RowWriter) -> None:
    table = MemoryTable()
    followed = Followed(table, rows)
    table.visible = {1, 2, 3, huge}
    assert followed.read() == ["c-1", "c-2", "c-3", f"c-{huge}"]
    for n in range(4, 400):
        table.visible.add(n)
        assert followed.read() == [f"c-{n}"]
        if restarts and n % 40 == 0:
            followed.restart()
    floor = followed.source._floor
    assert 0 < floor < 399
    if not restarts:
        assert floor >= 399 - SETTLED_S / 2 - 3  # what is settled is forgotten
        assert len(followed.source._seen) < 40


def test_keys_that_go_on_above_a_gap_are_believed(rows: RowWriter) -> None:
    table = MemoryTable()
    followed = Followed(table, rows)
    table.visible = {1, 2, 3}
    followed.read()
    table.visible |= set(range(2_000_000, 2_001_001))
    assert len(followed.read()) == 1_001
    for _ in range(2):
        followed.read(SETTLED_S)
    assert followed.source._floor >= 2_000_000


def test_keys_that_are_all_far_apart_are_followed(rows: RowWriter) -> None:
    table = MemoryTable()
    followed = Followed(table, rows)
    for n in range(-3, 2_000):
        table.visible.add(n << 22)
        assert followed.read() == [f"c-{n << 22}"]
    assert len(followed.source._seen) < 1_100
    assert followed.source.away is None


def test_a_table_that_begins_again_is_not_taken_for_the_old_one(rows: RowWriter) -> None:
    table = MemoryTable()
    table.visible |= {1_000, 1_001}
    followed = Followed(table, rows)
    assert followed.read() == ["c-1000", "c-1001"]
    for _ in range(40):
        followed.read()
    table.visible = {1, 2}
    assert followed.read() == []
    assert (followed.source.away or "").startswith("the greatest id of acc is 2, and it was read up to 1001: was the")
    table.visible = set()
    followed.read()
    assert followed.source.away is None


@pytest.mark.parametrize("lost", [0.0, 0.5])
@pytest.mark.parametrize("before", [set(), {-7}, {1, 2, 90}])
def test_a_table_can_be_followed_from_its_end(before: set[int], lost: float, rows: RowWriter) -> None:
    table = MemoryTable()
    followed = Followed(table, rows)
    followed.from_end = True
    followed.restart()
    table.visible |= before
    rng = random.Random(5)
    assert followed.read(lost=lost, rng=rng) == []
    followed.restart()
    table.visible |= {100, 101}
    assert followed.read(lost=lost, rng=rng) == ["c-100", "c-101"]
    table.visible.add(99)  # committed out of order
    assert followed.read(lost=lost, rng=rng) == ["c-99"]
    followed.restart()
    assert followed.read(SETTLED_S, lost, rng) == []


def test_the_position_is_that_of_one_table(rows: RowWriter) -> None:
    followed = Followed(MemoryTable(), rows)
    followed.positions[POSITION] = TablePosition("acc_cdrs", "cdr_id", 5, SeenKeys(np.array([7, 9], np.int64)).encode())
    with pytest.raises(PermanentError, match="follows column cdr_id of table acc_cdrs; expected another --name for"):
        followed.restart()


@pytest.mark.parametrize("keys", [[], [5], [-3, 0, 7], [*range(10, 5000)], [1 << 62, (1 << 62) + 5]])
def test_seen_keys_are_what_they_were(keys: Sequence[int]) -> None:
    seen = SeenKeys(np.array(keys, np.int64))
    again = SeenKeys.decode(seen.encode())
    assert len(again) == len(keys)
    assert len(again.unseen(np.array(keys, np.int64))) == 0
    assert len(seen.encode()) < 300


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
    source = followed_table(url, tmp_path, rows)
    assert source.read() is None
    assert "expected a whole number" in (source.away or "")
    assert "4917" not in (source.away or "")
    source.close()


@pytest.mark.parametrize("column", [b"[" * 100_000 + b"]" * 100_000, b'"\\ud800"'])
def test_a_column_of_json_that_cannot_be_read_steps_aside(column: bytes, tmp_path: Path, rows: RowWriter) -> None:
    (tmp_path / "csv.yaml").write_text(MAPPING.replace("format: json", "format: csv"))
    form = RowDocument(open_adapter(str(tmp_path / "csv.yaml")), "calls")  # type: ignore[arg-type]
    table = MemoryTable()
    table.visible = {1}
    table.rows = lambda above: [TableRow(1, b'{"callid":' + column + b"}")]  # type: ignore[method-assign]
    batch = TableSource(table, form, rows).read()
    assert batch is not None
    assert batch.results["rejected"] == 1


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


async def test_a_row_is_a_line_of_csv_for_a_mapping_of_csv(tmp_path: Path) -> None:
    text = MAPPING.replace("format: json", "format: csv\nencoding: gb18030")
    (tmp_path / "calls.yaml").write_text(text)
    placement = TopicPlacement(TopicNames(), "murmur2")
    await placement.refresh(Topics())  # type: ignore[arg-type]
    rows = RowWriter(open_adapter(str(tmp_path / "calls.yaml")), placement, "acc")  # type: ignore[arg-type]
    odd = 'a "b",\nc\u4e2d'
    url = sqlite(tmp_path, (odd, "acme", 1772438400000), ("b", "acme", "2026-03-02 08:00:00"), ("c", None, 1.5))
    followed = Followed(SqlTable(url, "acc", "id"), rows)
    said = followed.read()
    assert said[:2] == [odd, "b"]
    assert said[2].startswith("letter 3: ")
    assert msgspec.json.decode(followed.outs[2].value or b"") == {"id": 3, "callid": "c", "tenant": None, "at": 1.5}
    followed.table.close()


def test_an_event_of_a_row_is_the_one_of_a_file(tmp_path: Path) -> None:
    adapter = open_adapter("kamailio-acc")
    columns = "id,method,from_tag,to_tag,callid,sip_code,sip_reason,time,tenant,src_user,dst_user,exact_time"
    line = '7,INVITE,a,b,c-1,200,OK,2026-03-02 08:00:00,acme,"1,2",+8613800000000,1772438400.120'
    of_file = adapter.events(f"{columns}\n{line}\n".encode())[0]  # type: ignore[attr-defined]
    row = (
        b'{"id":7,"method":"INVITE","from_tag":"a","to_tag":"b","callid":"c-1","sip_code":"200","sip_reason":"OK",'
        b'"time":"2026-03-02 08:00:00","tenant":"acme","src_user":"1,2","dst_user":"+8613800000000",'
        b'"exact_time":1772438400.120}'
    )
    of_table = adapter.events(RowDocument(adapter, "kamailio-acc").of(row))[0]  # type: ignore[attr-defined, arg-type]
    assert of_table.event == of_file.event
    assert of_table.value == of_file.value
