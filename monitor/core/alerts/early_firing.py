"""Early firing: the early alerts of all rules, and how many calls of their tenants may come before they may end."""

from collections import defaultdict
from collections.abc import Iterable
from math import floor
from typing import Any, Final

from numpy.typing import NDArray

from monitor.core.windows.distinct.count_names import count_of
from monitor.core.windows.distinct.early_distinct_counts import most_step
from monitor.policy.metrics import DISTINCT_COUNTS, METRICS
from monitor.policy.model import Rule

NEVER: Final = 1 << 60
"""More calls than a tenant makes."""


class EarlyFiring:
    """The tenants with an early alert, by rule, and the number of calls of a tenant at which each is to be checked.

    Some entries may be stale: their alert was confirmed or resolved since.
    """

    def __init__(self) -> None:
        self._by_rule: defaultdict[str, set[int]] = defaultdict(set)
        self._check_at: defaultdict[int, dict[str, int]] = defaultdict(dict)

    def of(self, rule_id: str) -> set[int]:
        """The tenants with an early alert of a rule. Do not change it."""
        return self._by_rule[rule_id]

    def add(self, rule_id: str, tenants: Iterable[int]) -> None:
        """Add alerts, to be checked at the next call."""
        for tenant in tenants:
            self._by_rule[rule_id].add(tenant)
            self._check_at[tenant][rule_id] = 0

    def discard(self, rule_id: str, tenants: Iterable[int]) -> None:
        """Remove alerts."""
        for tenant in list(tenants):
            self._by_rule[rule_id].discard(tenant)
            checks = self._check_at[tenant]
            checks.pop(rule_id, None)
            if not checks:
                del self._check_at[tenant]

    def check_at(self, rule_id: str, tenant: int, calls: int) -> None:
        """Set the number of calls of the tenant at which its alert is to be checked."""
        self._check_at[tenant][rule_id] = calls

    def check_again(self, tenants: Iterable[int]) -> None:
        """Let all alerts of these tenants be checked at their next call."""
        for tenant in tenants:
            for rule_id in self._check_at.get(tenant, ()):
                self._check_at[tenant][rule_id] = 0

    def among(self, tenants: Iterable[int]) -> int:
        """How many of these tenants have early alerts."""
        return sum(map(self._check_at.__contains__, tenants))

    def due(self, called: Iterable[int], calls: NDArray[Any], complained: set[int]) -> dict[str, set[int]]:
        """The tenants to check by rule, of those who called or complained since. ``calls`` are those of each tenant."""
        found: defaultdict[str, set[int]] = defaultdict(set)
        if self._check_at:
            for tenant in called:
                checks = self._check_at.get(tenant)
                if checks:
                    now = int(calls[tenant])
                    for rule_id, at in checks.items():
                        if at <= now:
                            found[rule_id].add(tenant)
            for tenant in complained & self._check_at.keys():
                for rule_id in self._check_at[tenant]:
                    found[rule_id].add(tenant)
        return found


def calls_to_recover(rule: Rule, numerator: int, denominator: int | None, spread: int = 1) -> int:
    """The calls before which the value of a rule, now beyond ``recover``, stays so. At least 1.

    ``spread``: by how much more a call changes a distinct count, because keys are sampled.
    """
    metric, limit = METRICS[rule.metric], rule.recover
    if metric.family == "talk":
        return 1
    if denominator is None:  # a count above its threshold never becomes less
        return NEVER
    limit *= metric.scale
    if rule.direction == "above":
        step = spread if metric.denominator in DISTINCT_COUNTS else 1
        needed = (numerator / limit - denominator) / step if limit > 0 else NEVER
    elif metric.unit == "seconds":  # a call may last for hours
        return 1
    else:
        distinct = metric.numerator in DISTINCT_COUNTS
        rate = float(most_step(count_of(metric.numerator, rule.params)[1]) * spread if distinct else 1)
        if metric.unit == "ratio" and spread == 1:
            rate -= limit  # a call that raises the numerator of a share raises its denominator, too
        needed = (limit * denominator - numerator) / rate if rate > 0 else NEVER
    return max(1, floor(min(needed, NEVER)))
