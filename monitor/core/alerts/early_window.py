"""Early windows: what a window will hold at a future end, from everything read so far."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.core.alerts.early_firing import calls_to_recover
from monitor.core.alerts.median_limits import MedianLimits
from monitor.core.alerts.recent_calls import RecentCalls
from monitor.core.calls.fields import BIT
from monitor.core.calls.new_calls import NewCalls
from monitor.core.rules.conditions import OPS, UPWARDS, Floats, Rows, View, values
from monitor.core.talk.early_medians import EarlyMedians
from monitor.core.talk.talk_counts import TalkCounts
from monitor.core.tenants.complaints import ComplaintForecast
from monitor.core.windows.distinct.count_names import count_of, counts_of
from monitor.core.windows.distinct.early_distinct_counts import EarlyDistinctCounts
from monitor.core.windows.distinct.key_counts import KeyCounts
from monitor.core.windows.distinct.key_uses import KeyUses
from monitor.core.windows.open_panes import OpenPanes
from monitor.core.windows.pane import Pane
from monitor.core.windows.tenant_columns import TenantColumns, TenantSums
from monitor.core.windows.window import Counts, SlidingWindow, WindowView
from monitor.policy.metrics import DISTINCT_COUNTS, METRICS, KeySet
from monitor.policy.model import Rule

_ATTEMPTS, _ANSWERED = BIT["attempts"], BIT["answered"]
# By their usual sizes: a recount costs by the key, and after those of few keys the others are often not needed.
_FEWEST_FIRST: Final[tuple[KeySet, ...]] = ("callers", "consents", "reached", "blocks", "callees")


@cache
def _counted_first(metrics: tuple[str, ...]) -> list[KeySet]:
    """The sets of keys that these metrics need, without the one with the most keys."""
    fields = [field for name in metrics for field in (METRICS[name].numerator, METRICS[name].denominator)]
    sets = {DISTINCT_COUNTS[field][0] for field in fields if field in DISTINCT_COUNTS}
    return sorted(sets, key=_FEWEST_FIRST.index)[:-1]


class EarlyWindow(WindowView):
    """A window that ends at ``end_ms``: the closed calls that will not have left by then, and the open calls.

    It is built once, when all open calls are summed up. `add` then keeps the sums up to date, because closing moves
    calls but does not change them. Its counts are in columns of ``table``. Distinct counts and medians are correct only
    for tenants passed to `count`.
    """

    running_sums: TenantSums
    complaints: ComplaintForecast
    distinct: dict[KeySet, EarlyDistinctCounts]
    talk: EarlyMedians | None

    def __init__(
        self,
        window: SlidingWindow,
        end_ms: int,
        opened: OpenPanes,
        recent: RecentCalls,
        table: TenantColumns,
        uses: KeyUses,
        tenants: int,
    ) -> None:
        self.window = window
        self.end_ms = end_ms
        self.start_ms = end_ms - window.window_ms
        self.layout = window.layout
        self.first = table.reserve(self.width(window))
        fields = window.running_sums.fields
        self.running_sums = TenantSums(table, self.first, fields)
        self.running_sums.set(window.running_sums.ahead(self.start_ms, tenants))
        self.complaints = ComplaintForecast(window.complaints, end_ms, tenants)
        self.distinct = {}
        first = self.first + len(fields)
        if window.distinct:
            kept = self.running_sums.field(_ATTEMPTS, tenants).copy()
            left = window.running_sums.field(_ATTEMPTS, tenants) - kept
            for keys, distinct in window.distinct.items():
                keys_came = self._came(keys, window, opened, recent)
                self.distinct[keys] = EarlyDistinctCounts(keys, distinct, uses, self.start_ms, keys_came, table, first)
                self.distinct[keys].begin(kept, left)
                first += EarlyDistinctCounts.width(distinct)
        self.median_limits = MedianLimits(window.median_conditions, table, first)
        self.talk = None
        if window.talk is not None:
            came = self._talk_came(window, opened, recent)
            self.talk = EarlyMedians(window.talk, self.start_ms, came, self.median_limits.edges, tenants)
        for piece in (*self._waiting(window), *opened.between(self.start_ms, self.end_ms)):
            self.running_sums.add(piece.tenant, piece.sums)
        for early_counts in self.distinct.values():
            early_counts.began(self.running_sums.field(_ATTEMPTS, tenants))
        self.evaluated_rules: set[str] = set()  # the rules that were evaluated for all tenants

    @staticmethod
    def width(window: SlidingWindow) -> int:
        """The number of columns of an early window of that length."""
        counts = sum(map(EarlyDistinctCounts.width, window.distinct.values()))
        return len(window.running_sums.fields) + counts + len(window.median_conditions)

    def _waiting(self, window: SlidingWindow) -> Iterator[Pane]:
        """Closed panes that wait to enter ``window``."""
        return (pane for pane in window.coming if pane.start_ms >= self.start_ms)

    def _yet_to_enter(self, window: SlidingWindow, opened: OpenPanes) -> Iterator[Pane]:
        """What is summed up but not in ``window`` yet: closed panes, and open panes."""
        yield from self._waiting(window)
        yield from opened.between(self.start_ms, self.end_ms)

    def _came(
        self, which: KeySet, window: SlidingWindow, opened: OpenPanes, recent: RecentCalls
    ) -> Callable[[NDArray[np.bool_]], Sequence[KeyCounts]]:
        """A function from marked tenants to pieces with their keys in the panes that are not in ``window``."""

        def came(who: NDArray[np.bool_]) -> Sequence[KeyCounts]:
            newest = recent.ask(who).keys(which, self._panes(opened))  # which may sum up calls, so it comes first
            return [*(piece.keys(which) for piece in self._yet_to_enter(window, opened)), *newest]

        return came

    def _talk_came(self, window: SlidingWindow, opened: OpenPanes, recent: RecentCalls) -> Callable[[Rows], TalkCounts]:
        """A function from ascending tenants to their talk times in the panes that are not in ``window``."""

        def came(who: Rows) -> TalkCounts:
            mine = np.zeros(self.running_sums.tenants, np.bool_)
            mine[who] = True
            newest = [talk.of_tenants(who) for talk in recent.ask(mine).talk(self._panes(opened))]
            found = [piece.talk.of_tenants(who) for piece in self._yet_to_enter(window, opened)]
            return TalkCounts.joined(found + newest)

        return came

    def _panes(self, opened: OpenPanes) -> range:
        """The numbers of the panes in this window."""
        return range(self.start_ms // opened.pane_ms, self.end_ms // opened.pane_ms)

    def take(self, calls: NewCalls) -> None:
        """Take new open calls: the distinct counts of some tenants change with each of them."""
        for distinct in self.distinct.values():
            distinct.take(calls, self.end_ms, self.window.entered_ms)

    def reach(self, tenants: int) -> None:
        """Grow to ``tenants`` tenants. The table grows by itself."""
        self.complaints.reach(tenants)
        if self.talk is not None:
            self.talk.reach(tenants)

    def sample(self, opened: OpenPanes) -> set[int]:
        """Record which tenants have sampled keys, and at which level. Returns the tenants that changed."""
        changed: set[int] = set()
        for which, distinct in self.distinct.items():
            levels: dict[int, int] = {}
            for piece in self._yet_to_enter(self.window, opened):
                for tenant, level in piece.keys(which).levels.items():
                    levels[tenant] = max(level, levels.get(tenant, 0))
            changed |= distinct.sample(levels)
        return changed

    # Distinct counts ------------------------------------------------------------------------------------------------

    def candidates(self, rule: Rule, who: Rows, tenants: int) -> Rows:
        """Which of these tenants may be in breach, by the bounds on their distinct counts."""
        for condition in rule.conditions:
            if METRICS[condition.metric].family == "distinct" and len(who):
                lowest, highest = self._between(condition.metric, rule, who, tenants)
                who = who[OPS[condition.op](highest if condition.op in UPWARDS else lowest, condition.value)]
        return who

    def narrow(self, asked: Sequence[tuple[Rule, Rows]], tenants: int) -> list[Rows]:
        """Of the tenants of each rule, those who may still be in breach once the sets of few keys are counted.

        Only rules that need several sets of keys have fewer tenants then: of others, callees need not be counted.
        """
        left = [who for _, who in asked]
        needed = [_counted_first(tuple(rule.metrics)) for rule, _ in asked]
        for keys in _FEWEST_FIRST if any(needed) else ():
            places = [place for place, some in enumerate(needed) if keys in some]
            if places:
                self._count_keys(keys, [left[place] for place in places], tenants)
            for place in places:
                left[place] = self.candidates(asked[place][0], left[place], tenants)
        return left

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
            self._count_keys(keys, some, tenants)
        if self.talk is not None and talk:
            who = np.unique(np.concatenate(talk))
            answered = self.running_sums.field(_ANSWERED, tenants)
            who, below = self.talk.count(who, answered[who])
            self.median_limits.counted(who, answered[who], below)

    def _count_keys(self, keys: KeySet, some: Sequence[Rows], tenants: int) -> None:
        """Count the keys of a set of all these tenants."""
        who = some[0] if len(some) == 1 else np.unique(np.concatenate(some))
        if len(who):
            self.distinct[keys].count(who, self.running_sums.field(_ATTEMPTS, tenants)[who])

    def calls_to_recover(self, rule: Rule, view: View, row: int) -> int:
        """The calls of the tenant in that row before which its value stays beyond ``recover``."""
        tenant, numerator = int(view.tenants[row]), int(view.numerator[row])
        denominator = None if view.denominator is None else int(view.denominator[row])
        spread = max((self.distinct[keys].spread(tenant) for keys in counts_of([rule])), default=1)
        return calls_to_recover(rule, numerator, denominator, spread)

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
