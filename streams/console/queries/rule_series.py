"""What one rule measured of a tenant over time, in columns: 30 days of all rules are 37,000 values."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from operator import attrgetter
from typing import Any, NamedTuple

from msgspec import Struct

from monitor.policy.model import Rule
from schemas.outputs import Measure

_RULE_ID = attrgetter("rule_id")


class StoredMeasure(Struct, frozen=True, gc=False, array_like=True):
    """`schemas.measures.RuleMeasure` as it was checked and stored: read without checks in two thirds of the time."""

    rule_id: str
    numerator: int
    denominator: int | None
    value: int | float
    bound: float | None
    threshold: int | float
    min_denominator: int | None = None


class StoredHour(Struct, frozen=True, gc=False):
    """The fields of `schemas.measures.TenantHour` that are read."""

    hour_ms: int
    rules: tuple[StoredMeasure, ...]


class MeasuredPoint(NamedTuple):
    """The value of one window: its end, the bound if the rule has a confidence, the threshold it was judged by.

    ``least``: the smallest denominator with which the rule could be in breach, where it is known. ``in_breach``: the
    rule decided or alerted on it.
    """

    at_ms: int
    measure: Measure
    least: int | None = None
    in_breach: bool = False

    def is_judged(self, rule: Rule | None) -> bool:
        """Whether the denominator is large enough for the rule to be in breach. ``rule``: that of the policy."""
        return self.in_breach or _is_enough(self.measure.denominator, self.least_by(rule))

    def least_by(self, rule: Rule | None) -> int | None:
        """The smallest denominator, if it is not known that of the rule in the policy."""
        return rule.min_denominator if self.least is None and rule is not None else self.least


class DrawnColumns(NamedTuple):
    """The columns of a chart: window ends and what was measured in them."""

    times_ms: Sequence[int]
    values: list[int | float | None]
    bounds: list[float | None]
    thresholds: list[int | float]


@dataclass(slots=True)
class RuleSeries:
    """What one rule measured, the oldest first, at ``times_ms``.

    ``measured``: what the worker wrote for an hour, whose metric is ``hourly_metric``, or the point of a decision or an
    alert. Points of hours are made only where they are asked for: to make one takes longer than to read it. Series may
    share ``times_ms``, which is replaced, never changed. ``has_points``: whether one is of a decision or an alert.
    """

    rule_id: str
    hourly_metric: str = ""
    times_ms: Sequence[int] = ()
    measured: "Sequence[StoredMeasure | MeasuredPoint]" = ()
    has_points: bool = False

    def point(self, number: int) -> MeasuredPoint:
        """The point of that number."""
        return _point(self.times_ms[number], self.measured[number], self.hourly_metric)

    @property
    def points(self) -> list[MeasuredPoint]:
        """All points."""
        return [self.point(number) for number in range(len(self.times_ms))]

    @property
    def newest(self) -> MeasuredPoint:
        """The newest point; a series has one or more."""
        return self.point(-1)

    @property
    def metric(self) -> str:
        """The metric of the newest point."""
        return self.newest.measure.metric

    def add(self, points: Mapping[int, MeasuredPoint]) -> None:
        """Add points by their times. One replaces the hour of the same time, whose smallest denominator it keeps."""
        merged = dict(zip(self.times_ms, self.measured, strict=True))
        for at_ms, point in points.items():
            known = merged.get(at_ms)
            merged[at_ms] = point._replace(least=known.min_denominator) if isinstance(known, StoredMeasure) else point
        self.has_points, self.times_ms = True, sorted(merged)
        self.measured = [merged[at_ms] for at_ms in self.times_ms]

    def of_metric(self, metric: str) -> "RuleSeries":
        """The same series; ``metric``: that of the rule."""
        self.hourly_metric = metric
        return self

    def drawn(self, rule: Rule | None) -> DrawnColumns:
        """Those of the newest metric with a large enough denominator. With less, most values are chance."""
        kept = self._judged_points(rule) if self.has_points else _judged_hours(self.measured, rule)
        times_ms, measured = self.times_ms, self.measured
        if not all(kept):
            times_ms, measured = list(compress(times_ms, kept)), list(compress(measured, kept))
        measures: Any = measured
        if self.has_points:
            measures = [one.measure if isinstance(one, MeasuredPoint) else one for one in measured]
        return DrawnColumns(
            times_ms,
            [one.value for one in measures],
            [one.bound for one in measures],
            [one.threshold for one in measures],
        )

    def _judged_points(self, rule: Rule | None) -> list[bool]:
        metric = self.metric
        points = map(self.point, range(len(self.times_ms)))
        return [point.measure.metric == metric and point.is_judged(rule) for point in points]


def _judged_hours(measured: Sequence[Any], rule: Rule | None) -> list[bool]:
    """As `MeasuredPoint.is_judged`, without an object and a call for each of thousands."""
    least = 0 if rule is None or rule.min_denominator is None else rule.min_denominator
    return [
        one.denominator is None or one.denominator >= (least if one.min_denominator is None else one.min_denominator)
        for one in measured
    ]


def series_of_hours(hours: Iterable[StoredHour], hour_ms: int) -> dict[str, RuleSeries]:
    """The series of each rule, of hours in their order; a point is at the end of its hour.

    Most hours have the same rules. All hours with the same ones are turned into columns at once.
    """
    groups = defaultdict[tuple[str, ...], tuple[list[int], list[tuple[StoredMeasure, ...]]]](lambda: ([], []))
    for hour in hours:
        times_ms, rows = groups[tuple(map(_RULE_ID, hour.rules))]
        times_ms.append(hour.hour_ms + hour_ms)
        rows.append(hour.rules)
    parts = defaultdict[str, list[tuple[list[int], tuple[StoredMeasure, ...]]]](list)
    for rule_ids, (times_ms, rows) in groups.items():
        for rule_id, column in zip(rule_ids, zip(*rows, strict=True), strict=True):
            parts[rule_id].append((times_ms, column))
    return {rule_id: RuleSeries(rule_id, "", *_merged(of_rule)) for rule_id, of_rule in parts.items()}


def _merged(
    parts: Sequence[tuple[Sequence[int], Sequence[StoredMeasure]]],
) -> tuple[Sequence[int], Sequence[StoredMeasure]]:
    """The columns of several groups of hours by time."""
    if len(parts) == 1:
        return parts[0]
    merged = dict(chain.from_iterable(zip(*part, strict=True) for part in parts))
    times_ms = sorted(merged)
    return times_ms, [merged[at_ms] for at_ms in times_ms]


def _point(at_ms: int, one: StoredMeasure | MeasuredPoint, metric: str) -> MeasuredPoint:
    if isinstance(one, MeasuredPoint):
        return one
    measure = Measure(metric, one.numerator, one.denominator, one.value, one.threshold, one.bound)
    return MeasuredPoint(at_ms, measure, one.min_denominator)


def _is_enough(denominator: int | None, least: int | None) -> bool:
    return denominator is None or least is None or denominator >= least


def last_of_each(series: RuleSeries, period_ms: int) -> Sequence[MeasuredPoint]:
    """The last point of each period, the newest first."""
    last = {at_ms // period_ms: number for number, at_ms in enumerate(series.times_ms)}
    return [series.point(last[period]) for period in sorted(last, reverse=True)]
