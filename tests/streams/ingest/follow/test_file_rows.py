"""The rows of a file: headers, lines that are no rows, quotes that are never closed, and documents."""

from pathlib import Path

import pytest
from followed_files import HEADER, MAPPING, Followed, add, rows, shown

from monitor.adapters.shipped import open_adapter
from streams.ingest.follow.files.chunks import MAX_LINE
from streams.ingest.follow.files.row_format import RowFormat
from streams.ingest.placement import TopicPlacement
from streams.kafka.api import PermanentError


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


def test_a_row_with_a_line_break_is_read_whole_wherever_a_part_of_a_backlog_ends(followed: Followed) -> None:
    ids = [f"a{n}\nb" for n in range(40_000)]
    add(followed.path, HEADER + b"".join(f'"{name}",acme,1772438400000\n'.encode() for name in ids))
    found = []
    while (batch := followed.source.read()) is not None:
        found += [shown(out) for out in batch.outs]
        followed.source.committed(batch)
        followed.now_s += 11  # the file is read for longer than a row in the making is waited for
    assert found == ids
    assert len(followed.path.read_bytes()) > MAX_LINE


def test_a_quote_that_is_never_closed_holds_no_backlog_up(followed: Followed) -> None:
    add(followed.path, HEADER + b'"b,acme,1772438400000\n' + rows(*["a"] * 6_000))
    found = followed.read()
    followed.now_s += 11
    found += followed.read()
    assert found.count("a") == 6_000


def test_a_quote_that_is_never_closed_holds_nothing_up_for_long(followed: Followed) -> None:
    add(followed.path, HEADER + rows("a") + b'"b,acme,1772438400000\n')
    assert followed.read() == ["a"]
    add(followed.path, rows("c"))
    assert followed.read() == []
    offset = len(HEADER + rows("a"))
    assert followed.read(11) == [f'letter "b,acme,1772438400000 at {offset}', "c"]


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
