"""Files that are rotated, renamed or copied are read in their order, each row once."""

import os
from pathlib import Path

import pytest
from followed_files import HEADER, Followed, add, rows

from streams.ingest.follow.files import file_set
from streams.ingest.placement import TopicPlacement


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
