"""Early windows: what a window will hold at a future end, from everything read so far."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.fields import BIT
from monitor.core.rules.conditions import OPS, Floats, Rows, values
from monitor.core.tenants.complaints import ComplaintForecast
from monitor.core.windows.distinct.early_distinct_counts import PEAK, EarlyDistinctCounts, Name
from monitor.core.windows.distinct.key_counts import KeyCounts
from monitor.core.windows.open_panes import OpenPanes
from monitor.core.windows.pane import Pane
from monitor.core.windows.tenant_sums import TenantSums
from monitor.core.windows.window import Counts, SlidingWindow, WindowView, metrics_of
from monitor.policy.metrics import METRICS
from monitor.policy.model import Rule

_ATTEMPTS = BIT["attempts"]
_NAMES = {"distinct_callees": "distinct", "numeric_callees": "numbers", "sequential_callees": "sequential"}


class EarlyWindow(WindowView):
    """A window that ends at ``end_ms``: the sealed calls that will not have left by then, and the open calls.

    It is built once. `enter` then keeps its calls up to date, because sealing moves calls but does not change them.
    Parties are correct only for tenants passed to `count`. Memory: 8 bytes per tenant and field.
    """

    running_sums: TenantSums
    complaints: ComplaintForecast
    callees: EarlyDistinctCounts | None
    callers: EarlyDistinctCounts | None

    def __init__(self, window: SlidingWindow, end_ms: int, opened: OpenPanes, tenants: int) -> None:
        self.end_ms = end_ms
        self.start_ms = end_ms - window.window_ms
        self.layout = window.layout
        self.running_sums = window.running_sums.ahead(self.start_ms, tenants)
        self.complaints = ComplaintForecast(window.complaints, end_ms, tenants)
        self.callees = self.callers = None
        if window.callees is not None or window.callers is not None:
            kept = self.running_sums.field(_ATTEMPTS, tenants)
            left = window.running_sums.field(_ATTEMPTS, tenants) - kept
            if window.callees is not None:
                names: tuple[Name, ...] = ("distinct", "numbers", *["sequential"] * window.sequences, *window.limits)
                callees = self._came("callees", window, opened)
                self.callees = EarlyDistinctCounts(window.callees, names, self.start_ms, kept, left, callees)
            if window.callers is not None:
                callers = self._came("callers", window, opened)
                self.callers = EarlyDistinctCounts(window.callers, (PEAK,), self.start_ms, kept, left, callers)
        for piece in self._yet_to_enter(window, opened):
            self.running_sums.add(piece.tenant, self.running_sums.pick(piece.sums))
        self._changed: list[NDArray[np.int32]] = []
        self.evaluated_rules: set[str] = set()  # the rules that were evaluated for all tenants

    def _yet_to_enter(self, window: SlidingWindow, opened: OpenPanes) -> Iterator[Pane]:
        """What is not in ``window`` yet: sealed panes that wait to enter, and open panes."""
        yield from (pane for pane in window.coming if pane.start_ms >= self.start_ms)
        yield from opened.between(self.start_ms, self.end_ms)

    def _came(
        self, which: Literal["callees", "callers"], window: SlidingWindow, opened: OpenPanes
    ) -> Callable[[NDArray[np.bool_]], KeyCounts]:
        """A function from marked tenants to their distinct parties in the panes that are not in ``window``."""

        def parties(who: NDArray[np.bool_]) -> KeyCounts:
            found = [getattr(piece, which).of_tenants(who) for piece in self._yet_to_enter(window, opened)]
            return KeyCounts.joined(found).distinct()

        return parties

    def enter(self, piece: Pane, picked: Counts) -> None:
        """Add open calls of known tenants. ``picked`` holds the sums of the piece for the fields of this window."""
        if self.start_ms <= piece.start_ms < self.end_ms:
            self.running_sums.add(piece.tenant, picked)
            self._changed.append(piece.tenant)

    def reach(self, tenants: int) -> None:
        """Grow to ``tenants`` tenants."""
        self.running_sums.reach(tenants)
        self.complaints.reach(tenants)
        for parties in (self.callees, self.callers):
            if parties is not None:
                parties.reach(tenants)

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

    # Parties ----------------------------------------------------------------------------------------------------

    def candidates(self, rule: Rule, who: Rows, tenants: int) -> Rows:
        """Which of these tenants may be in breach, by the bounds on their party counts."""
        conditions = [(condition.metric, condition.op, condition.value) for condition in rule.also]
        conditions.append((rule.metric, rule.direction, rule.threshold))
        for name, op, limit in conditions:
            if METRICS[name].family == "parties" and len(who):
                lowest, highest = self._between(name, rule, who, tenants)
                who = who[OPS[op](highest if op in ("above", "at_least") else lowest, limit)]
        return who

    def count(self, asked: Sequence[tuple[Rule, Rows]], tenants: int) -> None:
        """Count the parties of these tenants that their rules need, so that `measure` is correct for them."""
        callees: set[int] = set()
        callers: set[int] = set()
        for rule, who in asked:
            names = {name for name in metrics_of(rule) if METRICS[name].family == "parties"}
            if "caller_peak" in names:
                callers.update(who.tolist())
            if names - {"caller_peak"}:
                callees.update(who.tolist())
        for parties, some in ((self.callees, callees), (self.callers, callers)):
            if parties is not None and some:
                who = np.array(sorted(some))
                parties.count(who, self.running_sums.field(_ATTEMPTS, tenants)[who])

    def _between(self, name: str, rule: Rule, who: Rows, tenants: int) -> tuple[Floats, Floats]:
        """The lower and upper bounds of a party metric, each ``[k]``, NaN if it has no value."""
        metric = METRICS[name]
        attempts = self.running_sums.field(_ATTEMPTS, tenants)[who]
        if name == "caller_peak":
            assert self.callers is not None
            least, most = self.callers.between(PEAK, who, attempts)
            return least.astype(np.float64), most.astype(np.float64)
        assert self.callees is not None
        if name == "callee_over_limit":
            least, most = self.callees.between(rule.params.callee_limit, who, attempts)
            return least.astype(np.float64), most.astype(np.float64)
        least, most = self.callees.between(_NAMES[metric.numerator], who, attempts)
        fewest, largest = attempts, attempts
        if metric.denominator == "numeric_callees":
            fewest, largest = self.callees.between("numbers", who, attempts)
        lowest = values(metric, least, largest)
        highest = np.minimum(most / np.maximum(fewest, 1), 1.0)
        return lowest, np.where(largest > 0, highest, np.nan)
