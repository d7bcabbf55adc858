"""New calls: the columns of calls that early evaluation needs, without their ids and places."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.columns import Calls
from monitor.core.calls.keys import U64


class NewCalls(NamedTuple):
    """Calls in the order in which they came. Every column is ``[n]``, as in `CountedCalls`."""

    tenant: NDArray[np.int32]
    end_ms: NDArray[np.int64]
    word: U64
    talk_ms: NDArray[np.int64]
    ring_delay_ms: NDArray[np.int64]
    callee_key: U64
    callee_numeric: NDArray[np.bool_]
    caller_key: U64
    block_key: U64
    consent_key: U64

    @classmethod
    def of(cls, calls: Calls) -> Self:
        """The columns of these calls, which are not copied."""
        return cls._make(getattr(calls, name) for name in cls._fields)

    @classmethod
    def room(cls, count: int) -> Self:
        """Columns for that many calls, undefined."""
        return cls(
            np.empty(count, np.int32),
            np.empty(count, np.int64),
            np.empty(count, np.uint64),
            np.empty(count, np.int64),
            np.empty(count, np.int64),
            np.empty(count, np.uint64),
            np.empty(count, np.bool_),
            np.empty(count, np.uint64),
            np.empty(count, np.uint64),
            np.empty(count, np.uint64),
        )

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Concatenate the parts (at least one)."""
        if len(parts) == 1:
            return parts[0]
        columns: list[Any] = [np.concatenate(column) for column in zip(*parts, strict=True)]
        return cls(*columns)

    def take(self, rows: NDArray[np.intp] | slice) -> Self:
        """The calls at these rows."""
        columns: list[Any] = [column[rows] for column in self]
        return type(self)(*columns)
