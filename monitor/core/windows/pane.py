"""Panes: the calls of one short interval of event time, summed per tenant. A sealed pane never changes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.columns import CountedCalls
from monitor.core.calls.evidence import EvidenceRows, newest_of_groups, thin
from monitor.core.calls.fields import BIT, FieldLayout, count_bits
from monitor.core.windows.distinct.key_counts import KeyCounts

_ATTEMPT = np.uint64(1 << BIT["attempts"])


@dataclass(frozen=True, slots=True)
class Pane:
    """The sealed calls of ``[start_ms, start_ms + width)``.

    ``tenant`` is ``[g]``, ascending; ``sums`` is ``[g, FieldLayout.width]``. ``callees`` and ``callers`` are those of
    the attempts; ``evidence`` holds the newest calls per tenant and ruled field.
    """

    start_ms: int
    tenant: NDArray[np.int32]
    sums: NDArray[np.int64]
    callees: KeyCounts
    callers: KeyCounts
    evidence: EvidenceRows

    @property
    def calls(self) -> int:
        """The number of calls in the pane."""
        return int(self.sums[:, BIT["rows"]].sum())

    @property
    def weight(self) -> int:
        """The cost to merge the pane."""
        return len(self.tenant) + len(self.callees) + len(self.callers) + len(self.evidence)

    def bounded(self) -> "Pane":
        """The same pane with callees and callers sampled as in a sealed pane."""
        return replace(self, callees=self.callees.bounded(), callers=self.callers.bounded())


def seal(
    calls: CountedCalls, pane_ms: int, layout: FieldLayout, wanted: Sequence[tuple[int, int]], parties: bool
) -> list[Pane]:
    """Seal calls into panes, in order of time. Empty panes are left out.

    All panes are sealed in one pass, sorted by pane and tenant. ``wanted`` are the ruled fields as
    ``(bit that is set, bit that is not set or -1)``; ``parties`` is whether any rule counts callees or callers.
    """
    pane = calls.end_ms // pane_ms
    first = int(pane.min())
    tenants = int(calls.tenant.max()) + 1
    group_of_row = (pane - first) * tenants + calls.tenant
    row_bits = len(calls).bit_length()
    if int(group_of_row.max()) < 2 ** (62 - row_bits) // pane_ms:
        # Pack group, time and row into one number: in numpy, sort is twice as fast as argsort.
        keys = (group_of_row * pane_ms + (calls.end_ms - pane * pane_ms)) << row_bits | np.arange(len(calls))
        keys.sort()
        order = keys & (1 << row_bits) - 1
    else:  # they do not fit into 64 bits: a century of calls of millions of tenants
        order = np.lexsort((calls.end_ms, group_of_row))
    calls, group_of_row = calls.take(order), group_of_row[order]
    starts = _run_starts(group_of_row)
    groups = group_of_row[starts]
    sums = np.empty((len(starts), layout.width), np.int64)
    sums[:, : layout.bits] = count_bits(calls.word, starts, layout.bits)
    sums[:, layout.bits] = np.add.reduceat(calls.talk_ms, starts, dtype=np.int64)
    sums[:, layout.bits + 1] = np.add.reduceat(calls.ring_delay_ms, starts, dtype=np.int64)

    group_pane, group_tenant = groups // tenants, (groups % tenants).astype(np.int32)
    pane_starts = _run_starts(group_pane)
    present = group_pane[pane_starts]
    evidence = newest_of_groups(calls, group_of_row, wanted)
    group_slices = np.append(pane_starts, len(groups))
    evidence_slices = np.searchsorted(evidence.end_ms // pane_ms - first, np.append(present, present[-1] + 1))
    callees = callers = [KeyCounts.empty()] * len(present)
    if parties:
        tried = np.flatnonzero(calls.word & _ATTEMPT)
        pane_of = np.repeat(np.arange(len(present)), np.diff(starts[pane_starts], append=len(calls)))[tried]
        owner, numeric = calls.tenant[tried], calls.callee_numeric[tried]
        callees = KeyCounts.of_each(len(present), pane_of, calls.callee_key[tried], owner, numeric)
        callers = KeyCounts.of_each(len(present), pane_of, calls.caller_key[tried], owner, np.zeros_like(numeric))
    panes = []
    for i, number in enumerate(present.tolist()):
        groups_here = slice(group_slices[i], group_slices[i + 1])
        panes.append(
            Pane(
                start_ms=(first + number) * pane_ms,
                tenant=group_tenant[groups_here],
                sums=sums[groups_here],
                callees=callees[i],
                callers=callers[i],
                evidence=evidence.slice(evidence_slices[i], evidence_slices[i + 1]),
            )
        )
    return panes


def merge(panes: Sequence[Pane], start_ms: int, parties: bool = False, ruled: Iterable[int] = ()) -> Pane:
    """Merge panes (at least one) into one that begins at ``start_ms``.

    The result has callees and callers if ``parties``, and evidence only for the fields ``ruled``.
    """
    called = np.zeros(max(int(p.tenant.max(initial=0)) for p in panes) + 1, np.bool_)
    for pane in panes:
        called[pane.tenant] = True
    tenant = np.flatnonzero(called).astype(np.int32)
    sums = np.zeros((len(tenant), panes[0].sums.shape[1]), np.int64)
    for pane in panes:
        sums[np.searchsorted(tenant, pane.tenant)] += pane.sums
    callees = callers = KeyCounts.empty()
    if parties:
        callees = KeyCounts.joined([p.callees for p in panes]).distinct()
        callers = KeyCounts.joined([p.callers for p in panes]).distinct()
    evidence = thin([p.evidence for p in panes], dict.fromkeys(ruled, 0))
    return Pane(start_ms, tenant, sums, callees, callers, evidence)


def _run_starts(values: NDArray[np.integer]) -> NDArray[np.intp]:
    """The start of each run of equal values."""
    return np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
