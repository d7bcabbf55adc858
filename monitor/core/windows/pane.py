"""Panes: the calls of one short interval of event time, summed per tenant. A closed pane never changes."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.columns import CountedCalls
from monitor.core.calls.evidence import EvidenceRows, newest_of_groups, thin
from monitor.core.calls.fields import BIT, FieldLayout, count_bits
from monitor.core.calls.keys import BLOCK_BITS, U64, pair_keys
from monitor.core.calls.new_calls import NewCalls
from monitor.core.talk.talk_counts import TalkCounts
from monitor.core.windows import native_sums
from monitor.core.windows.distinct.key_counts import NEIGHBOUR_BITS, KeyCounts
from monitor.policy.metrics import KeySet

KEY_SETS: Final[tuple[KeySet, ...]] = ("callees", "callers", "blocks", "reached", "consents")
"""The sets of keys of a pane, each an attribute of that name."""
_FEW_ROWS = 1_024  # whose sums are added up in one pass, which needs a copy of them
_TRUE = np.ones(1, np.bool_)
_NO_GROUPS = np.empty(0, np.uint64)
_ATTEMPT = np.uint64(1 << BIT["attempts"])
_ANSWERED = np.uint64(1 << BIT["answered"])


@dataclass(frozen=True, slots=True)
class Pane:
    """The closed calls of ``[start_ms, start_ms + width)``.

    ``tenant`` is ``[g]``, ascending; ``sums`` is ``[g, FieldLayout.width]``. ``evidence`` holds the newest calls per
    tenant and ruled field. The keys of each `KeySet` and the talk times (``talk``) are empty if no rule needs them.
    """

    start_ms: int
    tenant: NDArray[np.int32]
    sums: NDArray[np.int64]
    callees: KeyCounts
    callers: KeyCounts
    evidence: EvidenceRows
    talk: TalkCounts = field(default_factory=TalkCounts.empty)
    blocks: KeyCounts = field(default_factory=KeyCounts.empty)
    reached: KeyCounts = field(default_factory=KeyCounts.empty)
    consents: KeyCounts = field(default_factory=KeyCounts.empty)

    def keys(self, which: KeySet) -> KeyCounts:
        """The keys of one set."""
        keys: KeyCounts = getattr(self, which)
        return keys

    @property
    def calls(self) -> int:
        """The number of calls in the pane."""
        return int(self.sums[:, BIT["rows"]].sum())

    @property
    def weight(self) -> int:
        """The cost to merge the pane."""
        keys = sum(len(self.keys(which)) for which in KEY_SETS)
        return len(self.tenant) + keys + len(self.evidence) + len(self.talk)

    def bounded(self) -> "Pane":
        """The same pane with its keys sampled as in a closed pane."""
        keys: dict[str, Any] = {which: self.keys(which).bounded() for which in KEY_SETS}
        return replace(self, **keys)


def to_panes(calls: CountedCalls, pane_ms: int, layout: FieldLayout, wanted: Sequence[tuple[int, int]]) -> list[Pane]:
    """Sum calls up to panes, in order of time. Empty panes are left out.

    All are made in one pass, sorted by pane and tenant. ``wanted`` are the ruled fields as
    ``(bit that is set, bit that is not set or -1)``.
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
    sums = _sums_of_groups(calls, starts, layout)
    group_pane, group_tenant = groups // tenants, (groups % tenants).astype(np.int32)
    pane_starts = _run_starts(group_pane)
    present = group_pane[pane_starts]
    evidence = newest_of_groups(calls, group_of_row, wanted)
    group_slices = np.append(pane_starts, len(groups))
    evidence_slices = np.searchsorted(evidence.end_ms // pane_ms - first, np.append(present, present[-1] + 1))
    pane_of = np.repeat(np.arange(len(present)), np.diff(starts[pane_starts], append=len(calls)))
    distinct = keys_of_panes(calls, len(present), pane_of, layout.key_sets)
    talks = [TalkCounts.empty()] * len(present)
    if layout.talk:
        answered = np.flatnonzero(calls.word & _ANSWERED)
        group_of_call = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(calls)))[answered]
        group, bucket, count = TalkCounts.of_groups(group_of_call, calls.talk_ms[answered])
        every = TalkCounts(group_tenant[group], bucket, count)
        talks = [every.select(slice(*edge)) for edge in pairwise(group.searchsorted(group_slices).tolist())]
    panes = []
    for i, number in enumerate(present.tolist()):
        groups_here = slice(group_slices[i], group_slices[i + 1])
        panes.append(
            Pane(
                start_ms=(first + number) * pane_ms,
                tenant=group_tenant[groups_here],
                sums=sums[groups_here],
                evidence=evidence.slice(evidence_slices[i], evidence_slices[i + 1]),
                talk=talks[i],
                **{which: of_each[i] for which, of_each in distinct.items()},
            )
        )
    return panes


def _sums_of_groups(calls: CountedCalls, starts: NDArray[np.intp], layout: FieldLayout) -> NDArray[np.int64]:
    """The sums of each group of these calls, ``[group, FieldLayout.width]``."""
    if native_sums.enabled:
        return native_sums.group(calls.word, calls.talk_ms, calls.ring_delay_ms, starts, layout.bits)
    sums = np.empty((len(starts), layout.width), np.int64)
    sums[:, : layout.bits] = count_bits(calls.word, starts, layout.bits)
    sums[:, layout.bits] = np.add.reduceat(calls.talk_ms, starts, dtype=np.int64)
    sums[:, layout.bits + 1] = np.add.reduceat(calls.ring_delay_ms, starts, dtype=np.int64)
    return sums


class SetKeys(NamedTuple):
    """The keys of a set in the calls at ``rows``, one key each. All arrays are ``[k]``; ``group`` may be empty."""

    rows: NDArray[np.intp]
    key: U64
    numeric: NDArray[np.bool_]
    group: U64
    unit_bits: np.uint64


def keys_of_calls(calls: CountedCalls | NewCalls, which: KeySet) -> SetKeys:
    """The keys of a set in calls."""
    group, unit_bits = _NO_GROUPS, NEIGHBOUR_BITS
    counts = (calls.word & (_ANSWERED if which in ("reached", "consents") else _ATTEMPT)) != 0
    if which == "blocks":
        counts &= calls.block_key != 0
    elif which == "consents":
        counts &= calls.consent_key != 0
    rows = counts.nonzero()[0]
    if which == "callees" or which == "reached":
        keys, numeric = calls.callee_key[rows], calls.callee_numeric[rows]
    elif which == "callers":
        keys, numeric = calls.caller_key[rows], np.zeros(len(rows), np.bool_)
    elif which == "blocks":
        keys, numeric, unit_bits = calls.block_key[rows], np.ones(len(rows), np.bool_), BLOCK_BITS
    else:
        group, numeric = calls.consent_key[rows], np.zeros(len(rows), np.bool_)
        keys = pair_keys(calls.callee_key[rows], group)
    return SetKeys(rows, keys, numeric, group, unit_bits)


def keys_of_panes(
    calls: CountedCalls | NewCalls, panes: int, pane_of: NDArray[np.intp], key_sets: Collection[KeySet]
) -> dict[KeySet, list[KeyCounts]]:
    """The keys of these sets in each of ``panes`` panes. ``pane_of`` is the pane of each call."""
    found = dict.fromkeys(KEY_SETS, [KeyCounts.empty()] * panes)
    for which in key_sets:
        keys = keys_of_calls(calls, which)
        tenant, group = calls.tenant[keys.rows], keys.group if which == "consents" else None
        found[which] = KeyCounts.of_each(
            panes, pane_of[keys.rows], keys.key, tenant, keys.numeric, group, keys.unit_bits
        )
    return found


def merge(
    panes: Sequence[Pane],
    start_ms: int,
    key_sets: Collection[KeySet] = (),
    ruled: Iterable[int] = (),
    talk: bool = False,
) -> Pane:
    """Merge panes (at least one) into one that begins at ``start_ms``.

    The result has the keys of ``key_sets``, talk times if ``talk``, and evidence only for the fields ``ruled``.
    """
    tenant, sums = _added_up(panes)
    keys = dict.fromkeys(KEY_SETS, KeyCounts.empty())
    keys |= {which: KeyCounts.joined([pane.keys(which) for pane in panes]).distinct() for which in key_sets}
    evidence = thin([p.evidence for p in panes], dict.fromkeys(ruled, 0))
    talks = TalkCounts.joined([p.talk for p in panes]).distinct() if talk else TalkCounts.empty()
    return Pane(start_ms, tenant, sums, evidence=evidence, talk=talks, **keys)


def _added_up(panes: Sequence[Pane]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The tenants of these panes, ascending, and the sums of each."""
    every = np.concatenate([pane.tenant for pane in panes])
    if 0 < len(every) <= _FEW_ROWS and not native_sums.enabled:
        order = every.argsort(kind="stable")
        every = every[order]
        starts = _run_starts(every)
        return every[starts], np.add.reduceat(np.concatenate([pane.sums for pane in panes])[order], starts)
    called = np.zeros(int(every.max(initial=0)) + 1, np.bool_)
    called[every] = True
    tenant = np.flatnonzero(called).astype(np.int32)
    sums = np.zeros((len(tenant), panes[0].sums.shape[1]), np.int64)
    for pane in panes:
        if native_sums.enabled:
            native_sums.merge(tenant, sums, pane.tenant, pane.sums)
        else:
            sums[np.searchsorted(tenant, pane.tenant)] += pane.sums
    return tenant, sums


def _run_starts(values: NDArray[np.integer]) -> NDArray[np.intp]:
    """The start of each run of equal values."""
    return np.concatenate([_TRUE, values[1:] != values[:-1]]).nonzero()[0]
