"""Aggregation plan: what panes count under a policy, which calls they keep as evidence, and for how long."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from monitor.core.calls.fields import BIT, SUMS, FieldLayout
from monitor.core.windows.window import FINE_MS
from monitor.policy.metrics import METRICS
from monitor.policy.model import Policy, Rule
from monitor.policy.timeline import BOUNDARY_MS

Ruled = tuple[int, int]
"""The calls that are evidence, as ``(bit that is set, bit that is not set or -1)``; ``(-1, -1)`` for none."""


@dataclass(frozen=True, slots=True)
class AggregationPlan:
    """The layout of sums, the pane width, and the kinds of evidence (``ruled``) with the longest window of each.

    Decisions name the ids of the first ``named`` kinds, of the others only the places.
    Panes are kept for windows up to ``fine_ms``, hour panes for windows up to ``coarse_ms``.
    """

    layout: FieldLayout
    pane_ms: int
    ruled: tuple[Ruled, ...]
    ruled_ms: tuple[int, ...]
    named: int
    fine_ms: int
    coarse_ms: int

    @classmethod
    def of(cls, policy: Policy) -> "AggregationPlan":
        """The plan for a policy."""
        rules = all_rules(policy)
        layout = FieldLayout.of(policy.params, rules)
        longest_ms: dict[Ruled, int] = {}
        for rule in rules:
            field = placed_field(rule, layout)
            if field[0] >= 0:
                longest_ms[field] = max(longest_ms.get(field, 0), rule.window_ms)
        # Those that are only placed come last, because stored panes refer to the others by their index.
        named = {ruled_field(rule, layout) for rule in rules}
        ruled = sorted(longest_ms, key=lambda field: (field not in named, field))
        windows = {rule.window_ms for rule in rules}
        return cls(
            layout,
            int(np.gcd.reduce([BOUNDARY_MS, *(rule.step_ms for rule in rules)])),
            tuple(ruled),
            tuple(longest_ms[field] for field in ruled),
            len(named & longest_ms.keys()),
            max((ms for ms in windows if ms <= FINE_MS), default=0),
            max((ms for ms in windows if ms > FINE_MS), default=0),
        )

    @property
    def ruled_long(self) -> list[int]:
        """The indices of the evidence for windows that consist of hour panes."""
        return [place for place, window_ms in enumerate(self.ruled_ms) if window_ms > FINE_MS]


def all_rules(policy: Policy) -> list[Rule]:
    """All rules, including those of overrides."""
    return [*policy.rules, *(override.rule for override in policy.overrides)]


def ruled_field(rule: Rule, layout: FieldLayout) -> Ruled:
    """The calls that are evidence for a rule.

    For ``above``, the calls of the numerator; for ``below``, the calls of the denominator that are not in the
    numerator; for a mean or a median, all calls of the denominator. A metric of complaints has no calls as evidence.
    """
    metric = METRICS[rule.metric]
    if metric.numerator in SUMS or metric.family == "talk":
        return layout.evidence_bit(metric.numerator, rule.params), -1
    if metric.family == "calls" and rule.direction == "above":
        return layout.evidence_bit(metric.numerator, rule.params), -1
    if metric.family == "calls" and metric.denominator is not None:
        return layout.field(metric.denominator, rule.params), layout.evidence_bit(metric.numerator, rule.params)
    return -1, -1


def placed_field(rule: Rule, layout: FieldLayout) -> Ruled:
    """The calls whose places a decision of the rule names: its evidence, and for metrics of keys, which have none, the
    attempts, or for consents the answered calls.
    """
    metric = METRICS[rule.metric]
    if metric.family != "distinct":
        return ruled_field(rule, layout)
    return BIT["answered" if metric.numerator == "consent_peak" else "attempts"], -1


def meanings(layout: FieldLayout, ruled: Iterable[Ruled]) -> list[tuple[object, object]]:
    """Kinds of evidence by field names, independent of the layout."""
    names = layout.names
    return [(names[on], names[off] if off >= 0 else None) for on, off in ruled]
