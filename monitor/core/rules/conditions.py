"""Conditions: which tenants are in breach of a rule in one window, for all tenants at once."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan, nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.core.rules.wilson import wilson_bound
from monitor.core.windows.window import Counts, WindowView
from monitor.policy.metrics import METRICS, Metric
from monitor.policy.model import Condition, Params, Rule
from schemas.outputs import Measure

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

OPS: dict[str, Callable[[Floats, float], NDArray[np.bool_]]] = {
    "above": lambda value, limit: value > limit,
    "below": lambda value, limit: value < limit,
    "at_least": lambda value, limit: value >= limit,
    "at_most": lambda value, limit: value <= limit,
}
UPWARDS: Final = ("above", "at_least")
"""The operators that hold for large values."""


@dataclass(frozen=True, slots=True)
class View:
    """The counts of a rule for some tenants at one window end. All arrays are ``[k]``; ``tenants`` is ascending."""

    tenants: Rows
    numerator: Counts
    denominator: Counts | None
    present: NDArray[np.bool_]

    def where(self, rows: NDArray[np.bool_] | Rows) -> "View":
        """The view with only these rows."""
        return View(
            self.tenants[rows],
            self.numerator[rows],
            None if self.denominator is None else self.denominator[rows],
            self.present[rows],
        )


@dataclass(frozen=True, slots=True)
class EvaluatedView:
    """An evaluated view. ``keeps_firing`` (a firing alert keeps firing) is ``[k]``, like ``view``.

    ``breach`` holds the tenants in breach, with their ``bound`` and the values of each ``also`` condition.
    """

    view: View
    keeps_firing: NDArray[np.bool_]
    breach: View
    bound: Floats
    also: list[tuple[Condition, Floats]]


def rule_view(sight: WindowView, rule: Rule, tenants: int, who: Rows | None = None) -> View:
    """The view of a rule, for all tenants or for ``who``."""
    numerator, denominator = sight.measure(rule.metric, rule, tenants)
    if who is None:
        return View(np.arange(tenants), numerator, denominator, sight.present(tenants))
    some = None if denominator is None else denominator[who]
    return View(who, numerator[who], some, sight.present(tenants, who))


class OverrideViews:
    """The views of a rule's overrides at one window end, for all tenants. Each is computed on first use."""

    def __init__(self, sight: WindowView, tenants: int) -> None:
        self._sight = sight
        self._tenants = tenants
        self._views: dict[Params, View] = {}

    def of(self, override: Rule) -> View:
        """The view for overrides with these parameters."""
        if override.params not in self._views:
            self._views[override.params] = rule_view(self._sight, override, self._tenants)
        return self._views[override.params]


def evaluate_view(sight: WindowView, rule: Rule, view: View, tenants: int) -> EvaluatedView:
    """Evaluate a rule on a view. `also` conditions are read from ``sight`` only for tenants that may be in breach."""
    metric = METRICS[rule.metric]
    value = values(metric, view.numerator, view.denominator)
    enough = view.present
    if view.denominator is not None:
        enough = enough & (view.denominator >= rule.min_denominator)
    beyond = OPS[rule.direction]
    rows = (enough & beyond(value, rule.threshold)).nonzero()[0]
    if rule.confidence is not None and len(rows):
        bound = _wilson_bounds(rule, view, rows)
        sure = beyond(bound, rule.threshold)
        rows, bound = rows[sure], bound[sure]
    else:
        bound = np.full(len(rows), np.nan)
    also: list[tuple[Condition, Floats]] = []
    for condition in rule.also:
        if not len(rows):
            break
        beside = _beside(sight, rule, condition.metric, view.tenants[rows], tenants)
        holds = OPS[condition.op](beside, condition.value)
        rows, bound = rows[holds], bound[holds]
        also = [(c, v[holds]) for c, v in also] + [(condition, beside[holds])]
    return EvaluatedView(view, enough & beyond(value, rule.recover), view.where(rows), bound, also)


def _beside(sight: WindowView, rule: Rule, name: str, who: Rows, tenants: int) -> Floats:
    numerator, denominator = sight.measure(name, rule, tenants)
    return values(METRICS[name], numerator[who], None if denominator is None else denominator[who])


def values(metric: Metric, numerator: Counts, denominator: Counts | None) -> Floats:
    """Values as doubles, NaN where the denominator is 0."""
    if denominator is None:
        return numerator.astype(np.float64)
    divisor = metric.scale * denominator if metric.divided else metric.scale
    if np.count_nonzero(denominator) == len(denominator):  # usual for few tenants, and thrice as fast for them
        return numerator / divisor
    value = np.full(len(numerator), np.nan)
    np.divide(numerator, divisor, out=value, where=denominator != 0)
    return value


def _wilson_bounds(rule: Rule, view: View, rows: Rows | slice) -> Floats:
    """The Wilson bounds of rows that have a value, for a rule with a confidence. Its metric is a share."""
    assert rule.confidence is not None
    assert view.denominator is not None
    lower = rule.direction == "above"
    return wilson_bound(view.numerator[rows], view.denominator[rows], rule.confidence, lower)


def last_measure(rule: Rule, view: View, row: int) -> Measure | None:
    """One row of a view as a measure for a resolved alert, None if there is no record."""
    if not view.present[row]:
        return None
    bound = nan
    if rule.confidence is not None and view.denominator is not None and view.denominator[row] > 0:
        bound = float(_wilson_bounds(rule, view, slice(row, row + 1))[0])
    return measure(rule, view, row, bound)


def measure(rule: Rule, view: View, row: np.intp | int, bound: float) -> Measure:
    """One row of a view as an output measure."""
    numerator, denominator = int(view.numerator[row]), None if view.denominator is None else int(view.denominator[row])
    return Measure(
        metric=rule.metric,
        numerator=numerator,
        denominator=denominator,
        value=_value_of(METRICS[rule.metric], numerator, denominator),
        threshold=rule.threshold,
        bound=None if isnan(bound) else float(f"{bound:.12g}"),
    )


def _value_of(metric: Metric, numerator: int, denominator: int | None) -> float | None:
    """One value as `values` computes it, None in place of NaN; a count stays an integer."""
    if denominator is None:
        return numerator
    if denominator == 0:
        return None
    return numerator / (metric.scale * denominator if metric.divided else metric.scale)
