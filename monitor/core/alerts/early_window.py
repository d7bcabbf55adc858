"""Early windows: what a window will hold at a future end, from everything read so far."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.fields import BIT
from monitor.core.rules.conditions import OPS, Floats, Rows, values
from monitor.core.talk.early_medians import EarlyMedians
from monitor.core.talk.talk_counts import TalkCounts
from monitor.core.tenants.complaints import ComplaintForecast
from monitor.core.windows.distinct.count_names import DISTINCT, NUMBERS, count_of, counts_of
from monitor.core.windows.distinct.early_distinct_counts import EarlyDistinctCounts
from monitor.core.windows.distinct.key_counts import KeyCounts
from monitor.core.windows.open_panes import OpenPanes
from monitor.core.windows.pane import Pane
from monitor.core.windows.tenant_sums import TenantSums
from monitor.core.windows.window import Counts, SlidingWindow, WindowView
from monitor.policy.metrics import DISTINCT_COUNTS, METRICS, KeySet
from monitor.policy.model import Rule

_ATTEMPTS, _ANSWERED = BIT["attempts"], BIT["answered"]


class EarlyWindow(WindowView):
    """A window that ends at ``end_ms``: the sealed calls that will not have left by then, and the open calls.

    It is built once. `enter` then keeps its calls up to date, because sealing moves calls but does not change them.
    Distinct counts and medians are correct only for tenants passed to `count`. Memory: 8 bytes per tenant and field.
    """

    running_sums: TenantSums
    complaints: ComplaintForecast
    distinct: dict[KeySet, EarlyDistinctCounts]
    talk: EarlyMedians | None

    def __init__(self, window: SlidingWindow, end_ms: int, opened: OpenPanes, tenants: int) -> None:
        self.end_ms = end_ms
        self.start_ms = end_ms - window.window_ms
        self.layout = window.layout
        self.running_sums = window.running_sums.ahead(self.start_ms, tenants)
        self.complaints = ComplaintForecast(window.complaints, end_ms, tenants)
        self.distinct = {}
        if window.distinct:
            kept = self.running_sums.field(_ATTEMPTS, tenants)
            left = window.running_sums.field(_ATTEMPTS, tenants) - kept
            for keys, distinct in window.distinct.items():
                names = (DISTINCT, NUMBERS, *window.counts[keys])
                came = self._came(keys, window, opened)
                self.distinct[keys] = EarlyDistinctCounts(distinct, names, self.start_ms, kept, left, came)
        self.talk = None
        if window.talk is not None:
            self.talk = EarlyMedians(window.talk, self.start_ms, self._talk_came(window, opened), tenants)
        for piece in self._yet_to_enter(window, opened):
            self.running_sums.add(piece.tenant, self.running_sums.pick(piece.sums))
        self._changed: list[NDArray[np.int32]] = []
        self.evaluated_rules: set[str] = set()  # the rules that were evaluated for all tenants

    def _yet_to_enter(self, window: SlidingWindow, opened: OpenPanes) -> Iterator[Pane]:
        """What is not in ``window`` yet: sealed panes that wait to enter, and open panes."""
        yield from (pane for pane in window.coming if pane.start_ms >= self.start_ms)
        yield from opened.between(self.start_ms, self.end_ms)

    def _came(
        self, which: KeySet, window: SlidingWindow, opened: OpenPanes
    ) -> Callable[[NDArray[np.bool_]], KeyCounts]:
        """A function from marked tenants to their distinct keys in the panes that are not in ``window``."""

        def came(who: NDArray[np.bool_]) -> KeyCounts:
            found = [piece.keys(which).of_tenants(who) for piece in self._yet_to_enter(window, opened)]
            return KeyCounts.joined(found).distinct()

        return came

    def _talk_came(self, window: SlidingWindow, opened: OpenPanes) -> Callable[[Rows], TalkCounts]:
        """A function from ascending tenants to their talk times in the panes that are not in ``window``."""

        def came(who: Rows) -> TalkCounts:
            return TalkCounts.joined([piece.talk.of_tenants(who) for piece in self._yet_to_enter(window, opened)])

        return came

    def enter(self, piece: Pane, picked: Counts) -> None:
        """Add open calls of known tenants. ``picked`` holds the sums of the piece for the fields of this window."""
        if self.start_ms <= piece.start_ms < self.end_ms:
            self.running_sums.add(piece.tenant, picked)
            self._changed.append(piece.tenant)

    def reach(self, tenants: int) -> None:
        """Grow to ``tenants`` tenants."""
        self.running_sums.reach(tenants)
        self.complaints.reach(tenants)
        for distinct in self.distinct.values():
            distinct.reach(tenants)
        if self.talk is not None:
            self.talk.reach(tenants)

    def touch(self, tenant: int) -> None:
        """Mark a tenant as changed."""
        self._changed.append(np.array([tenant], np.int32))

    def changed_tenants(self) -> Rows:
        """The tenants that changed since `clear_changed`, ascending."""
        if len(self._changed) > 1:
            self._changed = [np.unique(np.concatenate(self._changed))]
        return self._changed[0].astype(np.intp) if self._changed else np.empty(0, np.intp)

    def clear_changed(self) -> None:
        """Clear the changed tenants after an evaluation."""
        self._changed = []

    # Distinct counts ------------------------------------------------------------------------------------------------

    def candidates(self, rule: Rule, who: Rows, tenants: int) -> Rows:
        """Which of these tenants may be in breach, by the bounds on their distinct counts."""
        conditions = [(condition.metric, condition.op, condition.value) for condition in rule.also]
        conditions.append((rule.metric, rule.direction, rule.threshold))
        for name, op, limit in conditions:
            if METRICS[name].family == "distinct" and len(who):
                lowest, highest = self._between(name, rule, who, tenants)
                who = who[OPS[op](highest if op in ("above", "at_least") else lowest, limit)]
        return who

    def count(self, asked: Sequence[tuple[Rule, Rows]], tenants: int) -> None:
        """Count the keys and medians of these tenants that their rules need: `measure` is then correct for them."""
        wanted: dict[KeySet, list[Rows]] = {}
        talk: list[Rows] = []
        for rule, who in asked:
            if any(METRICS[name].family == "talk" for name in rule.metrics):
                talk.append(who)
            for keys in counts_of([rule]):
                wanted.setdefault(keys, []).append(who)
        for keys, some in wanted.items():
            who = some[0] if len(some) == 1 else np.unique(np.concatenate(some))
            if len(who):
                self.distinct[keys].count(who, self.running_sums.field(_ATTEMPTS, tenants)[who])
        if self.talk is not None and talk:
            who = np.unique(np.concatenate(talk))
            self.talk.count(who, self.running_sums.field(_ANSWERED, tenants)[who])

    def _between(self, name: str, rule: Rule, who: Rows, tenants: int) -> tuple[Floats, Floats]:
        """The lower and upper bounds of a metric of distinct counts, each ``[k]``, NaN if it has no value."""
        metric = METRICS[name]
        least, most = self._bounds(metric.numerator, rule, who, tenants)
        if metric.denominator is None:
            return least.astype(np.float64), most.astype(np.float64)
        fewest, largest = self._bounds(metric.denominator, rule, who, tenants)
        highest = most / np.maximum(fewest, 1)
        if metric.unit == "ratio":
            highest = np.minimum(highest, 1.0)
        return values(metric, least, largest), np.where(largest > 0, highest, np.nan)

    def _bounds(self, field: str, rule: Rule, who: Rows, tenants: int) -> tuple[Counts, Counts]:
        """The lower and upper bounds of a numerator or denominator of these tenants."""
        if field not in DISTINCT_COUNTS:
            counts = self.running_sums.field(self.layout.field(field, rule.params), tenants)[who]
            return counts, counts
        keys, name = count_of(field, rule.params)
        return self.distinct[keys].between(name, who, self.running_sums.field(_ATTEMPTS, tenants)[who])
