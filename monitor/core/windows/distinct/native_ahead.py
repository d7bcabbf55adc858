"""The extension that counts keys at a future end of a window. Without it, numpy does the same."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.hash_table import NativeTable
from monitor.core.calls.keys import BLOCK_BITS
from monitor.core.windows.distinct.count_names import (
    DISTINCT,
    IN_BLOCKS,
    NUMBERS,
    PEAK,
    SEQUENTIAL,
    UNFINISHED,
    WIDEST,
    Name,
)
from monitor.core.windows.distinct.key_counts import NEIGHBOUR_BITS, KeyCounts
from monitor.core.windows.distinct.key_groups import BLOCK_LEAST
from monitor.extensions import WANTED, load

if TYPE_CHECKING:
    from monitor.core.windows.distinct import _ahead
else:
    _ahead = load("monitor.core.windows.distinct._ahead", interface=3)

enabled: bool = _ahead is not None and WANTED
"""Whether the extension is used; tests switch it."""

Counts = NDArray[np.int64]
_NONE: Final = np.zeros(0, np.int64)


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _ahead is not None


class CountsOfKeys(NamedTuple):
    """The counts of ``k`` tenants: ``counts`` ``[what, k]`` as `DistinctCounts` has them, and if they are wanted the
    largest count of each, ``[k]``, and its `IN_BLOCKS` and `UNFINISHED`, ``[2, k]``.
    """

    counts: Counts
    largest: Counts | None
    in_blocks: Counts | None

    def by_name(self, over: Mapping[int, int]) -> dict[Name, Counts]:
        """The counts by name; ``over`` has the row of each limit."""
        found: dict[Name, Counts] = dict(zip((DISTINCT, NUMBERS, SEQUENTIAL), self.counts, strict=False))
        found |= {limit: self.counts[row] for limit, row in over.items()}
        if self.largest is not None:
            found |= {PEAK: self.largest, WIDEST: self.largest}
        if self.in_blocks is not None:
            found[IN_BLOCKS], found[UNFINISHED] = self.in_blocks
        return found


class SampledTenants(NamedTuple):
    """The tenants ``who`` ``[k]``, ascending, and their sampling levels by place, if above 0."""

    who: NDArray[np.intp]
    levels: Mapping[int, int]

    @property
    def level(self) -> NDArray[np.uint8]:
        """The level of each tenant, ``[k]``."""
        level = np.zeros(len(self.who), np.uint8)
        for place, one in self.levels.items():
            level[place] = one
        return level


def change(
    now: CountsOfKeys,
    tenants: SampledTenants,
    keys: tuple[Iterable[KeyCounts], Iterable[KeyCounts], Iterable[KeyCounts]],
    table: NativeTable,
    groups: NativeTable | None,
    limits: NDArray[np.int32],
    sequences: bool,
) -> CountsOfKeys | None:
    """The counts of the samples of these tenants after ``keys`` change: those that come, those that leave, and those
    that leave because the samples do not keep them any more.

    ``keys`` may be of other tenants too, and may repeat. ``table`` has the attempts of each key now, ``groups`` the
    keys of each group; None if keys are not counted by group. ``limits`` ``[n, 1]`` are those of the counts. Returns
    None if a largest count becomes less: which is the largest then needs all keys.
    """
    who = tenants.who
    place = np.full(int(who[-1]) + 1, -1, np.int32)
    place[who] = np.arange(len(who))
    some = [(one, change) for change, of in enumerate(keys) for one in of if len(one)]
    pieces = [_piece(one, change) for one, change in some]
    unit_bits = int(max((one.unit_bits for one, _ in some), default=NEIGHBOUR_BITS))
    counts = now.counts.copy()
    largest = _NONE if now.largest is None else now.largest.copy()
    in_blocks = _NONE if now.in_blocks is None else now.in_blocks.copy()
    counted = _ahead.ahead(
        *(pieces, int(BLOCK_BITS), BLOCK_LEAST, sequences, who, tenants.level, unit_bits, place, *table),
        *(None if groups is None else groups.slots, limits),
        *(counts, _NONE if now.largest is None else now.largest, largest, in_blocks),
    )
    if not counted:
        return None
    return CountsOfKeys(counts, largest if len(largest) else None, in_blocks if len(in_blocks) else None)


def _piece(keys: KeyCounts, change: int) -> tuple[Any, ...]:
    """Keys as the extension takes them: all rows, or also their order by tenant. ``change`` is the place in ``keys``
    of `change`.
    """
    order, in_order = keys.by_tenant() or (None, None)
    return keys.key, keys.tenant, keys.count, keys.numeric, keys.group, order, in_order, change
