"""What was truncated, deleted or compressed before it was read is counted as lost, and nothing else is."""

import gzip
import os

import pytest
from followed_files import HEADER, Followed, add, rows

from streams.ingest.follow.files import file_set, names


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
