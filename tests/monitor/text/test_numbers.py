"""Numbers of a policy as text: with all digits, so that two that differ are never shown alike."""

import math
import random

import pytest

from monitor.text.numbers import exact, exact_percent, number, share_of_percent


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5"), (1234567.0, "1234567"), (1e21, "1e+21"), (-2.0, "-2"), (0.0123456789, "0.0123456789")],
)  # fmt: skip
def test_a_number_is_as_a_file_has_it(value: float, text: str) -> None:
    assert number(value) == text


def test_every_number_is_read_back_as_it_was() -> None:
    draw = random.Random(1)
    for _ in range(2_000):
        value = draw.choice((draw.random(), float(draw.randrange(10**18)), draw.random() * 10 ** draw.randint(-9, 20)))
        assert float(number(value)) == value
        assert float(exact(value).replace(",", "")) == value
        assert float(number(math.nextafter(value, 2 * value))) != value


def test_shares_and_per_cent() -> None:
    assert (exact_percent(0.07), exact_percent(0.123456789), exact(1234567.0)) == ("7", "12.3456789", "1,234,567")
    assert (share_of_percent(30.0), share_of_percent(1.5), share_of_percent(99.99999)) == ("0.30", "0.015", "0.9999999")
