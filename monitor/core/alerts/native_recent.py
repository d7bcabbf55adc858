"""The extension that counts recent calls in the early windows. Without it, numpy adds up the same sums."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.new_calls import NewCalls
from monitor.extensions import WANTED, load

if TYPE_CHECKING:
    from monitor.core.alerts import _recent
else:
    _recent = load("monitor.core.alerts._recent", interface=1)

enabled: bool = _recent is not None and WANTED
"""Whether the extension is used; tests switch it."""

Target = tuple[NDArray[np.intp], NDArray[np.intp]]
"""The columns of a table in which the calls of a pane are counted, and the field that each of them adds up."""


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _recent is not None


class PaneTargets(NamedTuple):
    """The targets of panes one after the other: the ``number`` of each pane, and the ``first`` of its targets.

    ``number`` is ``[pane]``, ascending, ``first`` ``[pane + 1]``, and ``column`` and ``field`` are ``[target]``.
    ``bits`` is that of the layout.
    """

    number: NDArray[np.int64]
    first: NDArray[np.int64]
    column: NDArray[np.int64]
    field: NDArray[np.int64]
    bits: int

    @classmethod
    def of(cls, targets: Mapping[int, Target], bits: int) -> "PaneTargets":
        """The targets by number of the pane."""
        numbers = sorted(targets)
        column, field = ([np.empty(0, np.intp), *(targets[one][place] for one in numbers)] for place in (0, 1))
        first = np.cumsum([len(some) for some in column])
        return cls(
            np.array(numbers, np.int64),
            first.astype(np.int64),
            np.concatenate(column).astype(np.int64),
            np.concatenate(field).astype(np.int64),
            bits,
        )


def enter(
    values: NDArray[np.int64],
    targets: PaneTargets,
    waits: NDArray[np.bool_],
    marked: NDArray[np.bool_] | None,
    pane: NDArray[np.int64],
    calls: NewCalls,
    count: int,
) -> bool:
    """Add those of the first ``count`` calls that wait, of the ``marked`` tenants or of all, to ``values``
    ``[tenant, column]``. They do not wait any more.

    Returns False if a pane has no targets; then nothing was added.
    """
    columns = calls.tenant, calls.word, calls.talk_ms, calls.ring_delay_ms
    tenants, width = values.shape
    return _recent.enter(values, tenants, width, *targets, waits, marked, pane, *columns, count) < 0
