"""Record batches: consecutive records of one source, as read from a topic."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from schemas.review_signature import Signatures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class UnreadableRecord(NamedTuple):
    """Why a row has no valid record. Its key and value are the original bytes; the reason begins with an error code.

    With ``first_offset``, the row represents a whole record batch that cannot be parsed, from that offset to the offset
    of the row. Its value is the original batch, without a key.
    """

    reason: str
    first_offset: int | None = None


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Consecutive records of one source ``[n]``, in order. ``start`` and ``stop`` are the positions around them.

    Offsets may have gaps. ``timestamps_ms`` are those of the broker. ``keys`` is None if keys are not checked.
    ``unreadable`` maps the offsets of rows that are not records to the reason, ``signatures`` those of signed rows to
    their headers; both may contain other offsets.
    """

    start: int
    stop: int
    offsets: "NDArray[np.int64]"
    timestamps_ms: "NDArray[np.int64]"
    values: Sequence[bytes | None]
    keys: Sequence[bytes | None] | None = None
    unreadable: Mapping[int, UnreadableRecord] = field(default_factory=dict)
    signatures: Mapping[int, Signatures] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets)

    def cut(self, at: Iterable[int]) -> "list[RecordBatch]":
        """Split the rows before the first row at or above each of these offsets (ascending)."""
        cuts = list(at)
        if not cuts:
            return [self] if len(self) else []
        edges = [0, *self.offsets.searchsorted(cuts).tolist(), len(self)]
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
                        self.signatures,
                    )
                )
        return parts
