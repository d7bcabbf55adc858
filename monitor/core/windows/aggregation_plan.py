"""Counting: what a policy has panes count, of which calls they keep evidence, and for how long they are kept."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from monitor.core.calls.fields import BIT, SUMS, FieldLayout
from monitor.core.windows.window import FINE_MS, metrics_of
from monitor.policy.metrics import METRICS
from monitor.policy.model import Policy, Rule
from monitor.policy.timeline import BOUNDARY_MS

Ruled = tuple[int, int]
"""Which calls are evidence, as ``(bit that is set, bit that is not, or -1)``; ``(-1, -1)``: none."""


@dataclass(frozen=True, slots=True)
class AggregationPlan:
    """The layout of sums, a pane's width, the kinds of evidence with the longest window that each is for, and more.

    ``parties``: whether callees and callers are kept. Panes are kept for windows of ``fine_ms``, hour panes for
    windows of ``coarse_ms``.
    """

    layout: FieldLayout
    pane_ms: int
    ruled: tuple[Ruled, ...]
    ruled_ms: tuple[int, ...]
    parties: bool
    fine_ms: int
    coarse_ms: int

    @classmethod
    def of(cls, policy: Policy) -> "AggregationPlan":
        """What that policy needs."""
        rules = all_rules(policy)
        layout = FieldLayout.of(policy.params, rules)
        longest_ms: dict[Ruled, int] = {}
        for rule in rules:
            field = ruled_field(rule, layout)
            if field[0] >= 0:
                longest_ms[field] = max(longest_ms.get(field, 0), rule.window_ms)
        windows = {rule.window_ms for rule in rules}
        return cls(
            layout,
            int(np.gcd.reduce([BOUNDARY_MS, *(rule.step_ms for rule in rules)])),
            tuple(sorted(longest_ms)),
            tuple(longest_ms[field] for field in sorted(longest_ms)),
            any(METRICS[name].family == "parties" for rule in rules for name in metrics_of(rule)),
            max((ms for ms in windows if ms <= FINE_MS), default=0),
            max((ms for ms in windows if ms > FINE_MS), default=0),
        )

    @property
    def ruled_long(self) -> list[int]:
        """The places of the evidence that is for windows made of hour panes."""
        return [place for place, window_ms in enumerate(self.ruled_ms) if window_ms > FINE_MS]


def all_rules(policy: Policy) -> list[Rule]:
    """All rules, also as overrides have them."""
    return [*policy.rules, *(override.rule for override in policy.overrides)]


def ruled_field(rule: Rule, layout: FieldLayout) -> Ruled:
    """Which calls are a rule's evidence.

    The calls of the numerator for ``above``, those of the denominator outside it for ``below``; of a sum of seconds
    all calls of the denominator.
    """
    metric = METRICS[rule.metric]
    if metric.numerator in SUMS:
        return layout.evidence_bit(metric.numerator, rule.params), -1
    if metric.family == "calls" and rule.direction == "above":
        return layout.evidence_bit(metric.numerator, rule.params), -1
    if metric.family == "calls" and metric.denominator is not None:
        return layout.field(metric.denominator, rule.params), layout.evidence_bit(metric.numerator, rule.params)
    if metric.family == "complaints" and metric.denominator is not None and rule.direction == "below":
        return BIT[metric.denominator], -1
    return -1, -1


def meanings(layout: FieldLayout, ruled: Iterable[Ruled]) -> list[tuple[object, object]]:
    """What kinds of evidence are, in any layout."""
    names = layout.names
    return [(names[on], names[off] if off >= 0 else None) for on, off in ruled]
