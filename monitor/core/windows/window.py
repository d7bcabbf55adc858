"""Sliding windows: everything that is maintained for one window length, and the metrics computed from it."""

from collections.abc import Iterable, Mapping, Sequence
from math import gcd

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.fields import BIT, FieldLayout
from monitor.core.talk.early_medians import EarlyMedians
from monitor.core.talk.running_medians import RunningMedians
from monitor.core.tenants.complaints import ComplaintForecast, ComplaintWindow
from monitor.core.tenants.dirty import DirtyTenants
from monitor.core.windows.distinct.count_names import count_of, counts_of
from monitor.core.windows.distinct.distinct_counts import DistinctCounts
from monitor.core.windows.distinct.early_distinct_counts import EarlyDistinctCounts
from monitor.core.windows.distinct.pane_distinct_counts import PaneDistinctCounts
from monitor.core.windows.pane import Pane
from monitor.core.windows.running_sums import RunningSums
from monitor.core.windows.tenant_columns import TenantSums
from monitor.policy.metrics import DISTINCT_COUNTS, METRICS, KeySet, Metric
from monitor.policy.model import Rule

Counts = NDArray[np.int64]
_EVERYBODY = slice(None)

HOUR_MS = 3_600_000
FINE_MS = 48 * HOUR_MS  # longer windows have steps of whole hours, and consist of hour panes


def count_complaints(rules: Iterable[Rule]) -> bool:
    """Whether any of these rules counts complaints."""
    return any(METRICS[name].family == "complaints" for rule in rules for name in rule.metrics)


class WindowView:
    """What rules evaluate: sums, distinct counts, medians and complaints of one window, and the metrics over them."""

    running_sums: RunningSums | TenantSums
    distinct: Mapping[KeySet, DistinctCounts | PaneDistinctCounts | EarlyDistinctCounts]
    talk: RunningMedians | EarlyMedians | None
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
        denominator = None if metric.denominator is None else self.denominator(metric, rule, tenants)
        return self.numerator(metric, rule, tenants), denominator

    def numerator(self, metric: Metric, rule: Rule, tenants: int) -> Counts:
        """The numerator of a metric for each tenant, ``[tenants]``."""
        if metric.family == "complaints":
            return self.complaints.count(metric.numerator, tenants)
        if metric.family == "talk":
            assert self.talk is not None
            return self.talk.medians(tenants)
        numerator = self._count(metric.numerator, rule, tenants)
        if metric.numerator == "distinct_callees" and metric.denominator is not None:
            # An estimate may exceed the whole.
            numerator = np.minimum(numerator, self.denominator(metric, rule, tenants))
        return numerator

    def denominator(self, metric: Metric, rule: Rule, tenants: int) -> Counts:
        """The denominator of a metric, which must have one, for each tenant, ``[tenants]``."""
        assert metric.denominator is not None
        return self._count(metric.denominator, rule, tenants)

    def _count(self, field: str, rule: Rule, tenants: int) -> Counts:
        """A numerator or denominator that is a sum or a distinct count."""
        if field not in DISTINCT_COUNTS:
            return self.running_sums.field(self.layout.field(field, rule.params), tenants)
        keys, name = count_of(field, rule.params)
        counts = self.distinct[keys].read(name, tenants)
        if field == "callers":  # an estimate may exceed the whole
            counts = np.minimum(counts, self.running_sums.field(BIT["attempts"], tenants))
        return counts


class SlidingWindow(WindowView):
    """The state of one window length, for rules that use it.

    ``counting_complaints``: whether other rules of this length count complaints. Early evaluation goes as far ahead for
    all rules of a length. ``median_conditions`` are the conditions of the rules on medians, each once.
    """

    running_sums: RunningSums
    complaints: ComplaintWindow
    distinct: dict[KeySet, DistinctCounts | PaneDistinctCounts]
    talk: RunningMedians | None

    def __init__(
        self,
        window_ms: int,
        pane_ms: int,
        bit: int,
        rules: Sequence[Rule],
        layout: FieldLayout,
        *,
        counting_complaints: bool = False,
    ) -> None:
        self.window_ms = window_ms
        self.fine = window_ms <= FINE_MS
        self.steps = {rule.step_ms for rule in rules}
        self.step_ms = gcd(*self.steps) if self.fine else HOUR_MS
        self.coming: Sequence[Pane] = ()  # closed panes that will enter together (`monitor.core.windows.pane_merger`)
        self.left_ms = 0  # everything before this has left
        self.entered_ms = 0  # everything before this has entered
        self.layout = layout
        asked = [(METRICS[name], rule.params) for rule in rules for name in rule.metrics]
        fields = set()
        for metric, params in asked:
            apart = metric.family in ("talk", "complaints")
            summed = {metric.denominator} if apart else {metric.numerator, metric.denominator}
            fields |= {layout.field(name, params) for name in summed if name and name not in DISTINCT_COUNTS}
        self.counts = counts_of(rules)
        kind = PaneDistinctCounts if window_ms == pane_ms else DistinctCounts
        self.distinct = {keys: kind(window_ms, names) for keys, names in self.counts.items()}
        if self.distinct:
            fields.add(BIT["attempts"])  # an upper bound for the number of keys
        of_medians = (one for rule in rules for one in rule.conditions if METRICS[one.metric].family == "talk")
        self.median_conditions = [*dict.fromkeys(of_medians)]
        self.talk = None
        if self.median_conditions:
            self.talk = RunningMedians(window_ms)
            fields.add(layout.field("talk_ms", rules[0].params))  # an upper bound for the median (`BreachBounds`)
        self.running_sums = RunningSums(window_ms, sorted(fields))
        counting = counting_complaints or count_complaints(rules)
        self.complaints = ComplaintWindow(
            window_ms, bit, counting, any(metric.name == "complainants" for metric, _ in asked)
        )

    def enter(self, pane: Pane, tenants: int) -> None:
        """Add the merged pane of a step, and remove what leaves a window that ends with that step.

        ``tenants`` is the number of tenants in the shard. After a restart the pane may already have left; then it is
        ignored.
        """
        self.entered_ms = pane.start_ms + self.step_ms
        if pane.start_ms < self.left_ms:
            return
        before_ms = pane.start_ms + self.step_ms - self.window_ms
        if before_ms > self.left_ms:
            self._leave(before_ms)
        self.running_sums.enter(pane.start_ms, pane.tenant, pane.sums, tenants)
        for keys, distinct in self.distinct.items():
            distinct.enter(pane.start_ms, pane.keys(keys), tenants, before_ms)
        if self.talk is not None:
            self.talk.enter(pane.start_ms, pane.talk, tenants)

    def leave(self, before_ms: int) -> None:
        """Remove everything before ``before_ms``, the window start."""
        if before_ms <= self.left_ms:
            return
        self._leave(before_ms)
        for distinct in self.distinct.values():
            distinct.leave(before_ms)

    def _leave(self, before_ms: int) -> None:
        self.left_ms = before_ms
        self.running_sums.leave(before_ms)
        self.complaints.leave(before_ms)
        if self.talk is not None:
            self.talk.leave(before_ms)

    def watch(self, touched: DirtyTenants) -> None:
        """Mark the tenants that change from now on in ``touched``."""
        self.running_sums.watched.append(touched)
        self.complaints.watched.append(touched)
        for distinct in self.distinct.values():
            if isinstance(distinct, DistinctCounts):
                distinct.watched.append(touched)

    @property
    def live(self) -> bool:
        """Whether the window holds any record."""
        return self.running_sums.records > 0 or len(self.complaints) > 0

    @property
    def version(self) -> tuple[int, int]:
        """A value that changes whenever the content of the window changes."""
        return self.running_sums.version, self.complaints.version
