"""Strings as a column: all bytes in one block. One object per string would cost three times as much memory."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls import native_strings

Column = TypeVar("Column", bound="StringColumn | NDArray[Any]")
_FITS = 2**31
_AT_ONCE = 16_384  # strings copied at once: copying a byte needs an 8-byte index


class StringColumn:
    """``[n]`` strings: ``start`` ``[n]`` is the offset of each in ``block``, ``size`` ``[n]`` its length in UTF-8.

    A selection shares the block of the whole column; `compact` and `packed` copy it to its own block.
    """

    __slots__ = ("block", "size", "start")

    def __init__(self, block: bytes, start: NDArray[np.integer], size: NDArray[np.integer]) -> None:
        self.block, self.start, self.size = block, start, size

    @classmethod
    def of(cls, texts: Sequence[str]) -> "StringColumn":
        """A column of these strings."""
        every = [text.encode() for text in texts]
        return cls.in_row(b"".join(every), np.fromiter(map(len, every), np.int32, len(every)))

    @classmethod
    def in_row(cls, block: bytes, size: NDArray[np.integer]) -> "StringColumn":
        """A column of strings of these sizes, stored contiguously in ``block``."""
        return cls(block, _starts(size), size.astype(np.int32, copy=False))

    def __len__(self) -> int:
        return len(self.start)

    @overload
    def __getitem__(self, rows: int | np.integer) -> str: ...
    @overload
    def __getitem__(self, rows: slice | NDArray[Any]) -> "StringColumn": ...
    def __getitem__(self, rows: Any) -> "str | StringColumn":
        start, size = self.start[rows], self.size[rows]
        if isinstance(start, np.integer):
            return self.block[start : int(start) + int(size)].decode()
        return StringColumn(self.block, start, size)

    def tolist(self) -> list[str]:
        """All strings."""
        block = self.block
        return [block[a : a + n].decode() for a, n in zip(self.start.tolist(), self.size.tolist(), strict=True)]

    def compact(self) -> "StringColumn":
        """The same strings, copied if they use less than half of the block."""
        return self if 2 * int(self.size.sum(dtype=np.int64)) >= len(self.block) else self.packed()

    def packed(self) -> "StringColumn":
        """The same strings, copied to a contiguous block."""
        return StringColumn.in_row(self.in_one_block(), self.size)

    def in_one_block(self) -> bytes:
        """The bytes of the strings, one after the other."""
        if native_strings.enabled:
            return native_strings.pack(self.block, self.start, self.size)
        start, old, parts = _starts(self.size), np.frombuffer(self.block, np.uint8), []
        for first in range(0, len(self), _AT_ONCE):
            rows = slice(first, first + _AT_ONCE)
            of_byte = np.repeat(self.start[rows] - start[rows], self.size[rows])  # source minus target, per byte
            parts.append(old[of_byte + np.arange(start[first], int(start[first]) + len(of_byte))].tobytes())
        return b"".join(parts)

    def by_size(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.uint8]]]:
        """The bytes of the strings as matrices, one per size: ``(rows [m], bytes [m, size])``."""
        block = np.frombuffer(self.block, np.uint8)
        for size in np.flatnonzero(np.bincount(self.size)).tolist():
            rows = np.flatnonzero(self.size == size)
            yield rows, np.lib.stride_tricks.sliding_window_view(block, size)[self.start[rows]]

    @staticmethod
    def concat(parts: "Sequence[StringColumn]") -> "StringColumn":
        """Concatenate the parts. A block that consecutive parts share is copied once."""
        blocks: list[bytes] = []
        offsets, end = [], 0
        for part in parts:
            if not blocks or part.block is not blocks[-1]:
                blocks.append(part.block)
                end += len(part.block)
            offsets.append(end - len(part.block))
        dtype = np.int32 if end < _FITS else np.int64
        start: NDArray[np.integer] = np.concatenate([part.start for part in parts]).astype(dtype, copy=False)
        start += np.repeat(np.array(offsets, dtype), [len(part) for part in parts])
        return StringColumn(b"".join(blocks), start, np.concatenate([part.size for part in parts]))


def _starts(size: NDArray[np.integer]) -> NDArray[np.integer]:
    """The offsets of contiguous strings of these sizes."""
    start: NDArray[np.int64] = size.cumsum(dtype=np.int64) - size
    return start.astype(np.int32) if not len(start) or start[-1] < _FITS else start


def concatenate(parts: Sequence[Column]) -> Column:
    """Concatenate the parts of a column."""
    found: Any = StringColumn.concat(parts) if isinstance(parts[0], StringColumn) else np.concatenate(parts)  # type: ignore[arg-type]
    return found  # type: ignore[no-any-return]
