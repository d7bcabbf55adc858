"""The extension that finds the calls that tenants need before they may break rules. Without it, numpy does."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.core.rules.conditions import Rows
from monitor.extensions import WANTED, load

if TYPE_CHECKING:
    from monitor.core.alerts import _bounds
else:
    _bounds = load("monitor.core.alerts._bounds", interface=2)

enabled: bool = _bounds is not None and WANTED
"""Whether the extension is used; tests switch it."""

ROW_BITS = 32
_ROW = (1 << ROW_BITS) - 1
Counts = NDArray[np.int64]


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _bounds is not None


class CallsNeeded(NamedTuple):
    """What tenants need before they may break rules.

    ``calls`` ``[k]`` are the fewest that let a tenant break a rule which it may not break now. Other rules wait for
    uses of one key of a set, until its count in `KeyUses` is ``uses_at`` ``[set, k]``. ``now`` are the rules that
    tenants may break now, ascending: ``number << ROW_BITS | row``, of the evaluation and of the tenant.
    """

    calls: Counts
    uses_at: Counts
    now: Counts

    def met_now(self, who: Rows) -> Iterator[tuple[int, list[int]]]:
        """The numbers of the evaluations of ``now``, and those of these tenants that may break each."""
        if not len(self.now):
            return
        number, tenant = self.now >> ROW_BITS, who[self.now & _ROW].tolist()
        edges = (np.flatnonzero(number[1:] != number[:-1]) + 1).tolist()
        for start, stop in pairwise([0, *edges, len(tenant)]):
            yield int(number[start]), tenant[start:stop]


class BoundsPlan(NamedTuple):
    """What `monitor.core.alerts.breach_bounds` compares, in the order of the extension.

    Of the sums, ``[sum]``: the column in the table. Of distinct counts, ``[count]``: the columns in the table of the
    count, of all attempts, and of what `EarlyDistinctCounts` keeps; the parameters of its bounds; ``largest``, which is
    0 if the count is not that of one key, else the count above which that of a sample is scaled; the set; the column of
    `UNFINISHED`, and ``whole``, the keys of a block, 0 if keys are not counted by block. Of the lines,
    ``[line]``: the rows of the terms, their factors, and the pace. Then the lines of all evaluations one after the
    other, and where those of each begin; what `SureBounds` has, ``[bound]``; and the evaluations that wait for a
    distinct count, ``[waiting]``.
    """

    sum_column: NDArray[Any]
    counts: NDArray[Any]
    attempts: NDArray[Any]
    before: NDArray[Any]
    left: NDArray[Any]
    extra: NDArray[Any]
    used: NDArray[Any]
    step: NDArray[Any]
    each: NDArray[Any]
    floor: NDArray[Any]
    largest: NDArray[Any]
    which: NDArray[Any]
    unfinished: NDArray[Any]
    whole: NDArray[Any]
    low: NDArray[Any]
    high: NDArray[Any]
    low_factor: NDArray[Any]
    high_factor: NDArray[Any]
    rate: NDArray[Any]
    counted: NDArray[Any]
    pace: NDArray[Any]
    slower: NDArray[Any]
    rounding: NDArray[Any]
    condition: NDArray[Any]
    start: NDArray[Any]
    sure: NDArray[Any]
    numerator: NDArray[Any]
    denominator: NDArray[Any]
    quantile: NDArray[Any]
    sign: NDArray[Any]
    limit: NDArray[Any]
    rarer: NDArray[Any]
    waiting: NDArray[Any]
    waiting_for: NDArray[Any]
    waiting_limit: NDArray[Any]

    def packed(self) -> "BoundsPlan":
        """The same at the widths that the extension reads."""
        columns = (
            np.ascontiguousarray(column, np.float64 if name in _FLOATS else np.int64).reshape(-1)
            for name, column in self._asdict().items()
        )
        return BoundsPlan(*columns)


_FLOATS = {
    *("low_factor", "high_factor", "rate", "counted", "pace", "slower", "rounding"),
    *("quantile", "sign", "limit", "waiting_limit"),
}


class NativeBounds:
    """Finds what tenants need by a plan. ``complaints`` is the number of counts of complaints among the terms."""

    def __init__(self, plan: BoundsPlan, complaints: int) -> None:
        self._plan = plan.packed()
        terms = 1 + len(plan.sum_column) + len(plan.counts) + complaints
        self._evaluations = len(plan.start)
        room = 3 * terms + len(plan.counts) + len(plan.low) + self._evaluations + len(plan.waiting)
        self._room = np.empty(room, np.float64)

    def needed(
        self, values: Counts, who: Rows, before: Counts, largest: Counts, complaints: list[Counts]
    ) -> CallsNeeded:
        """What these tenants need, from the table ``values``, from `KeyUses`, and from the counts of complaints of all
        tenants.
        """
        calls, uses_at = np.empty(len(who), np.int64), np.empty((len(before), len(who)), np.int64)
        now = np.empty(self._evaluations * len(who), np.int64)
        found = _bounds.needed(
            self._plan, values, values.shape[1], who, before, largest, complaints, self._room, calls, uses_at, now
        )
        now = now[:found]
        now.sort()
        return CallsNeeded(calls, uses_at, now)
