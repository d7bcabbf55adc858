"""Selects the newest 20 calls of each group and field, by event time, then id, without repeated ids.

An id repeats if it was used again after it was forgotten (contract, section 3). The newer call counts.
"""

from collections.abc import Collection, Sequence
from heapq import nlargest
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls import native_newest
from monitor.core.calls.keys import U64, hashes, mix
from monitor.core.calls.string_column import StringColumn

NEWEST: Final = 20  # section 6 of the contract
EVER: Final = -(1 << 63)


class WantedField(NamedTuple):
    """A field whose newest calls are wanted, and its bit in the result.

    Its calls end at ``since_ms`` or later; their words have all bits of ``on``, and none of ``off``, which are others.
    """

    bit: int
    on: int
    off: int = 0
    since_ms: int = EVER


class CandidateCalls(NamedTuple):
    """Calls, sorted by group and event time; every column is ``[n]``."""

    group: NDArray[np.int64]
    end_ms: NDArray[np.int64]
    word: U64
    call_id: StringColumn


def mark_newest(calls: CandidateCalls, wanted: Sequence[WantedField]) -> U64:
    """The bits of the wanted fields whose newest calls of the group include the call, ``[n]``."""
    if native_newest.enabled:
        return native_newest.mark(calls.group, calls.end_ms, calls.word, calls.call_id, wanted)
    mask, again = np.zeros(len(calls.group), np.uint64), _with_an_id_twice(calls.group, calls.call_id)
    for field in wanted:
        chosen = calls.word & np.uint64(field.on | field.off) == np.uint64(field.on)
        rows = np.flatnonzero(chosen & (calls.end_ms >= field.since_ms))
        mask[_newest_of(rows, calls, again)] |= np.uint64(field.bit)
    return mask


def _with_an_id_twice(group: NDArray[np.int64], call_id: StringColumn) -> set[int]:
    """The groups with a repeated id, and possibly others, because only hashes are compared."""
    key = hashes(call_id) ^ mix(group.astype(np.uint64))
    ordered = np.sort(key)
    if not (ordered[1:] == ordered[:-1]).any():
        return set()
    order = np.argsort(key, kind="stable")
    twice = key[order[1:]] == key[order[:-1]]
    return set(group[order[1:][twice]].tolist())


def _newest_of(rows: NDArray[np.intp], calls: CandidateCalls, again: Collection[int]) -> NDArray[np.intp]:
    """The newest of these rows in each group; ties go to the larger ids.

    ``again`` are the groups in which an id may repeat; of such calls the newer one counts.
    """
    count, end_ms, call_id = len(rows), calls.end_ms, calls.call_id
    if not count:
        return rows
    group = calls.group[rows]
    last = np.flatnonzero(np.append(group[1:] != group[:-1], True))
    sizes = np.diff(last, prepend=-1)
    from_end = np.repeat(last, sizes) - np.arange(count)
    kept = from_end < NEWEST
    # If the cut separates calls that ended in the same millisecond, ids decide. Rows are not sorted by id.
    cut = last[sizes > NEWEST] - NEWEST
    for at in cut[end_ms[rows[cut]] == end_ms[rows[cut + 1]]]:
        if group[at] in again:
            continue
        first, after = np.searchsorted(group, [group[at], group[at] + 1])
        tied = first + np.flatnonzero(end_ms[rows[first:after]] == end_ms[rows[at]])
        room = int(kept[tied].sum())
        kept[tied] = False
        kept[sorted(tied.tolist(), key=lambda i: call_id[rows[i]])[-room:]] = True
    for one in again:
        first, after = np.searchsorted(group, [one, one + 1]).tolist()
        kept[first:after] = False
        kept[[first + at for at in _newest_ids(end_ms[rows[first:after]], call_id[rows[first:after]])]] = True
    return rows[kept]


def _newest_ids(end_ms: NDArray[np.int64], call_id: StringColumn) -> list[int]:
    """The newest of these calls of a group, which are sorted by time; of calls with one id the last counts.

    A tenant may choose ids with equal hashes, so only as many calls are read as are needed.
    """
    found: dict[str, int] = {}
    cut_ms = EVER  # the time of the last id for which there is room
    for at in range(len(end_ms) - 1, -1, -1):
        if end_ms[at] < cut_ms:
            break
        found.setdefault(call_id[at], at)
        if len(found) == NEWEST:
            cut_ms = int(end_ms[at])
    return [at for _, _, at in nlargest(NEWEST, ((end_ms[at], name, at) for name, at in found.items()))]
