"""Outlooks: what one window length will hold at an end to come, of all that has been read by now."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.metrics import METRICS
from monitor.policy.model import Rule
from monitor.shard.breach import OPS, Floats, Rows, values
from monitor.shard.complaints import Foreseen
from monitor.shard.fields import BIT
from monitor.shard.opened import OpenPanes, of_tenants
from monitor.shard.pane import Pane
from monitor.shard.parties import KeyCounts
from monitor.shard.span import Counts, Sight, Span, metrics_of
from monitor.shard.tally import PaneTally, Tally

_ATTEMPTS = BIT["attempts"]


class Outlook(Sight):
    """The window of a span that ends at ``end_ms``: what is sealed and will not have left, and the open calls.

    It is made once and then kept up to date by `enter` alone: sealing moves calls, but changes none. Parties are
    counted only of tenants for whom it may matter (`candidates`), since everybody's keys once more would be too much.
    Memory: 8 bytes a tenant and field, and 34 to 136 a key of those tenants.
    """

    complaints: Foreseen

    def __init__(self, span: Span, end_ms: int, hour: Sequence[Pane], opened: OpenPanes, tenants: int) -> None:
        self.span = span
        self.end_ms = end_ms
        self.start_ms = end_ms - span.window_ms
        self.layout = span.layout
        self.level = span.level.ahead(self.start_ms, tenants)
        self.complaints = Foreseen(span.complaints, end_ms, tenants)
        self._opened = opened
        self._bounds = None if span.callees is None else _Bounds(span, self.level.field(_ATTEMPTS, tenants), tenants)
        if not span.fine:
            for pane in hour:
                self.level.add(pane.tenant, pane.sums, tenants)
        for sums in opened.sums(self.start_ms, end_ms):
            self.level.merge(sums)
        self.callees = None if span.callees is None else Tally(span.window_ms, span.limits, span.sequences)
        self.callers = None if span.callers is None else Tally(span.window_ms)
        self._counted = np.zeros(tenants, np.bool_)
        self._news: list[NDArray[np.int32]] = []
        self.looked: set[str] = set()  # the rules that have looked at everybody

    def enter(self, piece: Pane, tenants: int) -> None:
        """Open calls have come."""
        if not self.start_ms <= piece.start_ms < self.end_ms:
            return
        self.level.add(piece.tenant, piece.sums, tenants)
        self._news.append(piece.tenant)
        for tally, keys in ((self.callees, piece.callees), (self.callers, piece.callers)):
            if tally is not None and len(keys):
                mine = of_tenants(keys, self._counted)
                if len(mine):
                    tally.enter(piece.start_ms, mine, tenants)

    def touch(self, tenant: int) -> None:
        """Something else of the tenant has changed."""
        self._news.append(np.array([tenant], np.int32))

    def news(self) -> Rows:
        """The tenants of whom something has changed since `looked_at`, ascending."""
        if len(self._news) > 1:
            self._news = [np.unique(np.concatenate(self._news))]
        return self._news[0].astype(np.intp) if self._news else np.empty(0, np.intp)

    def looked_at(self) -> None:
        """What has changed was looked at."""
        self._news = []

    # Parties ----------------------------------------------------------------------------------------------------

    def candidates(self, rule: Rule, who: Rows, tenants: int) -> Rows:
        """Which of these tenants may be in breach; their parties are counted from now on, should the rule ask."""
        if not asks_for_parties(rule):
            return who
        if METRICS[rule.metric].family == "parties" and METRICS[rule.metric].denominator is not None:
            who = who[
                self.level.field(_ATTEMPTS, tenants)[who] >= rule.min_denominator
            ]  # no more parties than attempts
        conditions = [(condition.metric, condition.op, condition.value) for condition in rule.also]
        conditions.append((rule.metric, rule.direction, rule.threshold))
        conditions.sort(key=lambda condition: METRICS[condition[0]].family == "parties")  # the exact ones first
        for name, op, limit in conditions:
            lowest, highest = self._between(name, rule, who, tenants)
            who = who[OPS[op](highest if op in ("above", "at_least") else lowest, limit)]
            if not len(who):
                return who
        self.count(rule, who, tenants)
        return who

    def count(self, rule: Rule, who: Rows, tenants: int) -> None:
        """Count the parties of these tenants from now on, should the rule ask for them."""
        if not asks_for_parties(rule):
            return
        if tenants > len(self._counted):
            self._counted = np.pad(self._counted, (0, tenants - len(self._counted)))
        new = np.zeros(tenants, np.bool_)
        new[who] = ~self._counted[who]
        if not new.any():
            return
        self._counted |= new
        for tally, sealed, opened in (
            (self.callees, self.span.callees, self._opened.callees),
            (self.callers, self.span.callers, self._opened.callers),
        ):
            if tally is not None and sealed is not None:
                parts = [of_tenants(keys, new) for keys in sealed.since(self.start_ms)]
                parts += opened(self.start_ms, self.end_ms, new)
                tally.enter(self.start_ms, KeyCounts.joined(parts).distinct(), tenants)

    def _between(self, name: str, rule: Rule, who: Rows, tenants: int) -> tuple[Floats, Floats]:
        """Between what a metric's values lie ``[k]``: NaN where there is none; equal where it is known."""
        metric = METRICS[name]
        if metric.family != "parties":
            numerator, denominator = self.measure(name, rule, tenants)
            value = values(metric, numerator[who], None if denominator is None else denominator[who])
            return value, value
        attempts = self.level.field(_ATTEMPTS, tenants)[who]
        if self._bounds is None:
            return np.zeros(len(who)), attempts.astype(np.float64)  # callers alone are counted
        least, most = self._bounds.of(metric.numerator, rule.params.callee_limit, who, attempts)
        if metric.denominator is None:
            return least.astype(np.float64), most.astype(np.float64)
        fewest, largest = attempts, attempts
        if metric.denominator == "numeric_callees":
            fewest, largest = self._bounds.of("numeric_callees", 0, who, attempts)
        highest = np.minimum(most / np.maximum(fewest, 1), 1.0)
        return np.where(largest > 0, least / np.maximum(largest, 1), np.nan), np.where(largest > 0, highest, np.nan)


class _Bounds:
    """Between what the counts of callees lie, from what was sealed at first and how many attempts came and went since.

    An attempt that comes or goes changes the count of callees by one at most, that of callees which follow another by
    two. Tenants whose keys are sampled are not bounded but by their attempts.
    """

    def __init__(self, span: Span, kept: Counts, tenants: int) -> None:
        callees = span.callees
        assert callees is not None
        self._kept = kept.copy()
        self._left = span.level.field(_ATTEMPTS, tenants) - self._kept
        self._sampled = list(callees.levels)
        self._counts = {"distinct_callees": callees.distinct(tenants), "numeric_callees": callees.numbers(tenants)}
        if isinstance(callees, PaneTally) or span.sequences:
            self._counts["sequential_callees"] = callees.sequential(tenants)
        self._over = {limit: callees.over(limit, tenants) for limit in span.limits}

    def of(self, name: str, limit: int, who: Rows, attempts: Counts) -> tuple[Counts, Counts]:
        """The least and the most, given the tenants' attempts by now."""
        if name == "caller_peak":
            return np.zeros_like(attempts), attempts
        counts = self._over[limit] if name == "callees_over_limit" else self._counts[name]
        by = 2 if name == "sequential_callees" else 1
        kept, left, count = (_at(column, who) for column in (self._kept, self._left, counts))
        least, most = np.maximum(count - by * left, 0), np.minimum(count + by * (attempts - kept), attempts)
        if name == "callees_over_limit":
            most = np.minimum(most, attempts // (limit + 1))
        if self._sampled:
            sampled = np.isin(who, self._sampled)
            least, most = np.where(sampled, 0, least), np.where(sampled, attempts, most)
        return least, most


def asks_for_parties(rule: Rule) -> bool:
    """Whether the rule or one of its conditions counts callees or callers."""
    return any(METRICS[name].family == "parties" for name in metrics_of(rule))


def _at(column: Counts, who: Rows) -> Counts:
    """The column at these places, 0 beyond its end."""
    if not len(who) or int(who[-1]) < len(column):
        return column[who]
    return np.where(who < len(column), column[np.minimum(who, len(column) - 1)], 0)
