"""The Wilson bound, against the published table, exact arithmetic, and the properties of a bound."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import strategies as st

from helpers.shard_harness import ShardHarness, rule
from helpers.shard_samples import MINUTE
from helpers.thorough import examples
from monitor.core.rules.wilson import quantile, wilson_bound

# Quantiles of the normal distribution, as tables give them.
QUANTILES = {
    0.9: "1.2815515655446004",
    0.95: "1.6448536269514722",
    0.975: "1.9599639845400545",
    0.99: "2.3263478740408408",
}


def bound(numerator: int, denominator: int, confidence: float, lower: bool) -> float:
    return float(wilson_bound(np.array([numerator]), np.array([denominator]), confidence, lower)[0])


def exact(numerator: int, denominator: int, z: str, lower: bool) -> float:
    """The score interval's end by fifty digits: (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)."""
    with localcontext() as context:
        context.prec = 50
        p = min(Fraction(numerator, denominator), Fraction(1))
        share, n, q = Decimal(p.numerator) / p.denominator, Decimal(denominator), Decimal(z)
        spread = q * (share * (1 - share) / n + q * q / (4 * n * n)).sqrt()
        centre = share + q * q / (2 * n)
        return float((centre - spread if lower else centre + spread) / (1 + q * q / n))


@pytest.mark.parametrize(("confidence", "z"), QUANTILES.items())
def test_the_quantile_is_the_normal_tables(confidence: float, z: str) -> None:
    assert math.isclose(quantile(confidence), float(z), rel_tol=1e-14)


@pytest.mark.parametrize(
    ("numerator", "denominator", "low", "high"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3 (score, without continuity correction):
        # two-sided 95 %, so each end is a one-sided bound of 97.5 %.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_published_intervals_come_out(numerator: int, denominator: int, low: float, high: float) -> None:
    assert round(bound(numerator, denominator, 0.975, lower=True), 4) == low
    assert round(bound(numerator, denominator, 0.975, lower=False), 4) == high


@examples(st.integers(1, 10**7), st.data(), st.sampled_from(sorted(QUANTILES)), st.booleans(), fast=50, most=200)
def test_bounds_are_those_of_fifty_digits(
    denominator: int, data: st.DataObject, confidence: float, lower: bool
) -> None:
    numerator = data.draw(st.one_of(st.integers(0, denominator), st.integers(0, 3), st.integers(0, 2 * denominator)))
    got = bound(numerator, denominator, confidence, lower)
    assert math.isclose(got, exact(numerator, denominator, QUANTILES[confidence], lower), rel_tol=1e-9, abs_tol=1e-15)
    share = min(numerator / denominator, 1.0)
    assert got <= share + 1e-12 if lower else got >= share - 1e-12
    assert -1e-12 <= got <= 1 + 1e-12


def test_more_complaints_than_calls_are_a_share_of_one() -> None:
    """Complaints over answered calls can exceed 1; the formula must not take the square root of a negative number."""
    assert bound(7, 3, 0.95, lower=True) == bound(3, 3, 0.95, lower=True)
    assert bound(7, 3, 0.95, lower=False) == bound(3, 3, 0.95, lower=False)


def test_a_column_is_bounded_row_by_row() -> None:
    numerators, denominators = np.array([0, 3, 200, 1_031]), np.array([5, 10, 1_031, 1_031])
    rows = wilson_bound(numerators, denominators, 0.95, True).tolist()
    assert rows == [bound(a, b, 0.95, True) for a, b in zip(numerators.tolist(), denominators.tolist(), strict=True)]


def test_alerts_state_the_bound_while_they_fire_and_when_they_are_over() -> None:
    harness = ShardHarness(rules=[rule("sure", min_denominator=2, confidence=0.9, mode="shadow")])
    harness.short_calls(*[1.0] * 10)
    harness.until(5)
    (fired,) = harness.output.alerts
    harness.short_calls(*[6.0] * 30, talk_ms=MINUTE)
    harness.until(10)
    (over,) = harness.output.alerts
    assert (fired.state, over.state) == ("firing", "resolved")
    for alert, (numerator, denominator) in ((fired, (10, 10)), (over, (10, 40))):
        assert alert.measure is not None
        assert (alert.measure.numerator, alert.measure.denominator) == (numerator, denominator)
        assert alert.measure.bound == pytest.approx(exact(numerator, denominator, QUANTILES[0.9], True), rel=1e-9)
