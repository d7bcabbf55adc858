"""Spans, times and rounded values in reasons."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reason_samples import (
    DAY_MS,
    END_MS,
)

from monitor.reasons.wording import rounded, rounded_percent, span
from monitor.text.timestamps import instant


@pytest.mark.parametrize(
    ("ms", "zh", "en"),
    [
        (90_000, "90 秒", "90 s"),
        (1_500, "1.5 秒", "1.5 s"),
        (300_000, "5 分钟", "5 min"),
        (3_600_000, "1 小时", "1 h"),
        (DAY_MS, "24 小时", "24 h"),
        (2 * DAY_MS, "2 天", "2 d"),
        (30 * DAY_MS, "30 天", "30 d"),
        (26 * 3_600_000, "26 小时", "26 h"),
    ],
)
def test_a_span_is_read_in_its_largest_whole_unit(ms: int, zh: str, en: str) -> None:
    assert span(ms) == (zh, en)


def test_times_are_utc_to_the_second() -> None:
    assert instant(END_MS) == "2026-03-02 08:00 UTC"
    assert instant(END_MS + 1) == "2026-03-02 08:00 UTC"
    assert instant(END_MS + 59_999) == "2026-03-02 08:00:59 UTC"


@given(st.floats(0, 1e9, allow_nan=False), st.floats(0, 1e9, allow_nan=False))
def test_a_rounded_value_lies_on_the_same_side_of_its_anchor(value: float, anchor: float) -> None:
    for shown, scale in ((rounded(value, (anchor,)), 1), (rounded_percent(value, (anchor,)), 100)):
        number = Decimal(shown.replace(",", "")) / scale
        assert (number > Decimal(repr(anchor))) == (value > anchor)
        assert (number < Decimal(repr(anchor))) == (value < anchor)
        # Three significant digits are never off by more than half a unit of the third.
        assert math.isclose(float(number), value, rel_tol=0.0051, abs_tol=0)
