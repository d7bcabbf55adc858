"""Breach bounds: which rules a tenant may break at future ends, and how many calls it needs before it may break others.

Each rule at each end becomes a list of lines, one per condition: its metric, its ``also`` conditions, its minimum
denominator. A tenant breaks the rule only if it meets all of them. Rules share lines, and each is computed once.

A call raises a count of calls by at most one, and a distinct count by its largest step. So a line that does not hold
gives the number of calls before which it cannot hold, and a rule waits for the last of its lines.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import floor, inf, nextafter
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.core.alerts.early_window import EarlyWindow
from monitor.core.calls.fields import BIT, SUMS
from monitor.core.rules.conditions import Floats, Rows
from monitor.core.rules.wilson import bound, quantile
from monitor.core.windows.distinct.count_names import PEAK, Name, count_of
from monitor.core.windows.distinct.early_distinct_counts import (
    ATTEMPTS,
    CHANGED,
    LEFT,
    REPEATS,
    SPREAD,
    bounds,
    is_largest,
    least_attempts,
    most_step,
    spread_ahead,
)
from monitor.core.windows.distinct.repeats import SETS, Repeats
from monitor.core.windows.tenant_columns import Counts, TenantColumns
from monitor.policy.metrics import DISTINCT_COUNTS, METRICS, KeySet
from monitor.policy.model import Rule

NEVER: Final = 1e15
"""The calls that a rule needs which no number of calls makes a tenant break."""
_UPWARDS = ("above", "at_least")
_ONE = 0  # the index of a term that is always 1
_HUGE = 1e100  # no count and no quotient of counts comes near it
_ROUNDING = 1e-9  # wider than the rounding of a ratio: a line may hold where a condition does not, not the reverse
_CALLS_PER_REPEAT = 6  # roughly, of a tenant that calls other people each time
_PROBES = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0])


class Evaluation(NamedTuple):
    """A rule at the end of an early window. ``place`` is its index in the order of the policy."""

    early_window: EarlyWindow
    rule: Rule
    place: int


class CallsNeeded(NamedTuple):
    """What tenants need before they may break rules: ``calls`` ``[evaluation, k]``, 0 if they may now.

    Rules with `NEVER` calls may wait for `Repeats` of the tenant, ``repeats`` ``[k]``.
    """

    calls: Floats
    repeats: Floats


class _Line(NamedTuple):
    """A condition: ``low_factor`` times the lower bound of a term is less than ``high_factor`` times the upper bound of
    another. The difference shrinks by at most ``rate`` per call. ``rounded``: the factors are not exact.

    ``counted`` is the part of the rate that comes from a distinct count: it is larger if keys are sampled.
    """

    low: int
    low_factor: float
    high: int
    high_factor: float
    rate: float
    counted: float
    rounded: bool


class _Distinct(NamedTuple):
    """A distinct count, by the columns of what `bounds` needs. ``divisor``: the lower bound is at least 1."""

    keys: KeySet
    name: Name
    column: int
    first: int
    attempts: int
    divisor: bool


class _Sure(NamedTuple):
    """The bound of a rule with a confidence, by the terms of its metric.

    ``constant``: calls do not raise the numerator.
    """

    numerator: int
    denominator: int
    z: float
    sign: float
    threshold: float
    constant: bool


@dataclass(slots=True)
class _Terms:
    """What lines compare, by index: the term that is 1, sums by column, distinct counts, and counts of complaints."""

    sums: dict[int, int] = field(default_factory=dict)
    distinct: dict[_Distinct, int] = field(default_factory=dict)
    complaints: dict[tuple[EarlyWindow, str], int] = field(default_factory=dict)


class BreachBounds:
    """The lines of some rules at some ends, for the early windows whose counts are in ``table``."""

    def __init__(self, evaluations: Sequence[Evaluation], table: TenantColumns, repeats: Repeats) -> None:
        self.evaluations = evaluations
        self._table = table
        self._repeats = repeats
        self._terms = _Terms()
        lines: dict[_Line, int] = {}
        of_evaluation: list[int] = []
        starts: list[int] = []
        self._sure: dict[int, _Sure] = {}
        least_calls: dict[EarlyWindow, float] = {}
        self._complaint_windows: list[EarlyWindow] = []
        for number, one in enumerate(evaluations):
            starts.append(len(of_evaluation))
            mine = dict.fromkeys(self._lines(one))
            of_evaluation += [lines.setdefault(line, len(lines)) for line in mine]
            if one.rule.confidence is not None:
                self._sure[number] = self._bound_of(one)
            if any(line.high in self._terms.complaints.values() and line.low_factor >= 0 for line in mine):
                if one.early_window not in self._complaint_windows:  # no calls alone break such a rule
                    self._complaint_windows.append(one.early_window)
                continue
            least = max((_least(line) for line in mine if line.low == _ONE and line.rate == 1), default=0.0)
            least_calls[one.early_window] = min(least_calls.get(one.early_window, inf), least)
        self._of_evaluation, self._starts = np.array(of_evaluation, np.intp), np.array(starts, np.intp)
        self._least = np.array(list(least_calls.values()))
        self._calls = np.array([window.running_sums.column(BIT["rows"]) for window in least_calls], np.intp)
        self._finish(list(lines))
        self._by_repeats = self._waiting_for_repeats(list(lines), of_evaluation, starts)
        self._spreads = np.unique(np.array([one.first + SPREAD for one in self._terms.distinct], np.intp))

    def _finish(self, lines: list[_Line]) -> None:
        """Number the terms, and turn the lines into columns. Terms of each kind are consecutive."""
        terms = self._terms
        order: list[int] = [_ONE, *terms.sums.values(), *terms.distinct.values(), *terms.complaints.values()]
        place = np.empty(len(order), np.intp)
        place[order] = np.arange(len(order))
        low, low_factor, high, high_factor, rate, counted, rounded = (
            np.array([line[k] for line in lines]) for k in range(len(_Line._fields))
        )
        # Limits may be any number: larger ones would overflow in products with counts.
        low_factor, high_factor = (np.clip(factor, -_HUGE, _HUGE) for factor in (low_factor, high_factor))
        self._low, self._high = place[low.astype(np.intp)], place[high.astype(np.intp)]
        self._low_factor, self._high_factor = low_factor[:, None], high_factor[:, None]
        self._rate, self._counted = rate[:, None], counted[:, None]
        self._pace = _calls_per_unit(self._rate)
        self._slower = np.where(rounded, 1.0, 0.0)[:, None]  # a call less is certain
        self._rounding = np.where(rounded, _ROUNDING, 0.0)[:, None]
        self._columns = np.array(list(terms.sums), np.intp)
        distinct = list(terms.distinct)
        self._distinct_count = np.array([one.column for one in distinct], np.intp)
        self._distinct_first = np.array([one.first for one in distinct], np.intp)
        self._distinct_attempts = np.array([one.attempts for one in distinct], np.intp)
        self._distinct_step = np.array([[most_step(one.name)] for one in distinct], np.int64)
        self._distinct_each = np.array([[least_attempts(one.name)] for one in distinct], np.int64)
        self._largest = [place for place, one in enumerate(distinct) if is_largest(one.name)]
        self._sets = np.array([SETS.index(distinct[place].keys) for place in self._largest], np.intp)[:, None]
        self._distinct_floor = np.array([[int(one.divisor)] for one in distinct], np.int64)
        self._sure = {
            number: sure._replace(numerator=int(place[sure.numerator]), denominator=int(place[sure.denominator]))
            for number, sure in self._sure.items()
        }

    def _waiting_for_repeats(
        self, lines: Sequence[_Line], of_evaluation: Sequence[int], starts: Sequence[int]
    ) -> list[tuple[int, int, float]]:
        """The rules that wait for a largest count: the evaluation, the place of the count, and what it must exceed."""
        largest = [one for one in self._terms.distinct if is_largest(one.name)]
        place_of = {self._terms.distinct[one]: place for place, one in enumerate(largest)}
        return [
            (number, place_of[lines[row].high], lines[row].low_factor)
            for number, (start, stop) in enumerate(pairwise([*starts, len(of_evaluation)]))
            for row in of_evaluation[start:stop]
            if lines[row].low == _ONE and lines[row].high in place_of
        ]

    # Evaluating -----------------------------------------------------------------------------------------------------

    def calls_at_least(self, who: slice) -> tuple[Floats, NDArray[np.bool_]]:
        """The calls that each tenant needs before it may break a rule, ``[k]``, from the number of its calls alone; and
        for whom that is not known.
        """
        values = self._table.values[who]
        needed = np.full(len(values), NEVER)
        if len(self._calls):
            needed = (self._least - values[:, self._calls]).min(axis=1)
        unknown = needed <= 0
        stop = who.start + len(values)
        for early_window in self._complaint_windows:
            unknown |= early_window.complaints.count("records", stop)[who] > 0
        return np.minimum(needed, NEVER), unknown

    def of(self, who: Rows) -> CallsNeeded:
        """What each tenant needs before it may break each rule."""
        low, high, largest = self._bounds(who)
        below = self._low_factor * low[self._low]
        need = below - self._high_factor * high[self._high]
        holds = need < self._rounding * below
        pace, spread = self._pace, self._spread(who)
        if (spread != 1).any():
            pace = _calls_per_unit(self._rate + self._counted * (spread - 1))
        lines = np.clip(np.floor(need * pace - self._slower) + 1.0, 1.0, NEVER)
        lines[holds] = 0.0
        calls: Floats = np.maximum.reduceat(lines[self._of_evaluation], self._starts, axis=0)
        for number, sure in self._sure.items():
            rows = np.flatnonzero(calls[number] == 0)
            if len(rows):
                calls[number, rows] = _until_sure(sure, low[sure.numerator, rows], low[sure.denominator, rows])
        repeats = np.full(len(who), NEVER)
        for number, term, limit in self._by_repeats:
            wait = np.floor((limit - largest[term]) / spread) + 1.0
            # A rule waits for whatever is likely to take longer.
            waits = (wait >= 1) & (wait * _CALLS_PER_REPEAT > calls[number])
            repeats[waits] = np.minimum(repeats[waits], wait[waits])
            calls[number, waits] = NEVER
        return CallsNeeded(calls, repeats)

    def _bounds(self, who: Rows) -> tuple[Floats, Floats, Counts]:
        """The lower and upper bounds of each term, ``[term, k]``; and of each largest count, as if calls had come."""
        terms, values = self._terms, self._table.of(who)
        low = np.empty((1 + len(terms.sums) + len(terms.distinct) + len(terms.complaints), len(who)))
        low[_ONE] = 1
        at = 1 + len(terms.sums)
        low[1:at] = values[:, self._columns].T
        high, largest = low.copy(), np.empty((0, len(who)), np.int64)
        if terms.distinct:
            first, stop = self._distinct_first, at + len(terms.distinct)
            attempts, left = values[:, self._distinct_attempts].T, values[:, first + LEFT].T
            came, spread = attempts - values[:, first + ATTEMPTS].T, values[:, first + SPREAD].T
            count = values[:, self._distinct_count].T
            step = self._distinct_step
            rise, some = step * came, self._largest
            used = self._repeats.count[self._sets, who] - values[:, first[some] + REPEATS].T
            rise[some], largest = np.minimum(rise[some], 1 + used), count[some] + spread[some] * (1 + used)
            largest[spread[some] == CHANGED] = int(NEVER)
            least, most = bounds(count, rise, step * left, attempts, self._distinct_each, spread)
            low[at:stop], high[at:stop] = np.maximum(least, self._distinct_floor), most
            at = stop
        if terms.complaints:
            tenants = int(who[-1]) + 1
            for early_window, name in terms.complaints:
                low[at] = high[at] = early_window.complaints.count(name, tenants)[who]
                at += 1
        return low, high, largest

    def _spread(self, who: Rows) -> Counts:
        """By how much more a call of each tenant changes its distinct counts, because its keys are sampled: ``[k]``."""
        if not len(self._spreads):
            return np.ones(len(who), np.int64)
        most: Counts = spread_ahead(self._table.values[who[:, None], self._spreads]).max(axis=1)
        return most

    # Lines ----------------------------------------------------------------------------------------------------------

    def _lines(self, one: Evaluation) -> Iterator[_Line]:
        """The conditions of a rule at an end."""
        rule = one.rule
        asked = [(rule.metric, rule.direction, rule.threshold, rule.min_denominator)]
        for name, op, limit, least in [*asked, *((c.metric, c.op, c.value, 1) for c in rule.also)]:
            metric = METRICS[name]
            if metric.denominator is not None:
                counted = metric.denominator in DISTINCT_COUNTS
                yield self._count(self._term(one, metric.denominator, (), False), 1, "at_least", least, counted)
            if metric.family == "talk":
                if op in _UPWARDS:
                    # More than half of the calls last at least the median, so the mean is more than half of it.
                    talk = self._term(one, "talk_ms", (), False)
                    yield self._ratio(talk, self._term(one, "answered", (), False), op, limit / 2 * metric.scale, False)
                continue
            if name == "callee_over_limit" and op in _UPWARDS:
                keys = floor(min(_strict(op, limit), _HUGE)) + 1
                attempts = self._term(one, "attempts", (), False)
                yield self._count(attempts, 1, "at_least", keys * (rule.params.callee_limit + 1))
                if keys > 0 and one.early_window.distinct["callees"].keeps(PEAK):
                    peak = self._term(one, "callee_peak", (), False)
                    yield self._count(peak, 1, "above", rule.params.callee_limit, True)
            elif metric.family == "distinct" and metric.denominator is None and op in _UPWARDS:
                # There are never more keys than attempts.
                yield self._count(self._term(one, "attempts", (), False), 1, op, limit)
            numerator = self._term(one, metric.numerator, (metric.family,), False)
            step = self._step(metric.numerator, metric.family, rule)
            distinct = metric.numerator in DISTINCT_COUNTS
            if metric.denominator is None:
                yield self._count(numerator, step, op, limit, distinct)
                continue
            denominator = self._term(one, metric.denominator, (), metric.denominator in DISTINCT_COUNTS)
            if op in _UPWARDS:
                # A call counts in the numerator of a share only if it does in the denominator.
                linked = metric.unit == "ratio" and metric.denominator not in DISTINCT_COUNTS and step == 1
                yield self._ratio(numerator, denominator, op, limit * metric.scale, linked, step, distinct)
            else:
                step, distinct = self._step(metric.denominator, "", rule), metric.denominator in DISTINCT_COUNTS
                yield self._share_below(numerator, denominator, op, limit * metric.scale, step, distinct)

    def _count(self, term: int, step: float, op: str, limit: float, distinct: bool = False) -> _Line:
        """A condition on a count."""
        limit = _strict(op, limit)
        if op in _UPWARDS:
            return _Line(_ONE, limit, term, 1.0, step, step if distinct else 0.0, False)
        return _Line(term, 1.0, _ONE, limit, 0.0, 0.0, False)

    def _ratio(
        self,
        numerator: int,
        denominator: int,
        op: str,
        limit: float,
        linked: bool,
        step: float = inf,
        distinct: bool = False,
    ) -> _Line:
        """A condition that a ratio is above a limit."""
        limit = _strict(op, limit)
        counted = step if distinct else 0.0
        return _Line(denominator, limit, numerator, 1.0, step - linked * limit, counted, True)

    def _share_below(
        self, numerator: int, denominator: int, op: str, limit: float, step: float, distinct: bool
    ) -> _Line:
        """A condition that a ratio is below a limit, whose denominator grows by at most ``step`` per call."""
        limit = _strict(op, limit)
        rate = max(limit, 0.0) * step
        return _Line(numerator, 1.0, denominator, limit, rate, rate * distinct, True)

    def _step(self, name: str, family: str, rule: Rule) -> float:
        """The most by which a call raises a numerator or denominator."""
        if family == "complaints":
            return 0.0
        if name in DISTINCT_COUNTS:
            return most_step(count_of(name, rule.params)[1])
        return inf if name in SUMS else 1.0

    def _term(self, one: Evaluation, name: str, family: tuple[str, ...], divisor: bool) -> int:
        """The index of a numerator or denominator, before `_finish`."""
        terms, window = self._terms, one.early_window
        count = 1 + len(terms.sums) + len(terms.distinct) + len(terms.complaints)
        if family == ("complaints",):
            return terms.complaints.setdefault((window, name), count)
        sums = window.running_sums
        if name not in DISTINCT_COUNTS:
            return terms.sums.setdefault(sums.column(window.layout.field(name, one.rule.params)), count)
        keys, counted = count_of(name, one.rule.params)
        distinct = window.distinct[keys]
        key = _Distinct(keys, counted, distinct.column(counted), distinct.first, sums.column(BIT["attempts"]), divisor)
        return terms.distinct.setdefault(key, count)

    def _bound_of(self, one: Evaluation) -> _Sure:
        rule, metric = one.rule, METRICS[one.rule.metric]
        assert metric.denominator is not None
        assert rule.confidence is not None
        sign = 1.0 if rule.direction == "above" else -1.0
        return _Sure(
            self._term(one, metric.numerator, (metric.family,), False),
            self._term(one, metric.denominator, (), False),
            quantile(rule.confidence),
            sign,
            rule.threshold,
            metric.family == "complaints",
        )


def _calls_per_unit(rate: Floats) -> Floats:
    """The calls per unit of a difference that shrinks by ``rate`` per call."""
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(rate > 0, np.minimum(1 / rate, NEVER), NEVER)


def _strict(op: str, limit: float) -> float:
    """The limit for a strict comparison: inclusive ones are widened by one ulp."""
    return nextafter(limit, {"at_least": -inf, "at_most": inf}[op]) if op in ("at_least", "at_most") else limit


def _least(line: _Line) -> float:
    """The calls that a condition on a count needs at least. An estimate from a sample may be larger than the count."""
    return min(floor(line.low_factor / (2 if line.counted else 1)) + 1, NEVER)


def _until_sure(sure: _Sure, numerator: Floats, denominator: Floats) -> Floats:
    """The calls that each tenant needs before the bound may be beyond the threshold, 0 if it may be now."""
    limit = sure.sign * sure.threshold - _ROUNDING
    beyond = sure.sign * bound(numerator, denominator, sure.z, sure.sign) > limit
    if sure.constant and sure.sign > 0:  # more calls only make complaints rarer, unless there are more of these
        return np.where(beyond, 0.0, np.where(numerator < denominator, NEVER, 1.0))
    more = _PROBES[:, None]
    raised = numerator + (more if sure.sign > 0 else 0.0)
    then = sure.sign * bound(raised, denominator + more, sure.z, sure.sign) > limit
    waits = np.where(np.logical_or.accumulate(then, axis=0), 1.0, more + 1).max(axis=0)
    found: Floats = np.where(beyond, 0.0, waits)
    return found
