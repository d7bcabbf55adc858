"""Redistribution of shard state to other shards by tenant. Each tenant gets a new number in its new shard."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.evidence import EvidenceRows
from monitor.core.talk.talk_counts import TalkCounts
from monitor.core.windows.distinct.key_counts import KeyCounts
from monitor.core.windows.pane import KEY_SETS, Pane

ELSEWHERE: Final = -1
Numbers = NDArray[np.int32]
"""New tenant numbers, indexed by old number. `ELSEWHERE` marks a tenant that goes to another shard."""


def merge_renumbered(panes: Iterable[tuple[Pane, Numbers]]) -> Pane | None:
    """Merge panes with the same start, without the tenants marked `ELSEWHERE`. None if no tenant is left."""
    parts = [(pane, numbers, numbers[pane.tenant] != ELSEWHERE) for pane, numbers in panes]
    parts = [(pane, numbers, here) for pane, numbers, here in parts if here.any()]
    if not parts:
        return None
    tenant = np.concatenate([numbers[pane.tenant[here]] for pane, numbers, here in parts])
    order = np.argsort(tenant)
    return Pane(
        parts[0][0].start_ms,
        tenant[order],
        np.concatenate([pane.sums[here] for pane, _, here in parts])[order],
        evidence=_evidence([(pane.evidence, numbers) for pane, numbers, _ in parts]),
        talk=_talk([(pane.talk, numbers) for pane, numbers, _ in parts]),
        **{which: _keys([(pane.keys(which), numbers) for pane, numbers, _ in parts]) for which in KEY_SETS},
    )


def renumbered(levels: dict[int, int], numbers: Numbers) -> dict[int, int]:
    """``levels`` under the new tenant numbers, without the tenants marked `ELSEWHERE`."""
    return {int(numbers[tenant]): level for tenant, level in levels.items() if numbers[tenant] != ELSEWHERE}


def _keys(parts: Sequence[tuple[KeyCounts, Numbers]]) -> KeyCounts:
    moved = []
    for keys, numbers in parts:
        here = keys.select(np.flatnonzero(numbers[keys.tenant] != ELSEWHERE))
        levels = renumbered(keys.levels, numbers)
        moved.append(replace(here, tenant=numbers[here.tenant], levels=levels))
    return KeyCounts.joined(moved).distinct()


def _talk(parts: Sequence[tuple[TalkCounts, Numbers]]) -> TalkCounts:
    moved = []
    for counts, numbers in parts:
        here = counts.select(np.flatnonzero(numbers[counts.tenant] != ELSEWHERE))
        moved.append(TalkCounts(numbers[here.tenant], here.bucket, here.count))
    return TalkCounts.joined(moved).distinct()


def _evidence(parts: Sequence[tuple[EvidenceRows, Numbers]]) -> EvidenceRows:
    moved = []
    for rows, numbers in parts:
        here = rows.take(np.flatnonzero(numbers[rows.tenant] != ELSEWHERE))
        moved.append(replace(here, tenant=numbers[here.tenant]))
    joined = EvidenceRows.joined(moved)
    return joined.take(np.argsort(joined.tenant, kind="stable"))
