"""The charts' data: each ruled metric over time, thinned to a fixed number of points, for the tenants that matter."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from statistics import NormalDist

import msgspec

from monitor.metrics import METRICS
from monitor.report.policy import PolicyView, RuleView
from monitor.report.read import lines

# Points a chart; of the windows that fall on one point the one nearest to (or furthest into) breach is kept.
POINTS = 240


class _Line(msgspec.Struct):
    tenant_id: str
    rule_id: str
    end_ms: int
    numerator: int
    denominator: int | None
    value: float | None


@dataclass(slots=True)
class Series:
    """One rule's metric for one tenant: window ends (ms), counts, and the bound where the rule has a confidence."""

    rule: RuleView
    ends_ms: list[int] = field(default_factory=list)
    numerators: list[int] = field(default_factory=list)
    denominators: list[int | None] = field(default_factory=list)
    bounds: list[float | None] = field(default_factory=list)
    thresholds: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Charts:
    """The chosen tenants' series, the tenants that were judged in all, and the span of window ends."""

    tenants: dict[str, list[Series]]
    judged_tenants: int
    windows: int
    start_ms: int
    end_ms: int


def wilson_bound(p: float, n: int, confidence: float, direction: str) -> float:
    """The one-sided Wilson score bound of the proportion ``p`` out of ``n``: the lower for ``above``, else the upper.

    Wilson (1927), as section 5 of the contract has it; ``p`` is capped at 1.
    """
    p = min(p, 1.0)
    z = NormalDist().inv_cdf(confidence)
    centre = p + z * z / (2 * n)
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (centre - half if direction == "above" else centre + half) / (1 + z * z / n)


def collect(path: Path, policy: PolicyView, involved: Iterable[str], limit: int) -> Charts:
    """The series of at most ``limit`` tenants out of ``windows.jsonl``: first ``involved`` in their order, then those
    that came nearest to a threshold.

    Reads the file twice, so that memory is ``limit`` x rules x `POINTS`, however long the file.
    """
    rules = {rule.id: rule for rule in policy.rules}
    overridden = {(o.tenant, o.rule.id) for o in policy.overrides}
    nearest: dict[str, float] = {}
    windows = 0
    start_ms, end_ms = 0, 0
    for line in lines(path, _Line):
        if not windows:
            start_ms = line.end_ms
        windows += 1
        end_ms = max(end_ms, line.end_ms)
        start_ms = min(start_ms, line.end_ms)
        rule = rules.get(line.rule_id)
        if rule is None:
            continue
        if (line.tenant_id, rule.id) in overridden:
            rule = policy.rule_for(rule, line.tenant_id, line.end_ms)
        near = _nearness(rule, line)
        if near > nearest.get(line.tenant_id, -1.0):
            nearest[line.tenant_id] = near
    chosen = [tenant for tenant in involved if tenant in nearest][:limit]
    taken = set(chosen)
    rest = sorted((t for t in nearest if t not in taken), key=lambda t: (-nearest[t], t))
    chosen += rest[: limit - len(chosen)]
    thinned = _thin(path, policy, rules, set(chosen), start_ms, end_ms)
    return Charts({t: thinned[t] for t in chosen if thinned.get(t)}, len(nearest), windows, start_ms, end_ms)


def _thin(
    path: Path, policy: PolicyView, rules: dict[str, RuleView], chosen: set[str], start_ms: int, end_ms: int
) -> dict[str, list[Series]]:
    """For each chosen tenant and rule one line a point of time."""
    span = max(end_ms - start_ms, 1)
    kept: dict[tuple[str, str], dict[int, tuple[float, _Line]]] = {}
    for line in lines(path, _Line):
        if line.tenant_id not in chosen or line.rule_id not in rules or line.value is None:
            continue
        points = kept.setdefault((line.tenant_id, line.rule_id), {})
        point = (line.end_ms - start_ms) * (POINTS - 1) // span
        near = _nearness(policy.rule_for(rules[line.rule_id], line.tenant_id, line.end_ms), line)
        if point not in points or near > points[point][0]:
            points[point] = (near, line)
    made: dict[str, list[Series]] = {}
    order = {rule: n for n, rule in enumerate(rules)}
    for (tenant, rule_id), points in sorted(kept.items(), key=lambda item: (item[0][0], order[item[0][1]])):
        series = Series(rules[rule_id])
        for _, line in sorted(points.values(), key=lambda point: point[1].end_ms):
            _append(series, policy.rule_for(rules[rule_id], tenant, line.end_ms), line)
        made.setdefault(tenant, []).append(series)
    return made


def _append(series: Series, rule: RuleView, line: _Line) -> None:
    n = line.denominator
    metric = METRICS.get(rule.metric)
    bounded = rule.confidence is not None and n and line.value is not None and metric is not None and metric.proportion
    series.ends_ms.append(line.end_ms)
    series.numerators.append(line.numerator)
    series.denominators.append(n)
    series.thresholds.append(rule.threshold)
    series.bounds.append(
        wilson_bound(line.value or 0.0, n or 1, rule.confidence or 0.5, rule.direction) if bounded else None
    )


def _nearness(rule: RuleView, line: _Line) -> float:
    """How near the window came to breach: 1 at the threshold, above 1 beyond; 0 where nothing could be judged."""
    if line.value is None or (line.denominator is not None and line.denominator < rule.min_denominator):
        return 0.0
    value, threshold = (line.value, rule.threshold) if rule.direction == "above" else (rule.threshold, line.value)
    return value / threshold if threshold > 0 else 1.0 + value
