"""Files that are read row by row: headers, rotation, truncation, lines that are no rows."""

import gzip
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import structlog

from monitor.adapters import open_adapter
from streams.ingest.follow.files import file_set, names
from streams.ingest.follow.files.chunks import MAX_LINE
from streams.ingest.follow.files.file_source import FileSource
from streams.ingest.follow.files.row_format import RowFormat
from streams.ingest.follow.follow_source import SourceBatch
from streams.ingest.follow.positions import Position, decode_position, encode_position
from streams.ingest.follow.row_writer import RowWriter
from streams.ingest.placement import TopicPlacement
from streams.kafka.api import OutputRecord, PermanentError, TopicInfo
from streams.kafka.topic_names import TopicNames

MAPPING = """\
mapping: calls
record: cdr
format: {form}
fields:
  call_id: {{column: id}}
  tenant_id: {{column: tenant}}
  direction: {{const: outbound}}
  caller: {{const: anonymous}}
  callee: {{const: "+8613800000000"}}
  start_ms: {{column: at, time: epoch_ms}}
  end_ms: {{column: at, time: epoch_ms}}
  outcome: {{const: no_answer}}
"""
HEADER = b"id,tenant,at\n"


class Topics:
    """Their numbers of partitions."""

    async def partitions(self, topics: list[str]) -> dict[str, int]:
        return dict.fromkeys(topics, 2)

    async def topics(self, names: list[str]) -> dict[str, TopicInfo]:
        raise NotImplementedError


class Followed:
    """A source of files, with what it has read; `restart` is what a new process sees."""

    def __init__(self, placement: TopicPlacement, folder: Path, form: str = "csv", pattern: str = "Master.csv") -> None:
        self.mapping = folder / "calls.yaml"
        self.mapping.write_text(MAPPING.format(form=form))
        self.folder, self.pattern, self.placement = folder, pattern, placement
        self.path = folder / "Master.csv"
        self.now_s = 0.0
        self.from_ends = False
        self.outs: list[OutputRecord] = []
        self.positions: dict[str, Position] = {}
        self.batches: list[SourceBatch] = []
        self.source = self._made()

    def _made(self) -> FileSource:
        adapter = open_adapter(str(self.mapping))
        rows = RowWriter(adapter, self.placement, "pbx")
        patterns = [str(self.folder / self.pattern)]
        return FileSource(patterns, RowFormat(adapter, "calls"), rows, lambda: self.now_s, self.from_ends)

    def read(self, after_s: float = 1.0) -> list[str]:
        """Read to the end; the new calls, and for a dead letter its bytes."""
        self.now_s += after_s
        first = len(self.outs)
        while (batch := self.source.read()) is not None:
            self.outs += batch.outs
            self.batches.append(batch)
            for of, position in batch.positions.items():
                if position is None:
                    self.positions.pop(of, None)
                else:
                    self.positions[of] = decode_position(encode_position(position))
            self.source.committed(batch)
        return [shown(out) for out in self.outs[first:]]

    def restart(self) -> None:
        self.source.close()
        self.source = self._made()
        self.source.restore(self.positions)

    @property
    def losses(self) -> Counter[str]:
        return sum((batch.losses for batch in self.batches), Counter[str]())

    @property
    def lost(self) -> Counter[str]:
        return sum((batch.lost for batch in self.batches), Counter[str]())


def shown(out: OutputRecord) -> str:
    value = out.value or b""
    if out.topic == "callwarden.cdr":
        return str(msgspec.json.decode(value)["call_id"])
    return f"letter {value[:60].decode()} at {dict(out.headers)['offset'].decode()}"


def rows(*names: str, at: int = 1_772_438_400_000) -> bytes:
    return b"".join(f"{name},acme,{at}\n".encode() for name in names)


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing rotates while the folder is looked at: there is one thread."""
    monkeypatch.setattr(file_set, "_SETTLED_NS", 0)


@pytest.fixture
async def placement() -> TopicPlacement:
    placement = TopicPlacement(TopicNames(), "murmur2")
    await placement.refresh(Topics())  # type: ignore[arg-type]
    return placement


@pytest.fixture
def followed(placement: TopicPlacement, tmp_path: Path) -> Iterator[Followed]:
    followed = Followed(placement, tmp_path)
    yield followed
    followed.source.close()


def add(path: Path, content: bytes) -> None:
    with path.open("ab") as out:
        out.write(content)


def test_a_file_is_waited_for_and_then_read_as_it_grows(followed: Followed) -> None:
    assert followed.read() == []
    assert followed.source.away == f"there is no file {followed.path} yet"
    add(followed.path, HEADER + rows("a"))
    assert followed.read() == ["a"]
    assert followed.source.away is None
    add(followed.path, rows("b", "c"))
    assert followed.read() == ["b", "c"]
    followed.restart()
    assert followed.read() == []
    add(followed.path, rows("d"))
    assert followed.read() == ["d"]
    assert followed.source.backlog.left == 0


@pytest.mark.parametrize("pattern", ["Master.csv", "Mas*.csv"])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_switch_that_writes_no_call_after_a_rotation_is_not_away(
    placement: TopicPlacement, tmp_path: Path, pattern: str, restarts: bool
) -> None:
    followed = Followed(placement, tmp_path, pattern=pattern)
    add(followed.path, HEADER + rows("a"))
    assert followed.read() == ["a"]
    followed.path.rename(tmp_path / "Master.csv.1")
    if restarts:
        followed.restart()
    assert followed.read() == []
    assert followed.source.away is None
    assert followed.source.at_end
    add(followed.path, HEADER + rows("b"))
    assert followed.read() == ["b"]
    followed.path.unlink()
    (tmp_path / "Master.csv.1").unlink()
    for _ in range(3):
        followed.read(file_set.IDLE_S)
    assert "there is no file" in (followed.source.away or "")
    followed.source.close()


def test_the_last_line_waits_for_its_end(followed: Followed) -> None:
    add(followed.path, HEADER + rows("a") + b"b,acme,")
    assert followed.read() == ["a"]
    assert followed.read(600) == []
    assert followed.source.backlog.left == 7
    add(followed.path, b"1772438400000\n")
    assert followed.read() == ["b"]


def test_the_last_line_of_a_rotated_file_is_read_without_its_end(followed: Followed) -> None:
    add(followed.path, HEADER + rows("a") + rows("b")[:-1])
    assert followed.read() == ["a"]
    followed.path.rename(followed.folder / "Master.csv.1")
    add(followed.path, HEADER + rows("c"))
    assert followed.read() == ["c"]
    assert followed.read(60) == ["b"]
    assert followed.read(60) == []


def test_rotations_of_a_stopped_follower_are_read_in_their_order(followed: Followed) -> None:
    (followed.folder / "Master.csv.1").write_bytes(HEADER + rows("before"))
    os.utime(followed.folder / "Master.csv.1", (1, 1))
    add(followed.path, HEADER + rows("a"))
    assert followed.read() == ["a"]
    add(followed.path, rows("b"))
    for n, name in enumerate(("c", "d", "e")):
        for number in range(9, 0, -1):
            old = followed.folder / f"Master.csv.{number}"
            if old.exists():
                old.rename(followed.folder / f"Master.csv.{number + 1}")
        followed.path.rename(followed.folder / "Master.csv.1")
        add(followed.path, HEADER + rows(name))
        os.utime(followed.folder / "Master.csv.1", (2_000_000_000 + n, 2_000_000_000 + n))
    followed.restart()
    assert followed.read() == ["b", "c", "d", "e"]
    assert not followed.losses


def test_a_copy_is_read_to_its_end_when_the_file_is_truncated(followed: Followed) -> None:
    add(followed.path, HEADER + rows("a"))
    assert followed.read() == ["a"]
    add(followed.path, rows("b"))
    copy = followed.folder / "Master.csv.1"
    copy.write_bytes(followed.path.read_bytes()[:10])
    assert followed.read() == ["b"]
    add(followed.path, rows("c"))
    copy.write_bytes(followed.path.read_bytes())
    os.truncate(followed.path, 0)
    add(followed.path, HEADER + rows("d"))
    followed.restart()
    assert followed.read() == ["c", "d"]
    assert not followed.losses


@pytest.mark.parametrize("restarts", [False, True])
def test_a_file_with_the_same_header_is_no_copy(followed: Followed, restarts: bool) -> None:
    add(followed.path, HEADER)
    assert followed.read() == []
    if restarts:
        followed.read(200)
        followed.restart()
    followed.path.rename(followed.folder / "Master.csv.2")
    (followed.folder / "Master.csv.1").write_bytes(HEADER + rows("a"))
    add(followed.path, HEADER + rows("b"))
    assert followed.read() == ["a", "b"]


def test_what_was_seen_and_not_read_before_a_truncation_is_counted(followed: Followed) -> None:
    add(followed.path, HEADER + rows("a") + b"b,acme,17")
    assert followed.read() == ["a"]
    os.truncate(followed.path, 0)
    assert followed.read() == []
    assert followed.lost == {"truncated": 9}


def test_a_truncation_without_a_copy_is_a_loss_that_is_counted(followed: Followed) -> None:
    add(followed.path, HEADER + rows("a"))
    assert followed.read() == ["a"]
    followed.path.write_bytes(HEADER + rows("longer-than-what-was-there-before"))
    assert followed.read() == ["longer-than-what-was-there-before"]
    assert followed.losses == {"truncated": 1}


def test_a_file_that_is_deleted_while_it_is_open_is_read_to_its_end(followed: Followed) -> None:
    add(followed.path, HEADER + rows("a"))
    assert followed.read() == ["a"]
    add(followed.path, rows("b") + rows("c")[:-1])
    followed.path.unlink()
    assert followed.read() == ["b"]
    assert followed.read(60) == ["c"]
    assert followed.read(200) == []
    assert not followed.losses
    assert followed.positions == {}


def test_a_file_that_is_gone_before_it_is_read_is_a_loss(followed: Followed) -> None:
    add(followed.path, HEADER + rows("a"))
    assert followed.read() == ["a"]
    followed.source.close()
    followed.path.unlink()
    followed.restart()
    assert followed.read() == []
    assert followed.losses == {"gone": 1}


@pytest.mark.parametrize(("unread", "losses"), [(b"", {}), (rows("b"), {"compressed": 1})])
def test_a_compressed_file_is_a_loss_if_it_was_not_read_to_its_end(
    followed: Followed, unread: bytes, losses: dict[str, int]
) -> None:
    add(followed.path, HEADER + rows("a"))
    assert followed.read() == ["a"]
    followed.source.close()
    with gzip.open(followed.folder / "Master.csv.1.gz", "wb") as packed:
        packed.write(followed.path.read_bytes() + unread)
    followed.path.unlink()
    add(followed.path, HEADER + rows("c"))
    followed.restart()
    assert followed.read() == ["c"]
    assert followed.losses == losses
    assert followed.lost == ({"compressed": len(unread)} if unread else {})


def test_old_rotated_files_that_are_deleted_are_no_loss(followed: Followed) -> None:
    add(followed.path, HEADER + rows("a"))
    followed.read()
    followed.path.rename(followed.folder / "Master.csv.1")
    add(followed.path, HEADER + rows("b"))
    followed.read()
    followed.restart()
    followed.read()
    (followed.folder / "Master.csv.1").unlink()
    assert followed.read() == []
    assert followed.read(300) == []
    assert not followed.losses
    assert len(followed.positions) == 1


def test_a_file_that_begins_with_a_row_has_the_header_of_the_file_before_it(followed: Followed) -> None:
    add(followed.path, b"\xef\xbb\xbf" + HEADER + rows("a"))
    assert followed.read() == ["a"]
    followed.path.rename(followed.folder / "Master.csv.1")
    add(followed.path, rows("b") + HEADER + rows("c"))
    assert followed.read() == ["b", "c"]
    followed.restart()
    add(followed.path, rows("d"))
    assert followed.read() == ["d"]


def test_a_file_without_the_columns_of_the_mapping_is_not_read(followed: Followed) -> None:
    add(followed.path, b"call,tenant,at\nx,acme,1\n")
    assert followed.read() == []
    assert followed.source.away == f"{followed.path}: its first line does not name the column id of the mapping"
    followed.path.write_bytes(HEADER + rows("a"))
    assert followed.read() == ["a"]
    assert followed.source.away is None


def test_a_bad_row_steps_aside_with_its_place(followed: Followed) -> None:
    add(followed.path, HEADER + rows("a") + b"b,acme\n" + rows("c"))
    offset = len(HEADER + rows("a"))
    assert followed.read() == ["a", f"letter b,acme at {offset}", "c"]
    letter = dict(followed.outs[1].headers)
    assert letter["follow"] == b"pbx"
    assert letter["file"] == str(followed.path).encode()


@pytest.mark.parametrize("restarts", [False, True])
def test_a_line_that_is_too_long_steps_aside_and_is_skipped(followed: Followed, restarts: bool) -> None:
    add(followed.path, HEADER + rows("a") + b"x" * (3 * MAX_LINE + 5))
    said = followed.read()
    assert [each[:10] for each in said] == ["a", "letter xxx"]
    assert len(followed.outs[1].value or b"") == 4096
    if restarts:
        followed.restart()
    add(followed.path, b"y" * 10 + b"\n" + rows("b"))
    assert followed.read() == ["b"]


def test_a_row_with_a_line_break_is_read_whole(followed: Followed) -> None:
    add(followed.path, HEADER + rows("a") + b'"b\n')
    assert followed.read() == ["a"]
    add(followed.path, b'c",acme,1772438400000\n')
    assert followed.read() == ["b\nc"]


def test_a_quote_that_is_never_closed_holds_nothing_up_for_long(followed: Followed) -> None:
    add(followed.path, HEADER + rows("a") + b'"b,acme,1772438400000\n')
    assert followed.read() == ["a"]
    add(followed.path, rows("c"))
    assert followed.read() == []
    offset = len(HEADER + rows("a"))
    assert followed.read(11) == [f'letter "b,acme,1772438400000 at {offset}', "c"]


def test_more_lines_than_a_transaction_takes_are_read_in_several(followed: Followed) -> None:
    names = [f"c{n}" for n in range(12_000)]
    add(followed.path, HEADER + rows(*names))
    assert followed.read() == names
    assert max(len(batch.outs) for batch in followed.batches) <= 5_000


def test_lines_of_json_are_documents(placement: TopicPlacement, tmp_path: Path) -> None:
    followed = Followed(placement, tmp_path, "json", "*.csv")
    one = b'{"id": "%s", "tenant": "acme", "at": 1772438400000}'
    add(followed.path, b"not JSON\n" + one % b"a" + b"\n" + one % b"b" + one % b"c" + b"\n[" + one % b"d" + b"]\n")
    assert followed.read() == ["letter not JSON at 0", "a", "b", "c", "d"]
    add(tmp_path / "other.csv", one % b"e" + b"\n")
    assert followed.read() == ["e"]
    many = b"".join(b"{}" for _ in range(6_000))
    add(followed.path, many + b"\n" + one % b"f" + b"\n")
    said = followed.read()
    assert [each[:12] for each in said] == ["letter {}{}{", "f"]
    followed.source.close()


def test_a_mapping_that_counts_rows_cannot_be_followed(tmp_path: Path) -> None:
    path = tmp_path / "calls.yaml"
    path.write_text(MAPPING.format(form="csv").replace("{column: id}", "{column: $row}"))
    with pytest.raises(PermanentError, match="it uses the row's number in the file"):
        RowFormat(open_adapter(str(path)), "calls.yaml")


@pytest.mark.parametrize("restarts", [False, True])
def test_files_of_a_file_system_that_is_not_mounted_are_not_gone(
    followed: Followed, monkeypatch: pytest.MonkeyPatch, restarts: bool
) -> None:
    add(followed.path, HEADER + rows("a"))
    assert followed.read() == ["a"]
    elsewhere = followed.folder / "unmounted"
    elsewhere.mkdir()
    followed.path.rename(elsewhere / "Master.csv")  # the empty mount point, on another device
    monkeypatch.setattr(names, "_device", lambda folder: -1)
    if restarts:
        followed.restart()
    for _ in range(3):
        assert followed.read(file_set.IDLE_S) == []
    assert followed.positions
    assert not followed.losses
    assert "there is no file" in (followed.source.away or "")
    monkeypatch.undo()
    (elsewhere / "Master.csv").rename(followed.path)
    add(followed.path, rows("b"))
    assert followed.read() == ["b"]


@pytest.mark.parametrize("restarts", [False, True])
def test_files_of_a_folder_that_cannot_be_read_are_not_gone(
    followed: Followed, monkeypatch: pytest.MonkeyPatch, restarts: bool
) -> None:
    add(followed.path, HEADER + rows("a"))
    assert followed.read() == ["a"]

    def denied(path: str, *_: object, **__: object) -> object:
        raise PermissionError(13, "Permission denied", path)

    with monkeypatch.context() as patched:
        patched.setattr(names.os, "listdir", denied)
        patched.setattr(names.os.path, "isfile", lambda path: False)
        patched.setattr(names.os, "stat", denied)
        if restarts:
            followed.restart()
        for _ in range(3):
            assert followed.read(file_set.IDLE_S) == []
    add(followed.path, rows("b"))
    assert followed.read() == ["b"]


def test_a_quote_in_a_file_that_grows_without_end_holds_nothing_up(followed: Followed) -> None:
    long = "x" * 3_000
    add(followed.path, HEADER + b'"open,acme,1\n')
    bad = b"".join(f"{long}{n},acme,1\n".encode() for n in range(400))
    add(followed.path, bad + rows("a"))
    found: list[str] = []
    for _ in range(5):
        add(followed.path, rows("b"))  # it never rests
        found += followed.read()
    assert "a" in found


def test_a_file_that_cannot_be_read_is_said_once(followed: Followed) -> None:
    add(followed.path, b"other,columns\n1,2\n")
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            followed.read()
    assert [each["event"] for each in logs].count("a file cannot be read") == 1


@pytest.mark.parametrize("restarts", [False, True])
def test_a_copy_of_unread_rows_is_read_although_the_file_continues(followed: Followed, restarts: bool) -> None:
    add(followed.path, HEADER + rows("a"))
    assert followed.read(0.0) == ["a"]
    followed.path.rename(followed.folder / "Master.csv.1")
    add(followed.path, HEADER + rows("b"))
    followed.now_s += 1.0
    batch = followed.source.read()  # the new file is found
    assert batch is not None
    followed.positions |= {of: position for of, position in batch.positions.items() if position is not None}
    followed.source.committed(batch)
    copy = followed.folder / "Master.csv.2"
    copy.write_bytes(followed.path.read_bytes())
    os.truncate(followed.path, 0)
    add(followed.path, HEADER + rows("c"))
    later_ns = copy.stat().st_mtime_ns + 10**9
    os.utime(followed.path, ns=(later_ns, later_ns))
    assert followed.read(0.0) == ["c"]  # the folder is not looked at
    if restarts:
        followed.restart()
    assert followed.read() == ["b"]


@pytest.fixture
def from_ends(followed: Followed) -> Followed:
    followed.from_ends = True
    followed.restart()
    return followed


@pytest.mark.parametrize("restarts", [False, True])
def test_files_that_exist_at_the_first_start_begin_at_their_ends(from_ends: Followed, restarts: bool) -> None:
    followed = from_ends
    add(followed.path, HEADER + rows(*map(str, range(1_000))) + b"half,acme,")
    assert followed.read() == []
    assert len(followed.batches) == 1, "where it begins is one transaction"
    if restarts:
        followed.restart()
    add(followed.path, b"1772438400000\n" + rows("a"))
    assert followed.read() == ["half", "a"]
    followed.path.rename(followed.folder / "Master.csv.1")
    add(followed.folder / "Master.csv.1", rows("b"))
    add(followed.path, b"tenant,id,at\nacme,c,1772438400000\n")
    if restarts:
        followed.restart()
    assert followed.read() == ["b", "c"]
    assert not followed.losses


def test_files_that_appear_later_are_read_from_their_beginnings(from_ends: Followed) -> None:
    followed = from_ends
    assert followed.read() == []
    followed.restart()
    add(followed.path, HEADER + rows("a"))
    assert followed.read() == ["a"]


def test_a_name_that_has_positions_continues_behind_them(followed: Followed) -> None:
    add(followed.path, HEADER + rows("a"))
    assert followed.read() == ["a"]
    add(followed.path, rows("b"))
    followed.from_ends = True
    followed.restart()
    assert followed.read() == ["b"]


def test_no_file_begins_while_one_cannot_be_read(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    followed.pattern, followed.from_ends = "*.csv", True
    followed.restart()
    other = followed.folder / "other.csv"
    add(followed.path, HEADER + rows("a"))
    add(other, HEADER + rows("b"))
    refused = True
    really_open = os.open

    def forbidden(path: object, *more: int) -> int:
        if refused and str(path) == str(other):
            raise PermissionError(13, "Permission denied")
        return really_open(path, *more)  # type: ignore[arg-type]

    monkeypatch.setattr("os.open", forbidden)
    assert followed.read() == []
    assert followed.source.away == f"{other}: Permission denied"
    assert followed.positions == {}
    refused = False
    assert followed.read() == []
    add(followed.path, rows("c"))
    add(other, rows("d"))
    assert sorted(followed.read()) == ["c", "d"]


def test_a_line_that_is_too_long_at_the_end_is_left_out(from_ends: Followed) -> None:
    followed = from_ends
    add(followed.path, HEADER + rows("a") + b"x" * (MAX_LINE + 5))
    assert followed.read() == []
    add(followed.path, b"x\n" + rows("b"))
    assert followed.read() == ["b"]
