"""Screens: who breaks which rule of a span at a window's end, for all its rules and all tenants at once.

All tenants are asked for what a rule measures; those who are beyond its threshold, as pairs of a rule and a tenant, for
its conditions and the bound of its confidence. Only how often one number called would be dear, and is left open: so all
who are in breach pass, and hardly anybody else.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.metrics import METRICS
from monitor.policy.model import Rule
from monitor.shard.breach import Floats, Rows
from monitor.shard.docket import Docket
from monitor.shard.span import Span
from monitor.shard.wilson import bound, quantile

_DEAR = "caller_peak"
_UPWARDS = ("above", "at_least")
_ONE = "one"


class _Line(NamedTuple):
    """A metric, by the places of its counts, and what is asked of it: to be greater than the limit, times ``sign``."""

    numerator: int
    denominator: int
    scale: int
    sign: float
    limit: float


@dataclass(frozen=True, slots=True)
class Seen:
    """Who may be in breach of each rule, ascending, by its place; and the rules of which an alert ends."""

    breach: dict[int, Rows]
    ending: set[int]


class Screen:
    """The dockets of one span, with what their rules ask of its sums, parties and complaints."""

    def __init__(self, span: Span, dockets: Sequence[Docket]) -> None:
        self._span, self._dockets = span, dockets
        self._places: dict[Hashable, int] = {field: place for place, field in enumerate(span.level.fields)}
        self._others: list[tuple[str, Rule, bool]] = []  # a metric, its rule, whether its denominator is the count
        self._places[_ONE] = len(self._places)
        rules = [docket.rule for docket in dockets]
        asked = [[(r.metric, r.direction, r.threshold), *((c.metric, c.op, c.value) for c in r.also)] for r in rules]
        most = max(map(len, asked))
        lines = [[self._line(rule, *one) for one in some] for rule, some in zip(rules, asked, strict=True)]
        for some in lines:
            some += some[:1] * (most - len(some))
        self._numerator, self._denominator, self._scale, self._sign, self._limit = (
            np.array([[line[k] for line in some] for some in lines]) for k in range(len(_Line._fields))
        )
        counted = self._denominator[:, 0] == self._places[_ONE]
        self._least = np.where(counted, 1, [max(rule.min_denominator, 1) for rule in rules])
        self._gate = np.where(counted, self._numerator[:, 0], self._denominator[:, 0])
        self._gate_sign = np.where(counted, self._sign[:, 0], 1.0)
        self._gate_limit = np.where(counted, self._limit[:, 0], self._least - 0.5)
        recover = [np.inf if rule.metric == _DEAR else rule.recover for rule in rules]
        self._recover = np.where(np.isinf(recover), np.inf, self._sign[:, 0] * recover)
        self._sure = np.array([rule.confidence is not None for rule in rules])
        self._quantile = np.array([quantile(rule.confidence or 0.5) for rule in rules])

    def look(self, due: Sequence[int], tenants: int) -> Seen:
        """What is to be seen of the rules at these places, ascending, and so many tenants."""
        present = np.flatnonzero(self._span.present(tenants))
        counts = self._counts(tenants, present)
        with np.errstate(divide="ignore", invalid="ignore"):
            rule, who = self._enough(counts, np.array(due))
            if len(rule):
                kept = self._holds(counts, rule, who, self._limit[rule, 0])
                rule, who = rule[kept], who[kept]
            if len(rule):
                kept = self._conditions(counts, rule, who)
                rule, who = rule[kept], who[kept]
            return Seen(_by_rule(rule, present[who]), self._ending(counts, due, present))

    # Counts are ``[count, k]``, of those who are present; pairs are a rule's place and one of these k.

    def _enough(self, counts: Floats, due: Rows) -> tuple[Rows, Rows]:
        """Of whom there is enough to be in breach of which rule: the denominator, or where there is none the count."""
        enough = self._gate_sign[due, None] * counts[self._gate[due]] > self._gate_limit[due, None]
        place, who = np.nonzero(enough)
        return due[place], who

    def _holds(self, counts: Floats, rule: Rows, who: Rows, limit: Floats) -> NDArray[np.bool_]:
        """Of which of these pairs the rule's own value is beyond ``limit``, with enough under it."""
        denominator = counts[self._denominator[rule, 0], who]
        value = counts[self._numerator[rule, 0], who] / (self._scale[rule, 0] * denominator)
        holds: NDArray[np.bool_] = (self._sign[rule, 0] * value > limit) & (denominator >= self._least[rule])
        return holds

    def _conditions(self, counts: Floats, rule: Rows, who: Rows) -> NDArray[np.bool_]:
        """Which of these pairs meet all conditions of their rules."""
        numerator = counts[self._numerator[rule], who[:, None]]
        denominator = counts[self._denominator[rule], who[:, None]]
        value = numerator / (self._scale[rule] * denominator)
        sign, limit = self._sign[rule], self._limit[rule]
        kept: NDArray[np.bool_] = ((sign * value > limit) & (denominator > 0)).all(axis=1)
        surely = sign[:, 0] * bound(numerator[:, 0], denominator[:, 0], self._quantile[rule], sign[:, 0])
        kept &= ~self._sure[rule] | (surely > limit[:, 0])
        return kept

    def _ending(self, counts: Floats, due: Sequence[int], present: Rows) -> set[int]:
        """The rules of which the value of an alerted tenant is not beyond ``recover`` any more, or not there."""
        firing = [(place, tenant) for place in due for tenant in self._dockets[place].firing]
        if not firing:
            return set()
        rule, tenant = np.array(firing).T
        who = np.searchsorted(present, tenant)
        here = np.append(present, -1)[who] == tenant
        ending = set(rule[~here].tolist())
        rule, who = rule[here], who[here]
        return ending.union(rule[~self._holds(counts, rule, who, self._recover[rule])].tolist())

    def _counts(self, tenants: int, present: Rows) -> Floats:
        span = self._span
        counts = np.empty((len(self._places), len(present)))
        sums = span.level.rows(tenants)
        counts[: len(sums)] = sums[:, present]
        counts[self._places[_ONE]] = 1
        for place, (name, rule, below) in enumerate(self._others, len(sums) + 1):
            count = span.measure(name, rule, tenants)[below]
            assert count is not None
            counts[place] = count[present]
        return counts

    def _line(self, rule: Rule, name: str, op: str, limit: float) -> _Line:
        metric, layout, sign = METRICS[name], self._span.layout, 1.0 if op in _UPWARDS else -1.0
        if name == _DEAR:
            return _Line(self._places[_ONE], self._places[_ONE], 1, 1.0, 0.0)
        numerator: Hashable = metric.numerator, rule.params.callee_limit
        denominator: Hashable = _ONE
        if metric.family == "calls":
            numerator = layout.field(metric.numerator, rule.params)
        elif numerator not in self._places:
            self._places[numerator] = len(self._places)
            self._others.append((name, rule, False))
        if metric.denominator == "numeric_callees":
            denominator = metric.denominator
            if denominator not in self._places:
                self._places[denominator] = len(self._places)
                self._others.append((name, rule, True))
        elif metric.denominator is not None:
            denominator = layout.field(metric.denominator, rule.params)
        limit *= sign
        if op in ("at_least", "at_most"):
            limit = float(np.nextafter(limit, -np.inf))
        return _Line(self._places[numerator], self._places[denominator], metric.scale, sign, limit)


def _by_rule(rule: Rows, tenant: Rows) -> dict[int, Rows]:
    if not len(rule):
        return {}
    starts = np.flatnonzero(np.append(True, rule[1:] != rule[:-1])).tolist()
    edges = pairwise([*starts, len(rule)])
    return {place: tenant[start:stop] for place, (start, stop) in zip(rule[starts].tolist(), edges, strict=True)}
