"""Sliding windows: everything that is maintained for one window length, and the metrics computed from it."""

from collections.abc import Sequence
from math import gcd

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.fields import BIT, FieldLayout
from monitor.core.tenants.complaints import ComplaintForecast, ComplaintWindow
from monitor.core.tenants.dirty import DirtyTenants
from monitor.core.windows.distinct.distinct_counts import DistinctCounts
from monitor.core.windows.distinct.early_distinct_counts import EarlyDistinctCounts
from monitor.core.windows.distinct.pane_distinct_counts import PaneDistinctCounts
from monitor.core.windows.pane import Pane
from monitor.core.windows.running_sums import RunningSums
from monitor.core.windows.tenant_sums import TenantSums
from monitor.policy.metrics import METRICS
from monitor.policy.model import Rule

Counts = NDArray[np.int64]
_EVERYBODY = slice(None)

HOUR_MS = 3_600_000
FINE_MS = 48 * HOUR_MS  # longer windows have steps of whole hours, and consist of hour panes


class WindowView:
    """What rules evaluate: the sums, distinct counts and complaints of one window, and the metrics over them."""

    running_sums: RunningSums | TenantSums
    callees: DistinctCounts | PaneDistinctCounts | EarlyDistinctCounts | None
    callers: DistinctCounts | PaneDistinctCounts | EarlyDistinctCounts | None
    complaints: ComplaintWindow | ComplaintForecast
    layout: FieldLayout

    def present(self, tenants: int, who: NDArray[np.intp] | slice = _EVERYBODY) -> NDArray[np.bool_]:
        """Which tenants have a call or a complaint record in the window. Rules evaluate only these."""
        seen: NDArray[np.bool_] = self.running_sums.field(0, tenants)[who] > 0
        if len(self.complaints):
            seen |= self.complaints.count("records", tenants)[who] > 0
        return seen

    def measure(self, name: str, rule: Rule, tenants: int) -> tuple[Counts, Counts | None]:
        """The numerator and denominator (None for a count) of a metric for each tenant, ``[tenants]``."""
        metric = METRICS[name]
        denominator = None
        if metric.denominator == "numeric_callees":
            assert self.callees is not None
            denominator = self.callees.numbers(tenants)
        elif metric.denominator is not None:
            denominator = self.running_sums.field(self.layout.field(metric.denominator, rule.params), tenants)
        numerator = self._numerator(metric.family, metric.numerator, rule, tenants)
        if denominator is not None and metric.numerator == "distinct_callees":
            numerator = np.minimum(numerator, denominator)  # an estimate may exceed the whole
        return numerator, denominator

    def _numerator(self, family: str, name: str, rule: Rule, tenants: int) -> Counts:
        if family == "calls":
            return self.running_sums.field(self.layout.field(name, rule.params), tenants)
        if family == "complaints":
            return self.complaints.count(name, tenants)
        if name == "caller_peak":
            assert self.callers is not None
            return self.callers.peak(tenants)
        assert self.callees is not None
        if name == "distinct_callees":
            return self.callees.distinct(tenants)
        if name == "sequential_callees":
            return self.callees.sequential(tenants)
        return self.callees.over(rule.params.callee_limit, tenants)


class SlidingWindow(WindowView):
    """The state of one window length, for the rules that use it."""

    running_sums: RunningSums
    complaints: ComplaintWindow
    callees: DistinctCounts | PaneDistinctCounts | None
    callers: DistinctCounts | PaneDistinctCounts | None

    def __init__(self, window_ms: int, pane_ms: int, bit: int, rules: Sequence[Rule], layout: FieldLayout) -> None:
        self.window_ms = window_ms
        self.fine = window_ms <= FINE_MS
        self.steps = {rule.step_ms for rule in rules}
        self.step_ms = gcd(*self.steps) if self.fine else HOUR_MS
        self.coming: Sequence[Pane] = ()  # sealed panes that will enter together (`monitor.core.windows.pane_merger`)
        self.left_ms = 0  # everything before this has left
        self.layout = layout
        asked = [(METRICS[name], rule.params) for rule in rules for name in metrics_of(rule)]
        fields = set()
        for metric, params in asked:
            if metric.family == "calls":
                fields.add(layout.field(metric.numerator, params))
            if metric.denominator in ("answered", "attempts") or (metric.family == "calls" and metric.denominator):
                fields.add(layout.field(str(metric.denominator), params))
        names = {metric.name for metric, _ in asked}
        self.limits = tuple(sorted({p.callee_limit for metric, p in asked if metric.name == "callee_over_limit"}))
        self.sequences = "sequential_ratio" in names
        self.callees = self.callers = None
        one_pane = window_ms == pane_ms
        if {"distinct_callee_ratio", "sequential_ratio", "callee_over_limit"} & names:
            self.callees = (
                PaneDistinctCounts(window_ms, self.limits)
                if one_pane
                else DistinctCounts(window_ms, self.limits, self.sequences)
            )
        if "caller_peak" in names:
            self.callers = PaneDistinctCounts(window_ms) if one_pane else DistinctCounts(window_ms)
        if self.callees is not None or self.callers is not None:
            fields.add(BIT["attempts"])  # an upper bound for the number of parties
        self.running_sums = RunningSums(window_ms, sorted(fields))
        counting = any(metric.family == "complaints" for metric, _ in asked)
        self.complaints = ComplaintWindow(window_ms, bit, counting, "complainants" in names)

    def enter(self, pane: Pane, tenants: int) -> None:
        """Add the merged pane of a step, and remove what leaves a window that ends with that step.

        ``tenants`` is the number of tenants in the shard. After a restart the pane may already have left; then it is
        ignored.
        """
        if pane.start_ms < self.left_ms:
            return
        before_ms = pane.start_ms + self.step_ms - self.window_ms
        self._leave(before_ms)
        self.running_sums.enter(pane.start_ms, pane.tenant, pane.sums, tenants)
        if self.callees is not None:
            self.callees.enter(pane.start_ms, pane.callees, tenants, before_ms)
        if self.callers is not None:
            self.callers.enter(pane.start_ms, pane.callers, tenants, before_ms)

    def leave(self, before_ms: int) -> None:
        """Remove everything before ``before_ms``, the window start."""
        self._leave(before_ms)
        for tally in (self.callees, self.callers):
            if tally is not None:
                tally.leave(before_ms)

    def _leave(self, before_ms: int) -> None:
        self.left_ms = max(self.left_ms, before_ms)
        self.running_sums.leave(before_ms)
        self.complaints.leave(before_ms)

    def watch(self, touched: DirtyTenants) -> None:
        """Mark the tenants that change from now on in ``touched``."""
        self.running_sums.watched.append(touched)
        self.complaints.watched.append(touched)
        for tally in (self.callees, self.callers):
            if isinstance(tally, DistinctCounts):
                tally.watched.append(touched)

    @property
    def live(self) -> bool:
        """Whether the window holds any record."""
        return self.running_sums.records > 0 or len(self.complaints) > 0

    @property
    def version(self) -> tuple[int, int]:
        """A value that changes whenever the content of the window changes."""
        return self.running_sums.version, self.complaints.version


def metrics_of(rule: Rule) -> list[str]:
    """The metrics that a rule uses: its own and those of its ``also`` conditions."""
    return [rule.metric, *(condition.metric for condition in rule.also)]
