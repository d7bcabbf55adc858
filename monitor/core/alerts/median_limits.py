"""Median limits: conditions on medians at a future end, and a bound that spares tenants a recount.

Calls only ever come to a future window. So those that are at least as long as a condition ``below`` allows never become
fewer, and while they are more than half of all answered calls, the median does not meet that condition. In the same
way, short calls speak against a condition ``above``.
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
    """The answered calls of each tenant that spoke against a condition when they were counted last, 0 before.

    The condition at ``place`` in ``limits`` has the column ``first + place`` in ``table``. Its edge divides the buckets
    of talk times: those below are the ones that it holds for, or those that it does not hold for.
    """

    def __init__(self, limits: Sequence[Condition], table: TenantColumns, first: int) -> None:
        self._table = table
        self._columns = {limit: first + place for place, limit in enumerate(limits)}
        self._upwards = np.array([limit.op in UPWARDS for limit in limits], np.bool_)
        self.edges = np.array([_edge(limit) for limit in limits], np.intp)

    def column(self, limit: Condition) -> int:
        """The column of the calls against a condition."""
        return self._columns[limit]

    def counted(self, who: NDArray[np.intp], answered: NDArray[np.int64], below: NDArray[np.int64]) -> None:
        """Take a count of these tenants: their answered calls ``[k]``, and of these the ones below each edge
        ``[k, edge]``.
        """
        against = np.where(self._upwards, below, answered[:, None] - below)
        self._table.values[who[:, None], list(self._columns.values())] = against


def _edge(limit: Condition) -> int:
    """The number of buckets that lie below the others: medians are in the order of their buckets."""
    holds = OPS[limit.op](_LOWEST_S, limit.value)
    return int(np.count_nonzero(~holds if limit.op in UPWARDS else holds))
