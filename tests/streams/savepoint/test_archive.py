"""The file of an export: a written export is read back, and a truncated or changed one is refused."""

import random
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zstandard

from streams.savepoint.archive import ArchiveError, ArchiveHeader, ArchiveReader, write
from streams.topics.partition_state import PartitionState

HEADER = ArchiveHeader(1_772_409_600_000, "in.", "out.", 3)


def parts() -> list[PartitionState]:
    chooser = random.Random(1)
    return [
        PartitionState(
            number, {f"k{n}/0": chooser.randbytes(n * 50) for n in range(number * 20)}, {"clock": (number, number + 1)}
        )
        for number in range(3)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "state.zst", HEADER, parts())
    return tmp_path / "state.zst"


def test_an_export_is_read_as_it_was_written_as_often_as_one_likes(path: Path) -> None:
    export = ArchiveReader(path)
    assert export.header == HEADER
    for _ in range(2):
        assert list(export.parts()) == parts()
    export.check()


def test_only_the_owner_may_read_it_and_no_other_file_is_left(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_an_export_that_is_not_finished_leaves_no_file(tmp_path: Path) -> None:
    def broken() -> Iterator[PartitionState]:
        yield parts()[1]
        raise RuntimeError("the broker is away")

    with pytest.raises(RuntimeError):
        write(tmp_path / "state.zst", HEADER, broken())
    assert list(tmp_path.iterdir()) == []


def test_a_torn_export_is_refused_wherever_it_is_torn(path: Path) -> None:
    whole = path.read_bytes()
    for length in range(0, len(whole) - 4, 97):  # the last four bytes are zstd's checksum of data that ours covers, too
        path.write_bytes(whole[:length])
        with pytest.raises(ArchiveError, match=r"incomplete or was changed|expected a file"):
            ArchiveReader(path).check()


def test_an_export_with_a_changed_byte_is_refused(path: Path) -> None:
    """The byte is changed in the file, or within the content, which is then compressed again."""
    whole = path.read_bytes()
    for place in range(8, len(whole), 101):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ArchiveError):
            ArchiveReader(path).check()
    inner = zstandard.ZstdDecompressor().decompressobj().decompress(whole)
    for place in range(100, len(inner), 997):
        path.write_bytes(zstandard.compress(inner[:place] + bytes([inner[place] ^ 1]) + inner[place + 1 :]))
        with pytest.raises(ArchiveError):
            ArchiveReader(path).check()


def test_what_stands_behind_the_end_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"and more")
    with pytest.raises(ArchiveError, match="incomplete or was changed"):
        ArchiveReader(path).check()


def test_a_version_that_is_not_known_is_reported(path: Path) -> None:
    record = msgspec.msgpack.encode(ArchiveHeader(0, "in.", "out.", 3, version=2))
    path.write_bytes(zstandard.compress(len(record).to_bytes(4, "big") + record))
    with pytest.raises(ArchiveError, match="expected version 1, got 2"):
        ArchiveReader(path)


@pytest.mark.parametrize("content", [b"", b"{}", zstandard.compress(b"\x00\x00\x00\x01\x80"), bytes(100)])
def test_another_file_is_no_export(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="expected a file of `callwarden state export`"):
        ArchiveReader(path)
