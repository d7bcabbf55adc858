"""Threshold distance: how close each tenant is to the threshold of each rule, from the windows as last evaluated.

The **distance** is a share between 0 and `FAR_OVER`. For one condition it is value / limit for ``above`` and
``at_least``, and limit / value for ``below`` and ``at_most``. All conditions of a rule must hold, so its share is the
minimum over its own threshold (by the Wilson bound if it has a confidence) and each ``also``. The share is 0 if there
is no value or the denominator is below ``min_denominator``. A tenant in breach has a share of at least 1; a tenant with
a share above 1 is in breach. Exempt tenants are not reported. An override replaces the rule.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from monitor.core.escalation_distance import EscalationDistances, measure_escalations, merge_escalations
from monitor.core.measures.measure_columns import FAR_OVER
from monitor.core.rules.conditions import UPWARDS, Floats, Rows, values
from monitor.core.rules.rule_state import RuleState
from monitor.core.rules.wilson import wilson_bound
from monitor.core.shard import Shard
from monitor.core.windows.window import Counts, SlidingWindow
from monitor.policy.metrics import METRICS
from monitor.policy.model import Params, Rule

BUCKETS = (0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 2.0)
"""Upper bounds of the distribution's buckets. The last bucket has no upper bound."""
_DAY_MS = 86_400_000
_AT_LEAST_AT_MOST = ("at_least", "at_most")


@dataclass(frozen=True, slots=True)
class DistanceOptions:
    """Which pairs of tenant and rule are reported: those with a share of at least ``near``, and those of the
    ``busiest`` tenants by calls; at most ``most`` pairs, the nearest first. ``most`` also limits the pairs of tenant
    and escalation."""

    near: float = 0.8
    busiest: int = 20
    most: int = 1_000


@dataclass(frozen=True, slots=True)
class NearTenant:
    """One tenant and rule: the share, the value of the rule's own metric, which may be NaN, and the tenant's calls."""

    share: float
    tenant_id: str
    rule: Rule
    value: float
    calls: int


@dataclass(slots=True)
class Spread:
    """The distribution of the shares of all tenants with a record in a rule's window: bucket counts and sum."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(BUCKETS) + 1, np.int64))
    total: float = 0.0


@dataclass(slots=True)
class ThresholdDistances:
    """The distances measured in one or more shards.

    ``near`` is sorted, the nearest first; ``left_out`` counts the near pairs beyond the limit. ``busiest`` holds
    ``(calls, tenant id)``, the most calls first, and ``theirs`` the pairs of those tenants. ``firing`` is the number of
    firing alerts by rule; ``pending`` the number of pending decisions by rule and the time of the first lapse.
    ``escalations`` holds the distances to the escalations.
    """

    tenants: int = 0
    near: list[NearTenant] = field(default_factory=list)
    left_out: int = 0
    busiest: list[tuple[int, str]] = field(default_factory=list)
    theirs: list[NearTenant] = field(default_factory=list)
    spread: dict[str, Spread] = field(default_factory=dict)
    firing: dict[str, int] = field(default_factory=dict)
    pending: dict[str, tuple[int, int]] = field(default_factory=dict)
    escalations: EscalationDistances = field(default_factory=EscalationDistances)


def measure_distances(shard: Shard, options: DistanceOptions, now_ms: int | None = None) -> ThresholdDistances:
    """Measure the distances of a shard, which must be idle and is not changed. Costs as much as evaluating all rules
    once. Violations count towards escalations as at ``now_ms``, by default the end of the last window."""
    names = shard.tenant_numbers.names
    tenants = len(names)
    seen = ThresholdDistances(tenants, pending=shard.decisions.reviews.by_rule())
    seen.escalations = measure_escalations(shard, options.most, shard.at_ms if now_ms is None else now_ms)
    counting = _widest([rule_state.window for rule_state in shard.evaluator.rule_states])
    calls = np.zeros(tenants, np.int64) if counting is None else counting.running_sums.field(0, tenants)
    busiest = _first(calls, np.flatnonzero(calls), options.busiest)
    seen.busiest = [(int(calls[tenant]), names[tenant]) for tenant in busiest.tolist()]
    readings: dict[SlidingWindow, _Reading] = {}
    for rule_state in shard.evaluator.rule_states:
        reading = readings.setdefault(rule_state.window, _Reading(rule_state.window, tenants))
        who, share, value, rules = _shares(rule_state, reading, shard.at_ms, tenants)
        counts = np.bincount(np.searchsorted(BUCKETS, share), minlength=len(BUCKETS) + 1)
        seen.spread[rule_state.rule.id] = Spread(counts, float(share.sum()))
        seen.firing[rule_state.rule.id] = len(rule_state.firing)
        near = np.flatnonzero((share >= options.near) | np.isin(who, list(rule_state.firing)))
        reported = _first(share, near, options.most)
        seen.left_out += len(near) - len(reported)
        for into, rows in ((seen.near, reported), (seen.theirs, np.flatnonzero(np.isin(who, busiest)))):
            for row, tenant in zip(rows.tolist(), who[rows].tolist(), strict=True):
                rule = rules.get(tenant, rule_state.rule)
                into.append(NearTenant(float(share[row]), names[tenant], rule, float(value[row]), int(calls[tenant])))
    return _cut(seen, options)


def merge_distances(parts: Sequence[ThresholdDistances], options: DistanceOptions) -> ThresholdDistances:
    """Merge the distances of shards with disjoint tenants, within the same limits."""
    whole = ThresholdDistances()
    for one in parts:
        whole.tenants += one.tenants
        whole.near += one.near
        whole.left_out += one.left_out
        whole.busiest += one.busiest
        whole.theirs += one.theirs
        for rule_id, spread in one.spread.items():
            into = whole.spread.setdefault(rule_id, Spread())
            into.counts = into.counts + spread.counts
            into.total += spread.total
        for rule_id, count in one.firing.items():
            whole.firing[rule_id] = whole.firing.get(rule_id, 0) + count
        for rule_id, (count, first_ms) in one.pending.items():
            known, before_ms = whole.pending.get(rule_id, (0, first_ms))
            whole.pending[rule_id] = known + count, min(before_ms, first_ms)
    whole.escalations = merge_escalations([one.escalations for one in parts], options.most)
    return _cut(whole, options)


def _cut(seen: ThresholdDistances, options: DistanceOptions) -> ThresholdDistances:
    """Sort the pairs and cut them to the limits of ``options``, in place."""
    seen.near.sort(key=_nearest_first)
    seen.left_out += len(seen.near[options.most :])
    del seen.near[options.most :]
    seen.busiest = sorted(seen.busiest, key=lambda one: (-one[0], one[1]))[: options.busiest]
    named = {tenant_id for _, tenant_id in seen.busiest}
    seen.theirs = sorted((near for near in seen.theirs if near.tenant_id in named), key=_nearest_first)
    return seen


def _nearest_first(near: NearTenant) -> tuple[float, str, str]:
    return -near.share, near.tenant_id, near.rule.id


def pairs(seen: ThresholdDistances, options: DistanceOptions) -> list[NearTenant]:
    """The pairs to report: those near a threshold, then those of the busiest tenants as far as ``most`` allows."""
    reported = {(near.tenant_id, near.rule.id): near for near in seen.near}
    for near in seen.theirs:
        if len(reported) >= options.most:
            break
        reported.setdefault((near.tenant_id, near.rule.id), near)
    return list(reported.values())


class _Reading:
    """What one window holds for ``who``, the tenants with a record in it, ascending. Each metric is computed once."""

    def __init__(self, window: SlidingWindow, tenants: int) -> None:
        self._window, self._tenants = window, tenants
        self._counts: dict[tuple[str, Params], tuple[Counts, Counts | None]] = {}
        self._values: dict[tuple[str, Params], Floats] = {}
        self.who = np.flatnonzero(window.present(tenants))

    def counts(self, name: str, rule: Rule) -> tuple[Counts, Counts | None]:
        """The numerator and denominator of each tenant."""
        key = name, rule.params
        if key not in self._counts:
            numerator, denominator = self._window.measure(name, rule, self._tenants)
            self._counts[key] = numerator[self.who], None if denominator is None else denominator[self.who]
        return self._counts[key]

    def values(self, name: str, rule: Rule) -> Floats:
        """The value of each tenant, NaN if there is none."""
        key = name, rule.params
        if key not in self._values:
            self._values[key] = values(METRICS[name], *self.counts(name, rule))
        return self._values[key]

    def share(self, rule: Rule, rows: Rows) -> Floats:
        """The share of the tenants at ``rows`` for the rule."""
        share = np.zeros(len(rows))
        numerator, denominator = self.counts(rule.metric, rule)
        some = np.arange(len(rows))
        if denominator is not None:
            some = np.flatnonzero(denominator[rows] >= max(rule.min_denominator, 1))
        rows = rows[some]
        judged = self.values(rule.metric, rule)[rows]
        if rule.confidence is not None and denominator is not None:
            lower = rule.direction == "above"
            judged = wilson_bound(numerator[rows], denominator[rows], rule.confidence, lower)
        way = _way(rule.direction, judged, rule.threshold)
        for condition in rule.also:
            way = np.minimum(way, _way(condition.op, self.values(condition.metric, rule)[rows], condition.value))
        share[some] = way
        return share


def _way(op: str, value: Floats, limit: float) -> Floats:
    """The share of each value for one condition, 0 for NaN."""
    upwards = op in UPWARDS
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share = value / limit if upwards else limit / value
    # 0 / 0: the value is at its limit, which meets `at_least` and `at_most`.
    share[(value == 0) & (limit == 0)] = FAR_OVER if op in _AT_LEAST_AT_MOST else 0.0
    if limit == 0 and op == "at_least":
        share[value > 0] = FAR_OVER
    return np.nan_to_num(np.clip(share, 0.0, FAR_OVER), nan=0.0)


def _shares(
    rule_state: RuleState, reading: _Reading, at_ms: int, tenants: int
) -> tuple[Rows, Floats, Floats, Mapping[int, Rule]]:
    """The reported tenants, the share and the value of each, and the rules of tenants with an override."""
    rule, who = rule_state.rule, reading.who
    share, value = reading.share(rule, np.arange(len(who))), reading.values(rule.metric, rule)
    rules = {tenant: rule_state.overrides[tenant][0] for tenant in rule_state.overridden(at_ms, tenants)}
    if rules:
        value = value.copy()
    for row in np.flatnonzero(np.isin(who, list(rules))).tolist():
        override = rules[int(who[row])]
        share[row] = reading.share(override, np.array([row]))[0]
        value[row] = reading.values(override.metric, override)[row]
    reported = rule_state.judges(rule, who, at_ms)
    for row in np.flatnonzero(np.isin(who, list(rules))).tolist():
        reported[row] = rule_state.judges(rules[int(who[row])], who[row : row + 1], at_ms)[0]
    exempt = rule_state.exempted(at_ms, tenants)
    if exempt:
        reported &= ~np.isin(who, list(exempt))
    if not reported.all():
        who, share, value = who[reported], share[reported], value[reported]
    return who, share, value, rules


def _first(by: NDArray[np.number], rows: Rows, most: int) -> Rows:
    """At most ``most`` of these rows, those with the largest ``by``."""
    if len(rows) > most:
        rows = rows[np.argpartition(-by[rows], most)[:most]] if most else rows[:0]
    return rows


def _widest(windows: Iterable[SlidingWindow]) -> SlidingWindow | None:
    """The window whose calls rank the busiest tenants: the longest up to a day, else the shortest."""
    known = sorted(windows, key=attrgetter("window_ms"))
    within = [window for window in known if window.window_ms <= _DAY_MS]
    return within[-1] if within else next(iter(known), None)
