"""Prefilter: the tenants that running sums alone cannot rule out, for all rules of a window at once.

Each rule becomes a list of lines, one per condition on sums: its metric, its ``also`` conditions, its minimum
denominator. A tenant that passes all lines of a rule may be in breach. Only these tenants get the expensive checks.
"""

from collections.abc import Iterator, Sequence
from math import inf, nextafter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.fields import BIT, FieldLayout
from monitor.core.windows.tenant_sums import TenantSums
from monitor.policy.metrics import METRICS
from monitor.policy.model import Rule

_UPWARDS = ("above", "at_least")


class _Line(NamedTuple):
    """A condition on a value, given by the numbers of its fields. ``denominator`` is -1 for a count."""

    numerator: int
    denominator: int
    scale: int
    op: str
    limit: float


class Prefilter:
    """The lines of some rules of one window, for running sums with these fields."""

    def __init__(self, rules: Sequence[Rule], layout: FieldLayout, fields: Sequence[int]) -> None:
        by_rule = [list(_lines(rule, layout)) for rule in rules]
        lines = [line for some in by_rule for line in some]
        self._starts = np.cumsum([0, *map(len, by_rule[:-1])])
        # Many lines share one value.
        values = list(dict.fromkeys(line[:3] for line in lines))
        self._value_of = np.array([values.index(line[:3]) for line in lines])
        row = {field: number for number, field in enumerate(fields)}
        self._numerators = np.array([row[numerator] for numerator, _, _ in values])
        self._ratios = np.array([n for n, (_, denominator, _) in enumerate(values) if denominator >= 0], np.intp)
        self._denominators = np.array([row[denominator] for _, denominator, _ in values if denominator >= 0], np.intp)
        self._scales = np.array([scale for _, denominator, scale in values if denominator >= 0], np.int64)
        # One comparison, greater than, for all lines: upper limits are negated, inclusive limits widened by one ulp.
        self._signs = np.array([1.0 if line.op in ("above", "at_least") else -1.0 for line in lines])
        limits = (self._signs * [line.limit for line in lines]).tolist()
        wide = [line.op in ("at_least", "at_most") for line in lines]
        self._limits = np.array([nextafter(x, -inf) if hair else x for x, hair in zip(limits, wide, strict=True)])

    def matches(self, sums: TenantSums, who: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Which of these tenants may be in breach of each rule, ``[k, rule]``."""
        theirs = sums.of(who)
        value = theirs[:, self._numerators].astype(np.float64)
        denominator = self._scales * theirs[:, self._denominators]
        ratio = np.full(denominator.shape, np.nan)
        np.divide(value[:, self._ratios], denominator, out=ratio, where=denominator != 0)
        value[:, self._ratios] = ratio
        passed = self._signs * value[:, self._value_of] > self._limits
        matched: NDArray[np.bool_] = np.logical_and.reduceat(passed, self._starts, axis=1)
        return matched


def _lines(rule: Rule, layout: FieldLayout) -> Iterator[_Line]:
    """The conditions of a rule on sums. There is always at least one: that there is a record."""
    params = rule.params
    yield _Line(BIT["rows"], -1, 1, "at_least", 0)
    asked = [(rule.metric, rule.direction, rule.threshold, rule.min_denominator)]
    for name, op, limit, least in [*asked, *((c.metric, c.op, c.value, 1) for c in rule.also)]:
        metric = METRICS[name]
        if metric.family == "calls":
            denominator = -1 if metric.denominator is None else layout.field(metric.denominator, params)
            yield _Line(layout.field(metric.numerator, params), denominator, metric.scale, op, limit)
            if denominator >= 0 and least > 1:
                yield _Line(denominator, -1, 1, "at_least", least)
        elif metric.denominator == "answered":
            yield _Line(BIT["answered"], -1, 1, "at_least", least)
            if metric.family == "talk" and op in _UPWARDS:
                # More than half of the calls last at least the median, so the mean is more than half of it.
                yield _Line(layout.field("talk_ms", params), BIT["answered"], metric.scale, op, limit / 2)
        elif metric.denominator is not None:  # there are never more keys than attempts
            yield _Line(BIT["attempts"], -1, 1, "at_least", least)
            if name == "calls_per_caller" and op in _UPWARDS:
                yield _Line(BIT["attempts"], -1, 1, op, limit)
        elif name == "callee_over_limit" and op in _UPWARDS:
            yield _Line(BIT["attempts"], -1, 1, op, limit * (params.callee_limit + 1))
        elif metric.family == "distinct" and op in _UPWARDS:  # nor more callees of a consent
            yield _Line(BIT["attempts"], -1, 1, op, limit)
