"""Files: opening what people have (plain, .gz, .zst, standard input) and cutting it into pieces of lines."""

import contextlib
import gzip
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

_BLOCK = 1 << 20
# A line above this is cut off: no record is near it, and one endless line must not take all memory.
MAX_LINE = 32 << 20


@contextlib.contextmanager
def open_input(path: str) -> Iterator[BinaryIO]:
    """The decompressed bytes of a file; ``-`` is standard input. OSError when it cannot be read."""
    if path == "-":
        yield sys.stdin.buffer
        return
    with contextlib.ExitStack() as stack:
        if path.endswith(".gz"):
            yield cast(BinaryIO, stack.enter_context(gzip.open(path, "rb")))
        elif path.endswith(".zst"):
            raw = stack.enter_context(Path(path).open("rb"))
            reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
            yield cast(BinaryIO, stack.enter_context(reader))
        else:
            yield stack.enter_context(Path(path).open("rb"))


def pieces(stream: BinaryIO, lines: int) -> Iterator[tuple[int, list[bytes]]]:
    """Pieces of at most ``lines`` lines (without their line feed), each with the number of its first line, from 1.

    A line above `MAX_LINE` keeps its first `MAX_LINE` bytes, so that it is refused like any other bad line.
    """
    number = 1
    for batch in _batches(stream):
        for start in range(0, len(batch), lines):
            piece = batch[start : start + lines]
            yield number, piece
            number += len(piece)


def _batches(stream: BinaryIO) -> Iterator[list[bytes]]:
    """Whole lines as they come, a block at a time."""
    open_line: list[bytes] = []
    size = 0
    while block := stream.read(_BLOCK):
        first, *rest = block.split(b"\n")
        if size < MAX_LINE:
            open_line.append(first[: MAX_LINE - size])
            size += len(first)
        if rest:
            last = rest.pop()
            yield [b"".join(open_line), *rest]
            open_line, size = [last], len(last)
    if size:
        yield [b"".join(open_line)]
