"""Median limits: conditions on medians at a future end, and a bound that spares tenants a recount.

A median does not meet a condition while more than half of the talk times do not meet it. Calls only ever come to a
future window, so the number of calls that do not meet it never falls, and its last count is a lower bound.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.core.rules.conditions import OPS, UPWARDS
from monitor.core.talk.buckets import BUCKETS, lowest_ms
from monitor.core.windows.tenant_columns import TenantColumns
from monitor.policy.metrics import METRICS
from monitor.policy.model import Condition

_LOWEST_S: Final = lowest_ms(np.arange(BUCKETS)) / METRICS["median_talk_s"].scale


class MedianLimits:
    """The answered calls of each tenant whose talk time does not meet a condition: the last count, 0 before the first.

    The condition at ``place`` in ``limits`` has the column ``first + place`` in ``table``. Its edge in ``edges`` is the
    number of buckets with shorter talk times than the others: either these meet the condition, or the others.
    """

    def __init__(self, limits: Sequence[Condition], table: TenantColumns, first: int) -> None:
        self._table = table
        self._columns = {limit: first + place for place, limit in enumerate(limits)}
        self._upwards = np.array([limit.op in UPWARDS for limit in limits], np.bool_)
        self.edges = np.array([_edge(limit) for limit in limits], np.intp)

    def column(self, limit: Condition) -> int:
        """The column of the calls that do not meet a condition."""
        return self._columns[limit]

    def counted(self, who: NDArray[np.intp], answered: NDArray[np.int64], below: NDArray[np.int64]) -> None:
        """Take a count of these tenants: their answered calls ``[k]``, and of these the ones below each edge
        ``[k, edge]``.
        """
        failing = np.where(self._upwards, below, answered[:, None] - below)
        self._table.values[who[:, None], list(self._columns.values())] = failing


def _edge(limit: Condition) -> int:
    """The number of buckets that meet a condition ``below`` or ``at_most``, or that do not meet one of the others."""
    meets = OPS[limit.op](_LOWEST_S, limit.value)
    return int(np.count_nonzero(~meets if limit.op in UPWARDS else meets))
