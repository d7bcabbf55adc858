"""The charts' data: each rule's metric over time, thinned to a fixed number of points, for selected tenants."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from monitor.core.rules.wilson import wilson_bound
from monitor.policy.metrics import METRICS
from monitor.policy.model import Policy, Rule
from monitor.report.read import lines

# Points a chart; of the windows at one point, the one nearest to (or furthest into) breach is kept.
POINTS = 240


class _Line(msgspec.Struct):
    tenant_id: str
    rule_id: str
    end_ms: int
    numerator: int
    denominator: int | None
    value: float | None


@dataclass(frozen=True, slots=True)
class Series:
    """One rule's metric for one tenant: window ends (ms), counts, and the bound if the rule has a confidence."""

    rule: Rule
    ends_ms: list[int]
    numerators: list[int]
    denominators: list[int | None]
    bounds: list[float | None]
    thresholds: list[float]


@dataclass(slots=True)
class Charts:
    """The chosen tenants' series, the number of all evaluated tenants, and the range of window ends."""

    tenants: dict[str, list[Series]]
    judged_tenants: int
    windows: int
    start_ms: int
    end_ms: int


def collect(path: Path, policy: Policy, involved: Iterable[str], limit: int) -> Charts:
    """The series of at most ``limit`` tenants in ``windows.jsonl``: first ``involved`` in their order, then those that
    came nearest to a threshold.

    Reads the file twice, so that memory is ``limit`` x rules x `POINTS`, however long the file is.
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
            rule = _rule_for(policy, rule, line.tenant_id, line.end_ms)
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
    path: Path, policy: Policy, rules: dict[str, Rule], chosen: set[str], start_ms: int, end_ms: int
) -> dict[str, list[Series]]:
    """For each chosen tenant and rule, one line a point in time."""
    span = max(end_ms - start_ms, 1)
    kept: dict[tuple[str, str], dict[int, tuple[float, _Line]]] = {}
    for line in lines(path, _Line):
        if line.tenant_id not in chosen or line.rule_id not in rules or line.value is None:
            continue
        points = kept.setdefault((line.tenant_id, line.rule_id), {})
        point = (line.end_ms - start_ms) * (POINTS - 1) // span
        near = _nearness(_rule_for(policy, rules[line.rule_id], line.tenant_id, line.end_ms), line)
        if point not in points or near > points[point][0]:
            points[point] = (near, line)
    made: dict[str, list[Series]] = {}
    order = {rule: n for n, rule in enumerate(rules)}
    for (tenant, rule_id), points in sorted(kept.items(), key=lambda item: (item[0][0], order[item[0][1]])):
        lines_kept = sorted((line for _, line in points.values()), key=lambda line: line.end_ms)
        made.setdefault(tenant, []).append(_series(rules[rule_id], policy, lines_kept))
    return made


def _series(rule: Rule, policy: Policy, kept: list[_Line]) -> Series:
    stood = [_rule_for(policy, rule, line.tenant_id, line.end_ms) for line in kept]
    bounds: list[float | None] = [None] * len(kept)
    metric = METRICS.get(rule.metric)
    for one in {r for r in stood if r.confidence is not None and metric is not None and metric.proportion}:
        at = [k for k, line in enumerate(kept) if stood[k] == one and line.denominator]
        numerators = np.array([kept[k].numerator for k in at], dtype=np.int64)
        denominators = np.array([kept[k].denominator for k in at], dtype=np.int64)
        found = wilson_bound(numerators, denominators, one.confidence or 0.5, lower=one.direction == "above")
        for k, bound in zip(at, found.tolist(), strict=True):
            bounds[k] = bound
    return Series(
        rule=rule,
        ends_ms=[line.end_ms for line in kept],
        numerators=[line.numerator for line in kept],
        denominators=[line.denominator for line in kept],
        bounds=bounds,
        thresholds=[r.threshold for r in stood],
    )


def _rule_for(policy: Policy, rule: Rule, tenant: str, end_ms: int) -> Rule:
    """``rule`` as it applied to ``tenant`` at the window end ``end_ms``."""
    for override in policy.overrides:
        if override.tenant == tenant and override.rule.id == rule.id and end_ms < override.expires_ms:
            return override.rule
    return rule


def _nearness(rule: Rule, line: _Line) -> float:
    """How near the window came to breach: 1 at the threshold, above 1 beyond; 0 if it could not be evaluated."""
    if line.value is None or (line.denominator is not None and line.denominator < rule.min_denominator):
        return 0.0
    value, threshold = (line.value, rule.threshold) if rule.direction == "above" else (rule.threshold, line.value)
    return value / threshold if threshold > 0 else 1.0 + value
