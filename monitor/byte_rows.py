"""Rows of bytes as columns: the offset of each in a block, and its size. An object for each row would cost more."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

Block = bytes | memoryview
_Item = TypeVar("_Item", bound=np.generic)
_Row = TypeVar("_Row", bytes, bytes | None)
NULL = -1
"""The size of a row without bytes, as a Kafka record may have no key and no value."""


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Rows ``[n]`` of one block: ``start`` is the offset of each in it, ``size`` its number of bytes or `NULL`.

    The offset of a row without bytes lies in the block, too, or at its end.
    """

    block: Block
    start: NDArray[np.int64]
    size: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)

    def __reduce__(self) -> tuple[Any, ...]:
        return RowBlock, (bytes(self.block), self.start, self.size)  # a memoryview cannot be pickled

    def slice(self, first: int, after: int) -> "RowBlock":
        """The rows ``first`` to ``after``, in the same block."""
        return RowBlock(self.block, self.start[first:after], self.size[first:after])

    def row(self, row: int) -> bytes | None:
        """The bytes of a row."""
        size = int(self.size[row])
        if size < 0:
            return None
        start = int(self.start[row])
        return bytes(self.block[start : start + size])

    def rows(self) -> Iterator[bytes | None]:
        """The bytes of all rows."""
        trimmed = self.trimmed()
        block = bytes(trimmed.block)  # its slices are bytes, and made faster than those of a memoryview
        for start, size in zip(trimmed.start.tolist(), trimmed.size.tolist(), strict=True):
            yield block[start : start + size] if size >= 0 else None

    def trimmed(self) -> "RowBlock":
        """The same rows; if they lie in less than half of the block, that part of it is copied."""
        filled = self.size > 0
        starts = self.start[filled]
        first = int(starts.min(initial=len(self.block)))
        after = int((starts + self.size[filled]).max(initial=0))
        if 2 * max(after - first, 0) >= len(self.block):
            return self
        # An empty row may lie anywhere in the block, so its place is set: the copy may end before it.
        return RowBlock(bytes(self.block[first:after]), np.where(filled, self.start - first, 0), self.size)


class ByteRows(Sequence[bytes | None]):
    """A sequence of bytes or None, stored in one or more blocks. It never changes; slices share its blocks.

    An item, or an iteration, copies the bytes of rows.
    """

    __slots__ = ("_ends", "blocks")

    def __init__(self, blocks: Iterable[RowBlock]) -> None:
        self.blocks = tuple([one for one in blocks if len(one.start)])
        self._ends = list(accumulate([len(one.start) for one in self.blocks]))

    @classmethod
    def of(cls, rows: Iterable[bytes | None]) -> "ByteRows":
        """The rows, copied to one block."""
        rows = list(rows)
        size = np.fromiter((NULL if row is None else len(row) for row in rows), np.int64, len(rows))
        held = np.maximum(size, 0)
        return cls([RowBlock(b"".join([row or b"" for row in rows]), np.cumsum(held) - held, size)])

    @classmethod
    def concat(cls, parts: Iterable["ByteRows"]) -> "ByteRows":
        """The rows of all parts. Nothing is copied."""
        return cls([one for part in parts for one in part.blocks])

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The size of each row, `NULL` for those without bytes."""
        sizes = [one.size for one in self.blocks]
        return sizes[0] if len(sizes) == 1 else np.concatenate([np.empty(0, np.int64), *sizes])

    def with_sizes(self, sizes: NDArray[np.int64]) -> "ByteRows":
        """The same rows, shortened to these sizes."""
        pieces = self._pieces(sizes)
        return ByteRows(RowBlock(one.block, one.start, some) for one, some in zip(self.blocks, pieces, strict=True))

    def take(self, kept: NDArray[np.bool_]) -> "ByteRows":
        """The rows that are kept."""
        masks = self._pieces(kept)
        return ByteRows(
            RowBlock(one.block, one.start[mask], one.size[mask]) for one, mask in zip(self.blocks, masks, strict=True)
        )

    def _pieces(self, column: NDArray[_Item]) -> list[NDArray[_Item]]:
        """The part of a column of all rows that belongs to each block."""
        return [column[end - len(one) : end] for one, end in zip(self.blocks, self._ends, strict=True)]

    def trimmed(self) -> "ByteRows":
        """The same rows, copied where they would keep a much larger block in memory."""
        return ByteRows(one.trimmed() for one in self.blocks)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, rows: int) -> bytes | None: ...
    @overload
    def __getitem__(self, rows: slice) -> "ByteRows": ...
    def __getitem__(self, rows: Any) -> "bytes | ByteRows | None":
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step != 1:
                return ByteRows.of(list(self)[rows])
            return self._slice(start, max(start, stop))
        row = int(rows) + (len(self) if rows < 0 else 0)
        if not 0 <= row < len(self):
            raise IndexError(rows)
        number = bisect_right(self._ends, row)
        return self.blocks[number].row(row - self._ends[number] + len(self.blocks[number]))

    def _slice(self, start: int, stop: int) -> "ByteRows":
        parts, first = [], 0
        for one in self.blocks:
            low, high = max(start - first, 0), min(stop - first, len(one))
            if low < high:
                parts.append(one.slice(low, high))
            first += len(one)
        return ByteRows(parts)

    def __iter__(self) -> Iterator[bytes | None]:
        for one in self.blocks:
            yield from one.rows()


def as_byte_rows(rows: Sequence[bytes | None]) -> ByteRows:
    """The rows as `ByteRows`; others are copied."""
    return rows if isinstance(rows, ByteRows) else ByteRows.of(rows)


def concatenated(parts: Sequence[list[bytes | None] | ByteRows]) -> list[bytes | None] | ByteRows:
    """The rows of all parts: a list if all parts are lists, else `ByteRows`."""
    lists = [part for part in parts if isinstance(part, list)]
    if len(lists) == len(parts):
        return list(chain.from_iterable(lists))
    return ByteRows.concat(as_byte_rows(part) for part in parts)


def picked(rows: Sequence[_Row], numbers: NDArray[np.intp]) -> Iterable[_Row]:
    """The rows with these numbers, which ascend. All together: by itself, a row costs more than its use."""
    if not isinstance(rows, ByteRows):
        return [rows[number] for number in numbers.tolist()]
    mask = np.zeros(len(rows), np.bool_)
    mask[numbers] = True
    return cast(Iterable[_Row], rows.take(mask))
