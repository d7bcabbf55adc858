"""The lines of a block of bytes: as `ByteRows` where the extension is built, else as a list."""

from collections.abc import Sequence
from typing import cast

import numpy as np

from monitor.byte_rows import ByteRows, RowBlock
from monitor.decoding import native


def split_lines(block: bytes) -> Sequence[bytes]:
    """The lines without their line feeds. What follows the last line feed is a line, too, even if it is empty."""
    return cast(Sequence[bytes], _rows_of(block)) if native.enabled else block.split(b"\n")


def with_first(line: bytes, lines: Sequence[bytes]) -> Sequence[bytes]:
    """``line`` before ``lines``."""
    if isinstance(lines, ByteRows):
        return cast(Sequence[bytes], ByteRows.concat([ByteRows.of([line]), lines]))
    return [line, *lines]


def _rows_of(block: bytes) -> ByteRows:
    ends = np.append(np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")), len(block))
    start = np.append(0, ends[:-1] + 1)
    return ByteRows([RowBlock(block, start, ends - start)])
