"""The extension that sums calls and panes up, and adds panes to running sums. Without it, numpy does the same."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from monitor.extensions import WANTED, load

if TYPE_CHECKING:
    from monitor.core.windows import _sums
else:
    _sums = load("monitor.core.windows._sums", interface=3)

enabled: bool = _sums is not None and WANTED
"""Whether the extension is used; tests switch it."""

Sums = NDArray[np.int64]


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _sums is not None


def group(
    word: NDArray[np.unsignedinteger],
    talk_ms: NDArray[np.signedinteger],
    ring_delay_ms: NDArray[np.signedinteger],
    starts: NDArray[np.intp],
    bits: int,
) -> Sums:
    """How many calls of each group have each bit, and the sums of talk times and of ring delays: ``[group, bits + 2]``.

    The first three are columns of 4 or 8 bytes, sorted by group; ``starts`` are the first rows of the groups.
    """
    sums = np.empty((len(starts), bits + 2), np.int64)
    talk, ring = np.ascontiguousarray(talk_ms), np.ascontiguousarray(ring_delay_ms)
    _sums.group(np.ascontiguousarray(word), talk, ring, np.ascontiguousarray(starts), sums)
    return sums


def enter(sums: Sums, fields: NDArray[np.int32], tenant: NDArray[np.int32], pane: Sums) -> tuple[Sums, int, int]:
    """Add the sums of a pane, ``[g, width]``, to ``sums``, ``[field, tenant]``, for these tenants ``[g]``.

    Returns the fields of the pane, ``[field, g]``, the sum of the first, and the largest number of all.
    """
    mine = np.empty((len(fields), len(tenant)), np.int64)
    records, largest = _sums.enter(sums, fields, tenant, np.ascontiguousarray(pane), mine)
    return mine, records, largest


def leave(sums: Sums, tenant: NDArray[np.int32], mine: NDArray[np.signedinteger]) -> int:
    """Subtract ``mine``, ``[field, g]``, from ``sums`` for these tenants. Returns the sum of the first field."""
    return _sums.leave(sums, len(mine), tenant, mine)


def merge(all_tenants: NDArray[np.int32], sums: Sums, tenant: NDArray[np.int32], pane: Sums) -> None:
    """Add the sums of a pane, ``[g, width]``, to ``sums``, ``[tenant, width]``, of ``all_tenants``.

    The tenants ``[g]`` of the pane are among them. Both are ascending.
    """
    _sums.merge(all_tenants, sums, tenant, np.ascontiguousarray(pane))
