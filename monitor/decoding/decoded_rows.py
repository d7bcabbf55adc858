"""Decoded rows: what one piece of a source contains, calls as columns and other records, with the rejected rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.byte_rows import ByteRows
from monitor.core.calls.columns import Calls
from monitor.core.decisions.pending_record import Other
from monitor.decoding import native
from monitor.text.timestamps import any_time


@dataclass(slots=True)
class DecodedRows:
    """One decoded piece of a source, in row order.

    ``event_ms`` ``[n]`` is -1 for rows that are not a record. ``call_rows`` is the row of each call. ``raw`` holds the
    original bytes of the rows, ``line`` their line numbers (their offsets if they come from a topic). ``number`` is a
    number that the caller may assign to the piece. ``signatures`` are the headers that sign rows, by line.
    ``name_block`` holds ``names`` as the extension wrote them, if it parsed the calls.
    """

    event_ms: NDArray[np.int64]
    names: list[str]
    calls: Calls | None
    call_rows: NDArray[np.intp]
    others: list[tuple[int, Other]]
    rejected: list[tuple[int, str]]
    raw: Sequence[bytes]
    line: NDArray[np.int64]
    number: int = 0
    signatures: Mapping[int, bytes] = field(default_factory=dict)
    name_block: native.NameBlock | None = None

    def keyed_by_tenant(self, keys: Sequence[bytes | None]) -> bool:
        """Whether the key of each call is its tenant. ``keys`` are those of all rows."""
        assert self.calls is not None
        rows, tenant = self.call_rows, self.calls.tenant
        if native.enabled and isinstance(keys, ByteRows):
            return native.rows_equal(keys, rows, self.name_block or native.NameBlock.of(self.names), tenant)
        encoded = [name.encode() for name in self.names]
        of_calls = list(keys) if len(rows) == len(keys) else [keys[row] for row in rows.tolist()]
        return of_calls == list(map(encoded.__getitem__, tenant.tolist()))

    def reject(self, rows: Mapping[int, str]) -> None:
        """Reject these rows for these reasons. Rows that were rejected before keep their reason."""
        fresh = {row: reason for row, reason in rows.items() if self.event_ms[row] >= 0}
        if not fresh:
            return
        self.rejected = sorted([*self.rejected, *fresh.items()])
        self.event_ms[list(fresh)] = -1
        self.others = [(row, record) for row, record in self.others if row not in fresh]
        if self.calls is not None:
            kept = self.event_ms[self.call_rows] >= 0
            if not kept.all():
                self.calls, self.call_rows = self.calls.take(kept), self.call_rows[kept]


def reject_later(decoded: DecodedRows, not_after_ms: NDArray[np.int64] | np.int64) -> None:
    """Reject the rows whose event time is after ``not_after_ms`` (one for all rows, or one per row)."""
    later = decoded.event_ms > not_after_ms
    if later.any():
        ahead = np.flatnonzero(later)
        limit = np.broadcast_to(not_after_ms, decoded.event_ms.shape)
        decoded.reject({row: _ahead(int(limit[row]), int(decoded.event_ms[row])) for row in ahead.tolist()})


def _ahead(limit_ms: int, event_ms: int) -> str:
    return f"future_event: expected an event time of at most {any_time(limit_ms)}, got {any_time(event_ms)}"
