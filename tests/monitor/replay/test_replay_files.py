"""Files: every line of plain, .gz and .zst files and of standard input is read; damage is never
mistaken for the end.
"""

import gzip
import io
import os
import random
import signal
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.patience import PATIENCE_S
from helpers.thorough import thorough
from monitor.policy.load import load
from monitor.replay.files import DamagedFileError, line_chunks, open_input
from monitor.replay.run import replay
from schemas.codec import MAX_BYTES

SKIPPABLE = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
tries = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def plain_lines(content: bytes) -> list[bytes]:
    """Lines end with a line feed; the last one need not."""
    lines = content.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def read(path: Path | str, size: int = 5_000) -> list[bytes]:
    """All lines; their numbers must be consecutive."""
    out: list[bytes] = []
    with open_input(str(path)) as stream:
        for first, lines in line_chunks(stream, size):
            assert first == len(out) + 1
            assert 1 <= len(lines) <= size
            out += lines
    return out


def zst(content: bytes, level: int = 1) -> bytes:
    return zstandard.ZstdCompressor(level=level).compress(content)


def gz_members(content: bytes, cuts: list[int]) -> bytes:
    return b"".join(map(gzip.compress, _parts(content, cuts)))


def zst_frames(content: bytes, cuts: list[int]) -> bytes:
    return b"".join(zst(part) for part in _parts(content, cuts))


def _parts(content: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted(min(cut, len(content)) for cut in cuts)
    return [content[a:b] for a, b in zip([0, *places], [*places, len(content)], strict=True)]


contents = st.lists(
    st.sampled_from((b"", b"\r", b"a", b"\n", b"\n", b"\r\n", b"{}\n", b"\0", b"\xff", b"long " * 50))
).map(b"".join)
Packer = Callable[[bytes, list[int]], bytes]
PACKED: dict[str, Packer] = {".jsonl": lambda content, _: content, ".gz": gz_members, ".zst": zst_frames}


@pytest.mark.parametrize("ending", PACKED)
@tries
@given(contents, st.lists(st.integers(0, 400), max_size=3), st.integers(1, 7), st.sampled_from((1, 2, 3, 64)))
def test_no_line_is_lost_split_or_joined(
    ending: str, tmp_path: Path, content: bytes, cuts: list[int], size: int, block: int
) -> None:
    """In blocks of any size, in members and frames cut anywhere, also within a line, also empty ones."""
    path = tmp_path / f"x{ending}"
    path.write_bytes(PACKED[ending](content, cuts))
    with patch("monitor.replay.files._BLOCK", block), patch("monitor.replay.files._ZST_BLOCK", block):
        assert read(path, size) == plain_lines(content)


@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\n\n",
        b"one",
        b"one\n",
        b"one\ntwo",
        b"one\r\ntwo\r\n",
        b"\r\n",
        b"\n one \n\n",
        b"\xef\xbb\xbf{}\n",
    ],
)
def test_ends_of_lines_are_line_feeds_alone(ending: str, content: bytes, tmp_path: Path) -> None:
    """An empty file, one without a final line feed, CRLF (the CR stays), blank lines, a byte order mark."""
    path = tmp_path / f"x{ending}"
    path.write_bytes(PACKED[ending](content, []))
    assert read(path) == plain_lines(content)


@pytest.mark.parametrize("ending", PACKED)
def test_megabytes_come_through_in_pieces(ending: str, tmp_path: Path) -> None:
    seed = 1
    print(f"seed {seed}")
    rng = random.Random(seed)
    lines = [rng.randbytes(rng.choice((0, 3, 200, 5_000))).replace(b"\n", b"") for _ in range(3_000)]
    lines += [b"x" * 3_000_000, b"last"]
    path = tmp_path / f"x{ending}"
    content = b"\n".join(lines) + b"\n"
    path.write_bytes(PACKED[ending](content, [1_000_000, 1_000_001, 2_500_000]))
    assert read(path, 700) == lines


def test_standard_input_is_read_like_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\r\n\ntwo")))
    assert read("-") == [b"one\r", b"", b"two"]


def test_an_endless_line_is_cut_and_its_neighbours_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    for length in (99, 100, 101, 250, 1_000):
        path.write_bytes(b"before\n" + b"y" * length + b"\nafter\n")
        for block in (1, 7, 64, 100):
            with patch("monitor.replay.files.MAX_LINE", 100), patch("monitor.replay.files._BLOCK", block):
                assert read(path) == [b"before", b"y" * min(length, 100), b"after"]
        path.write_bytes(b"y" * length)
        with patch("monitor.replay.files.MAX_LINE", 100), patch("monitor.replay.files._BLOCK", 7):
            assert read(path) == [b"y" * min(length, 100)]


CONTENT = b"".join(b'{"n": %d}\n' % n for n in range(3_000))


@pytest.mark.parametrize("missing", [1, 2, 5, 100, 2_000])
@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_truncated_file_is_not_mistaken_for_a_whole_one(ending: str, missing: int, tmp_path: Path) -> None:
    path = tmp_path / f"x{ending}"
    path.write_bytes(PACKED[ending](CONTENT, [15_000])[:-missing])
    with pytest.raises(DamagedFileError, match=rf"x\{ending}: damaged"):
        read(path)


@pytest.mark.parametrize("ending", [".gz", ".zst"])
@pytest.mark.parametrize("content", [b"plain text\n", b"\0" * 100, b"\x1f\x8b", zst(b"x")[:3]])
def test_a_file_that_is_not_what_its_name_says_is_refused(ending: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"x{ending}"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError):
        read(path)


def test_garbage_after_the_last_frame_is_refused_but_skippable_frames_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "x.zst"
    path.write_bytes(SKIPPABLE + zst(b"one\nt") + SKIPPABLE + zst(b"") + zst(b"wo\n") + SKIPPABLE)
    assert read(path) == [b"one", b"two"]
    path.write_bytes(zst(b"one\n") + b"garbage")
    with pytest.raises(DamagedFileError):
        read(path)


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_damage_in_the_middle_is_found(ending: str, tmp_path: Path) -> None:
    """At the latest by the checksum."""
    whole = bytearray(gzip.compress(CONTENT))
    if ending == ".zst":
        whole = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(CONTENT))
    path = tmp_path / f"x{ending}"
    for place in range(20, len(whole), len(whole) // 40):
        spoilt = bytearray(whole)
        spoilt[place] ^= 0x55
        path.write_bytes(spoilt)
        with pytest.raises(DamagedFileError):
            read(path)


def test_a_bomb_does_not_take_all_memory(tmp_path: Path) -> None:
    """300 MB of one byte in 30 KB: only a part of it is decompressed at a time."""
    path = tmp_path / "x.zst"
    path.write_bytes(zst(b"y" * 300_000_000, 3))
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    with open_input(str(path)) as stream:
        assert sum(map(len, iter(lambda: stream.read(1 << 20), b""))) == 300_000_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150_000_000


def test_a_missing_file_is_an_error_of_the_file(tmp_path: Path) -> None:
    for name in ("no-such.jsonl", "no-such.gz", "no-such.zst"):
        with pytest.raises(FileNotFoundError, match=name), open_input(str(tmp_path / name)):
            pass


def test_a_cut_line_is_no_record_even_if_its_beginning_is_one(tmp_path: Path) -> None:
    """A valid record, white space up to the limit and garbage beyond it: the garbage is not read, but the line is
    rejected.
    """
    record = (
        b'{"type": "tenant", "tenant_id": "t", "declared_businesses": [], "numbers": [], "updated_ms": 1772409600000}'
    )
    path = tmp_path / "long.jsonl"
    path.write_bytes(record + b"\n" + record + b" " * MAX_BYTES + b"garbage\n" + record + b"\n")
    outcome = replay([path], load(None))
    assert [(one.line, one.reason.split(":")[0]) for one in outcome.rejected] == [(2, "too_long")]
    assert outcome.summary.accepted == 1  # the third line repeats the first
    assert outcome.summary.duplicates == 1


RECORD = b'{"type":"tenant","tenant_id":"t","declared_businesses":[],"numbers":[],"updated_ms":1772409600000}'


def test_a_record_behind_megabytes_of_white_space_is_counted(tmp_path: Path) -> None:
    """Only the white space is read, but the line does not consist of white space alone."""
    path = tmp_path / "long.jsonl"
    blank = b" \t" * (33 << 19)
    path.write_bytes(blank + RECORD + b"\n" + RECORD + b"\n" + blank + b"\n" + blank + RECORD)
    outcome = replay([path], load(None))
    assert [(one.line, one.reason.split(":")[0]) for one in outcome.rejected] == [(1, "too_long"), (4, "too_long")]
    summary = outcome.summary
    assert (summary.read, summary.accepted, summary.rejected) == (3, 1, 2)


def test_what_is_white_space_is_reported_wherever_a_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    for blanks in (90, 98, 99, 100, 101, 150, 300):
        for rest in (b"", b"x", b"  x  ", b"xyz" * 50):
            line = b" " * blanks + rest
            path.write_bytes(b"before\n" + line + b"\nafter\n")
            for block in (1, 7, 64, 99, 100):
                with patch("monitor.replay.files.MAX_LINE", 100), patch("monitor.replay.files._BLOCK", block):
                    before, cut, after = read(path)
                assert (before, after) == (b"before", b"after")
                assert len(cut) == min(len(line), 100)
                assert cut.isspace() == line.isspace()


@pytest.mark.parametrize("ending", [".gz", ".zst"])
@pytest.mark.parametrize("lines", thorough([5, 1], 1))
def test_little_is_kept_of_the_lines_of_a_bomb(ending: str, lines: int, tmp_path: Path) -> None:
    """Lines that are too long, or one without an end: they are rejected, and do not exhaust the memory together."""
    path = tmp_path / f"x.jsonl{ending}"
    bomb = (b"y" * (33 << 20) + b"\n") * lines + RECORD if lines > 1 else b" " * (100 << 20) + RECORD
    path.write_bytes(gzip.compress(bomb, 1) if ending == ".gz" else zst(bomb))
    del bomb
    tracemalloc.start()
    outcome = replay([path], load(None))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert (outcome.summary.rejected, outcome.summary.accepted) == (lines, int(lines > 1))
    assert {one.reason.split(":")[0] for one in outcome.rejected} == {"too_long"}
    assert held < 20_000_000


@pytest.mark.parametrize(("name", "part"), [("pipe", b"{}\n"), ("pipe.gz", b"\x1f"), ("pipe.zst", b"\x28")])
def test_an_interrupt_is_seen_as_soon_as_a_part_of_a_pipe_comes(name: str, part: bytes, tmp_path: Path) -> None:
    """Also one that does not end the system's call, as when it comes right before that."""
    path, done, late = tmp_path / name, threading.Event(), threading.Event()
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDWR)
    waits_in = Path(f"/proc/self/task/{threading.get_native_id()}/wchan")

    def interrupt() -> None:
        while "pipe" not in waits_in.read_text():
            done.wait(0.01)
        signal.raise_signal(signal.SIGINT)  # runs in this thread, so it does not end the read of the main thread
        os.write(pipe, part)
        if not done.wait(PATIENCE_S):
            late.set()
            os.write(pipe, bytes(5 << 20))  # more than is read at once

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt), open_input(str(path)) as stream:
            list(line_chunks(stream, 1))
    finally:
        done.set()
        thread.join()
        os.close(pipe)
    assert not late.is_set()
