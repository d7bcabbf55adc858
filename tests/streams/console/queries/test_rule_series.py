"""The series of a rule in columns, compared with a plain loop over random hours, decisions and alerts."""

import random
from typing import Any

import pytest

from monitor.policy.load import loads
from schemas.outputs import Measure
from streams.console.queries.rule_series import (
    MeasuredPoint,
    RuleSeries,
    StoredHour,
    StoredMeasure,
    last_of_each,
    series_of_hours,
)

HOUR_MS = 3_600_000
RULES = "abc"
POLICY = loads(
    """
id: x
version: '1'
extends: none
rules:
- {id: a, behaviour: blind_calling, metric: short_call_ratio, above: 0.5, window: 1h, step: 5m, min_denominator: 30}
""",
    "x",
)


def drawn_hours(rng: random.Random) -> list[StoredHour]:
    """Hours with gaps, each with some of the rules, in either order."""
    hours = []
    for number in sorted(rng.sample(range(200), rng.randrange(60))):
        rules = [
            StoredMeasure(
                rule_id,
                rng.randrange(50),
                rng.choice([None, rng.randrange(60)]),
                rng.random(),
                rng.choice([None, 0.5]),
                rng.choice([0.25, 0.5]),
                rng.choice([None, None, 20]),
            )
            for rule_id in rng.sample(RULES, rng.choice([3, 3, 3, 2, 1, 0]))
        ]
        hours.append(StoredHour(number * HOUR_MS, tuple(rules)))
    return hours


def decided(rng: random.Random) -> dict[int, MeasuredPoint]:
    """Decisions and alerts, some at the end of an hour, some by another metric."""
    points = {}
    for _ in range(rng.choice([0, 0, 3])):
        at_ms = rng.randrange(200) * HOUR_MS + rng.choice([0, 1])
        measure = Measure(rng.choice(["short_call_ratio", "calls"]), 1, rng.randrange(60), 0.1, 0.2, None)
        points[at_ms] = MeasuredPoint(at_ms, measure, in_breach=rng.random() < 0.5)
    return points


def as_rows(series: RuleSeries, rule: Any) -> list[tuple[Any, ...]]:
    return list(zip(*series.drawn(rule), strict=True))


@pytest.mark.parametrize("seed", range(60))
def test_columns_have_what_a_plain_loop_finds(seed: int) -> None:
    rng = random.Random(seed)
    hours, points, rule = drawn_hours(rng), decided(rng), rng.choice([None, POLICY.rules[0]])
    expected: dict[str, dict[int, MeasuredPoint]] = {rule_id: {} for rule_id in RULES}
    for hour in hours:
        for one in hour.rules:
            fields = one.numerator, one.denominator, one.value, one.threshold, one.bound
            at_ms = hour.hour_ms + HOUR_MS
            expected[one.rule_id][at_ms] = MeasuredPoint(
                at_ms, Measure("short_call_ratio", *fields), one.min_denominator
            )
    for at_ms, point in points.items():
        known = expected["a"].get(at_ms)
        expected["a"][at_ms] = point if known is None else point._replace(least=known.least)
    found = series_of_hours(hours, HOUR_MS)
    found.setdefault("a", RuleSeries("a")).add(points)
    for rule_id, of_rule in expected.items():
        ordered = [of_rule[at_ms] for at_ms in sorted(of_rule)]
        if not ordered:
            assert rule_id not in found or not found[rule_id].times_ms, f"seed {seed}"
            continue
        series = found[rule_id].of_metric("short_call_ratio")
        assert (series.points, series.newest) == (ordered, ordered[-1]), f"seed {seed}"
        kept = [each for each in ordered if each.measure.metric == series.metric and each.is_judged(rule)]
        rows = [(each.at_ms, each.measure.value, each.measure.bound, each.measure.threshold) for each in kept]
        assert as_rows(series, rule) == rows, f"seed {seed}"
        last = {each.at_ms // (24 * HOUR_MS): each for each in ordered}
        assert last_of_each(series, 24 * HOUR_MS) == [last[day] for day in sorted(last, reverse=True)]
