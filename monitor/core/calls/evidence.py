"""Evidence: the newest 20 calls of each tenant and ruled field (`monitor.core.calls.newest_calls`)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.columns import CountedCalls
from monitor.core.calls.keys import U64
from monitor.core.calls.newest_calls import NEWEST, CandidateCalls, WantedField, mark_newest
from monitor.core.calls.string_column import StringColumn

_MANY_PARTS = 16  # each is searched for each decision
_TIME_BITS = 42  # until the year 2109


@dataclass(frozen=True, slots=True)
class EvidenceRows:
    """Calls that may serve as evidence. ``mask`` has a bit for each ruled field whose newest calls include the call.

    ``place`` is where the call's record lies (`monitor.core.record_places`).
    """

    tenant: NDArray[np.int32]
    end_ms: NDArray[np.int64]
    mask: U64
    call_id: StringColumn
    place: NDArray[np.int64]

    def slice(self, start: int, stop: int) -> "EvidenceRows":
        """The rows ``start`` to ``stop``."""
        return self._at(slice(start, stop))

    def take(self, rows: NDArray[np.intp]) -> "EvidenceRows":
        """The calls at these rows, in that order."""
        return self._at(rows)

    def _at(self, rows: Any) -> "EvidenceRows":
        return EvidenceRows(self.tenant[rows], self.end_ms[rows], self.mask[rows], self.call_id[rows], self.place[rows])

    @staticmethod
    def joined(parts: "Sequence[EvidenceRows]") -> "EvidenceRows":
        """Concatenate the parts (at least one)."""
        return EvidenceRows(
            np.concatenate([part.tenant for part in parts]),
            np.concatenate([part.end_ms for part in parts]),
            np.concatenate([part.mask for part in parts]),
            StringColumn.concat([part.call_id for part in parts]),
            np.concatenate([part.place for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.tenant)


def newest_of_groups(calls: CountedCalls, group: NDArray[np.int64], wanted: Sequence[tuple[int, int]]) -> EvidenceRows:
    """The newest calls of each group and wanted field, in the order of ``calls`` (by group, then event time)."""
    fields = [WantedField(1 << k, 1 << on, 1 << off if off >= 0 else 0) for k, (on, off) in enumerate(wanted)]
    word = calls.word.astype(np.uint64, copy=False)
    mask = mark_newest(CandidateCalls(group, calls.end_ms, word, calls.call_id), fields)
    rows = np.flatnonzero(mask)
    return EvidenceRows(
        calls.tenant[rows], calls.end_ms[rows], mask[rows], calls.call_id[rows].compact(), calls.place[rows]
    )


def thin(parts: Sequence[EvidenceRows], since_ms: Mapping[int, int]) -> EvidenceRows:
    """The newest calls of each tenant and field, not before ``since_ms[field]``, sorted by tenant and time."""
    if not since_ms:
        return parts[0].slice(0, 0)
    rows = EvidenceRows.joined(parts)
    wanted = np.uint64(sum(1 << k for k in since_ms))
    rows = rows.take(_by_tenant_and_time(rows, np.flatnonzero(rows.mask & wanted)))
    calls = CandidateCalls(rows.tenant.astype(np.int64), rows.end_ms, rows.mask, rows.call_id)
    mask = mark_newest(calls, [WantedField(1 << k, 1 << k, since_ms=start_ms) for k, start_ms in since_ms.items()])
    kept = np.flatnonzero(mask)
    return EvidenceRows(
        rows.tenant[kept], rows.end_ms[kept], mask[kept], rows.call_id[kept].compact(), rows.place[kept]
    )


def _by_tenant(rows: EvidenceRows) -> EvidenceRows:
    """These rows, sorted by tenant; rows of one tenant keep their order."""
    rows = rows.take(np.argsort(rows.tenant, kind="stable"))
    return replace(rows, call_id=rows.call_id.compact())


def _by_tenant_and_time(rows: EvidenceRows, some: NDArray[np.intp]) -> NDArray[np.intp]:
    """These rows, sorted by tenant and time; rows of one instant keep their order."""
    tenant, end_ms = rows.tenant[some].astype(np.int64), rows.end_ms[some]
    if len(some) and tenant.max() < 1 << 63 - _TIME_BITS and 0 <= end_ms.min() <= end_ms.max() < 1 << _TIME_BITS:
        # One key in place of two: the rows of each pane are sorted by it already.
        return some[np.argsort(tenant << _TIME_BITS | end_ms, kind="stable")]
    return some[np.lexsort((end_ms, tenant))]


class NewestCalls:
    """The newest calls per tenant and ruled field, over all closed panes of the last ``keep_ms[field]``.

    Rows are appended pane by pane and thinned when they have doubled, so a tenant costs at most about 40 rows (of 32
    bytes and an id) per ruled field, however many calls it makes.
    """

    def __init__(self, keep_ms: Sequence[int]) -> None:
        self._keep_ms = keep_ms
        self._parts: list[EvidenceRows] = []
        self._rows = 0
        self._thin_at = 4096

    def add(self, rows: EvidenceRows, end_ms: int) -> None:
        """Add the rows of a closed pane, sorted by tenant. It ended at ``end_ms``; no later pane begins before that."""
        if not len(rows):
            return
        self._parts.append(rows)
        self._rows += len(rows)
        if self._rows > self._thin_at:
            self._thin(end_ms)

    def restore(self, parts: Iterable[EvidenceRows], end_ms: int) -> None:
        """Restore the rows of all panes up to ``end_ms``."""
        self._parts = [rows for rows in parts if len(rows)]
        if self._parts:
            self._thin(end_ms)

    def newest(self, tenant: int, field: int, start_ms: int) -> list[tuple[str, int]]:
        """The ids of the newest calls of that field since ``start_ms``, sorted by code point, each with its place."""
        if len(self._parts) > _MANY_PARTS:
            self._parts[1:] = [_by_tenant(EvidenceRows.joined(self._parts[1:]))]
        newest: dict[str, int] = {}
        bit, bounds = np.uint64(1 << field), np.array([tenant, tenant + 1], np.int32)
        for part in reversed(self._parts):  # the calls of a part all ended before those of the next one
            # Parts are sorted by tenant, so a binary search avoids a scan: one window end may query thousands.
            first, after = part.tenant.searchsorted(bounds).tolist()
            if first == after:
                continue
            rows = first + (part.mask[first:after] & bit).nonzero()[0]
            rows = rows[part.end_ms[rows] >= start_ms]
            if not len(rows):
                continue
            ids, places = part.call_id[rows].tolist(), part.place[rows].tolist()
            for _, call_id, place in sorted(zip(part.end_ms[rows].tolist(), ids, places, strict=True), reverse=True):
                newest.setdefault(call_id, place)  # of calls with one id, the newest counts
                if len(newest) == NEWEST:
                    return sorted(newest.items())
        return sorted(newest.items())

    def _thin(self, end_ms: int) -> None:
        """Merge all parts into one, sorted by tenant and time, with the rows that can still be among the newest."""
        thinned = thin(self._parts, {field: end_ms - keep_ms for field, keep_ms in enumerate(self._keep_ms)})
        self._parts = [thinned]
        self._rows = len(thinned)
        self._thin_at = max(4096, 2 * self._rows)
