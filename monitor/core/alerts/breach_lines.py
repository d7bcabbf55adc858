"""Breach lines: the conditions of a rule at the end of an early window, as lines between terms.

A condition becomes one line, or several that must all hold. Rules share terms.
"""

from collections.abc import Iterator
from math import floor, inf, nextafter
from typing import Final, NamedTuple

from monitor.core.alerts.early_window import EarlyWindow
from monitor.core.calls.fields import BIT, SUMS
from monitor.core.rules.conditions import UPWARDS
from monitor.core.rules.wilson import quantile
from monitor.core.windows.distinct.count_names import IN_BLOCKS, PEAK, UNFINISHED, Name, count_of
from monitor.core.windows.distinct.early_distinct_counts import most_step
from monitor.policy.metrics import DISTINCT_COUNTS, METRICS, KeySet
from monitor.policy.model import Condition, Rule

ONE: Final = 0
"""The index of a term that is always 1."""
HUGE: Final = 1e100
"""No count and no quotient of counts comes near it."""
NEVER: Final = 1e15
"""The calls that a rule needs which no number of calls makes a tenant break."""
ROUNDING: Final = 1e-9
"""More than the rounding of a ratio: a line may hold where a condition does not, not the reverse."""


class Evaluation(NamedTuple):
    """A rule at the end of an early window. ``place`` is its index in the order of the policy."""

    early_window: EarlyWindow
    rule: Rule
    place: int


class Line(NamedTuple):
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


class DistinctTerm(NamedTuple):
    """A distinct count, by the columns of what `bounds` needs. ``divisor``: the lower bound is at least 1.

    ``unfinished`` is the column of `UNFINISHED` for `IN_BLOCKS`, and not used for others.
    """

    keys: KeySet
    name: Name
    column: int
    first: int
    attempts: int
    unfinished: int
    divisor: bool


class SureBound(NamedTuple):
    """The bound of a rule with a confidence, by the terms of its metric.

    ``constant``: calls do not raise the numerator.
    """

    numerator: int
    denominator: int
    z: float
    sign: float
    threshold: float
    constant: bool


class BreachLines:
    """What the lines compare, by index: the term `ONE`, distinct counts, counts of complaints, and ``sums``: what is in
    one column of the table, which are sums of calls, and the calls that do not meet a condition on a median.
    """

    def __init__(self) -> None:
        self.sums: dict[int, int] = {}
        self.distinct: dict[DistinctTerm, int] = {}
        self.complaints: dict[tuple[EarlyWindow, str], int] = {}

    def of(self, one: Evaluation) -> Iterator[Line]:
        """The conditions of a rule at an end."""
        rule = one.rule
        for place, condition in enumerate(rule.conditions):
            name, op, limit = condition.metric, condition.op, condition.value
            metric = METRICS[name]
            if metric.denominator is not None:
                counted = metric.denominator in DISTINCT_COUNTS
                least = 1 if place else rule.min_denominator
                yield self._count(self._term(one, metric.denominator), 1, "at_least", least, counted)
            if metric.family == "talk":
                yield from self._median(one, condition)
                continue
            if name == "callee_over_limit" and op in UPWARDS:
                keys = floor(min(_strict(op, limit), HUGE)) + 1
                attempts = self._term(one, "attempts")
                yield self._count(attempts, 1, "at_least", keys * (rule.params.callee_limit + 1))
                if keys > 0 and one.early_window.distinct["callees"].keeps(PEAK):
                    peak = self._term(one, "callee_peak")
                    yield self._count(peak, 1, "above", rule.params.callee_limit, True)
            elif metric.family == "distinct" and metric.denominator is None and op in UPWARDS:
                # There are never more keys than attempts.
                yield self._count(self._term(one, "attempts"), 1, op, limit)
            numerator = self._term(one, metric.numerator, metric.family)
            step = self._step(metric.numerator, metric.family, rule)
            distinct = metric.numerator in DISTINCT_COUNTS
            if metric.denominator is None:
                yield self._count(numerator, step, op, limit, distinct)
                continue
            denominator = self._term(one, metric.denominator, divisor=metric.denominator in DISTINCT_COUNTS)
            if op in UPWARDS:
                # A call counts in the numerator of a share only if it does in the denominator.
                linked = metric.unit == "ratio" and metric.denominator not in DISTINCT_COUNTS and step == 1
                yield self._ratio(numerator, denominator, op, limit * metric.scale, linked, step, distinct)
            else:
                step, distinct = self._step(metric.denominator, "", rule), metric.denominator in DISTINCT_COUNTS
                yield self._share_below(numerator, denominator, op, limit * metric.scale, step, distinct)

    def _median(self, one: Evaluation, condition: Condition) -> Iterator[Line]:
        """A condition on a median talk time."""
        answered = self._term(one, "answered")
        if condition.op in UPWARDS:
            # More than half of the calls last at least the median, so the mean is more than half of it.
            limit = condition.value / 2 * METRICS[condition.metric].scale
            yield self._ratio(self._term(one, "talk_ms"), answered, condition.op, limit, False)
        failing = self._column(one.early_window.median_limits.column(condition))
        yield self._share_below(failing, answered, "at_most", 0.5, 1.0, False)

    def _count(self, term: int, step: float, op: str, limit: float, distinct: bool = False) -> Line:
        """A condition on a count."""
        limit = _strict(op, limit)
        if op in UPWARDS:
            return Line(ONE, limit, term, 1.0, step, step if distinct else 0.0, False)
        return Line(term, 1.0, ONE, limit, 0.0, 0.0, False)

    def _ratio(
        self,
        numerator: int,
        denominator: int,
        op: str,
        limit: float,
        linked: bool,
        step: float = inf,
        distinct: bool = False,
    ) -> Line:
        """A condition that a ratio is above a limit."""
        limit = _strict(op, limit)
        counted = step if distinct else 0.0
        return Line(denominator, limit, numerator, 1.0, step - linked * limit, counted, True)

    def _share_below(
        self, numerator: int, denominator: int, op: str, limit: float, step: float, distinct: bool
    ) -> Line:
        """A condition that a ratio is below a limit, whose denominator grows by at most ``step`` per call."""
        limit = _strict(op, limit)
        rate = max(limit, 0.0) * step
        return Line(numerator, 1.0, denominator, limit, rate, rate * distinct, True)

    def _step(self, name: str, family: str, rule: Rule) -> float:
        """The most by which a call raises a numerator or denominator."""
        if family == "complaints":
            return 0.0
        if name in DISTINCT_COUNTS:
            return most_step(count_of(name, rule.params)[1])
        return inf if name in SUMS else 1.0

    def _term(self, one: Evaluation, name: str, family: str = "", divisor: bool = False) -> int:
        """The index of a numerator or denominator."""
        window = one.early_window
        if family == "complaints":
            return self.complaints.setdefault((window, name), self._next)
        sums = window.running_sums
        if name not in DISTINCT_COUNTS:
            return self._column(sums.column(window.layout.field(name, one.rule.params)))
        keys, counted = count_of(name, one.rule.params)
        distinct = window.distinct[keys]
        unfinished = distinct.column(UNFINISHED if counted == IN_BLOCKS else counted)
        attempts = sums.column(BIT["attempts"])
        key = DistinctTerm(keys, counted, distinct.column(counted), distinct.first, attempts, unfinished, divisor)
        return self.distinct.setdefault(key, self._next)

    def _column(self, column: int) -> int:
        """The index of a column of the table."""
        return self.sums.setdefault(column, self._next)

    @property
    def _next(self) -> int:
        """The index of the next term."""
        return 1 + len(self.sums) + len(self.distinct) + len(self.complaints)

    def bound_of(self, one: Evaluation) -> SureBound:
        """The bound of a rule with a confidence."""
        rule, metric = one.rule, METRICS[one.rule.metric]
        assert metric.denominator is not None
        assert rule.confidence is not None
        sign = 1.0 if rule.direction == "above" else -1.0
        return SureBound(
            self._term(one, metric.numerator, metric.family),
            self._term(one, metric.denominator),
            quantile(rule.confidence),
            sign,
            rule.threshold,
            metric.family == "complaints",
        )


def _strict(op: str, limit: float) -> float:
    """The limit for a strict comparison: inclusive ones are widened by one ulp."""
    return nextafter(limit, {"at_least": -inf, "at_most": inf}[op]) if op in ("at_least", "at_most") else limit
