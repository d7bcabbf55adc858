"""Where files begin at the first start from their ends."""

import os

import pytest
from followed_files import HEADER, Followed, add, rows

from streams.ingest.follow.files.chunks import MAX_LINE


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
