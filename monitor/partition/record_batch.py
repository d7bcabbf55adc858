"""Rows: consecutive records of one source, as they come from a topic."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class UnreadableRecord(NamedTuple):
    """Why a row holds no record, though its key and value are as they came; the reason begins with a `Fault`.

    With ``first_offset`` the row stands for a whole record batch, from there to the row's offset, that cannot be taken
    apart: its value is the batch as it came, without a key.
    """

    reason: str
    first_offset: int | None = None


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Consecutive records of one source ``[n]``, in its order; ``start`` and ``stop`` are the positions around them.

    Offsets need not be dense. ``timestamps_ms`` are the broker's. ``keys`` None: they are not looked at.
    ``unreadable`` names rows, by their offsets, that are no records; it may name others, too.
    """

    start: int
    stop: int
    offsets: "NDArray[np.int64]"
    timestamps_ms: "NDArray[np.int64]"
    values: Sequence[bytes | None]
    keys: Sequence[bytes | None] | None = None
    unreadable: Mapping[int, UnreadableRecord] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets)

    def cut(self, at: Iterable[int]) -> "list[RecordBatch]":
        """These rows, parted before the first row at or above each of these offsets (ascending)."""
        edges = [0, *self.offsets.searchsorted(list(at)).tolist(), len(self)]
        parts: list[RecordBatch] = []
        for start, stop in pairwise(edges):
            if start < stop:
                keys = None if self.keys is None else self.keys[start:stop]
                before = parts[-1].stop if parts else self.start
                after = self.stop if stop == len(self) else int(self.offsets[stop])
                parts.append(
                    RecordBatch(
                        before,
                        after,
                        self.offsets[start:stop],
                        self.timestamps_ms[start:stop],
                        self.values[start:stop],
                        keys,
                        self.unreadable,
                    )
                )
        return parts
