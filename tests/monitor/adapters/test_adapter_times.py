"""Times in every form that files use, including around changes of the clocks."""

from datetime import UTC, datetime

import pytest
from adapter_rows import time_of
from hypothesis import strategies as st

from helpers.thorough import examples
from monitor.adapters.errors import Reject
from monitor.adapters.values.times import TimeReader, zone

NEW_YORK = "zone: America/New_York\n"
PLAIN = '{column: at, time: "%Y-%m-%d %H:%M:%S"}'


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text + "+00:00").timestamp() * 1000)


def at(field: str, text: str, more: str = "") -> object:
    return time_of(field, f"id,at\n1,{text}\n", more)


def test_a_time_that_the_clocks_skip_is_read_with_the_offset_before() -> None:
    # 14 March 2021, 02:00 EST became 03:00 EDT.
    assert at(PLAIN, "2021-03-14 01:59:59", NEW_YORK) == utc("2021-03-14 06:59:59")
    assert at(PLAIN, "2021-03-14 02:30:00", NEW_YORK) == utc("2021-03-14 07:30:00")
    assert at(PLAIN, "2021-03-14 03:30:00", NEW_YORK) == utc("2021-03-14 07:30:00")


def test_a_time_that_the_clocks_show_twice_is_the_first() -> None:
    # 7 November 2021, 02:00 EDT became 01:00 EST.
    assert at(PLAIN, "2021-11-07 01:30:00", NEW_YORK) == utc("2021-11-07 05:30:00")
    assert at(PLAIN, "2021-11-07 02:00:00", NEW_YORK) == utc("2021-11-07 07:00:00")


def test_a_fields_own_zone_goes_before_the_mappings() -> None:
    own = PLAIN.replace("}", ", zone: Asia/Shanghai}")
    assert at(own, "2021-11-07 01:30:00", NEW_YORK) == utc("2021-11-06 17:30:00")


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("epoch_s", "1700000000", 1_700_000_000_000),
        ("epoch_s", "1700000000.1234567", 1_700_000_000_123),
        ("epoch_s", "1700000000.05", 1_700_000_000_050),
        ("epoch_ms", "1700000000123", 1_700_000_000_123),
        ("epoch_ms", "1700000000123.9", 1_700_000_000_123),
        ("iso8601", "2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("iso8601", "2023-11-15T06:13:20.5+08:00", 1_700_000_000_500),
        ("iso8601", "2023-11-15 06:13:20,25", 1_700_000_000_250),
        ("iso8601", "2023-11-15T06:13", 1_699_999_980_000),
        ('"%d/%m/%y %H:%M:%S"', "15/11/23 06:13:20", 1_700_000_000_000),
        ('"%Y-%m-%d %H:%M:%S"', "2023-11-15 6:13:20", 1_700_000_000_000),
        ('"%Y-%m-%d %H:%M:%S %z"', "2023-11-14 22:13:20 +0000", 1_700_000_000_000),
        ('"%Y-%m-%d"', "2023-11-15", 1_699_977_600_000),
        ('["%Y-%m-%d", epoch_s]', "1700000000", 1_700_000_000_000),
    ],
)
def test_each_form_of_a_time_is_read(form: str, text: str, expected: int) -> None:
    mapping = 'delimiter: "|"\nzone: Asia/Shanghai\n'
    assert time_of(f"{{column: at, time: {form}}}", f"id|at\n1|{text}\n", mapping) == expected


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("epoch_s", "1.7e9"),
        ("epoch_s", "١٧٠٠٠٠٠٠٠٠"),
        ("epoch_s", "1" * 5000),
        ("epoch_s", "nan"),
        ("epoch_ms", ""),
        ("iso8601", "2023-11-15"),
        ("iso8601", "2023-W46-3T06:13:20"),
        ("iso8601", "2023-02-30T06:13:20Z"),
        ("iso8601", "2023-11-15T24:00:00Z"),
        ('"%Y-%m-%d %H:%M:%S"', "2023-11-15T06:13:20"),
        ('"%Y-%m-%d %H:%M:%S"', "2023-W46-3 06:13:20"),
        ('"%Y-%m-%d %H:%M:%S"', "2023-11-15 24:00:00"),
        ('"%Y-%m-%d"', "2023-02-29"),
        ('"%Y-%m-%d"', "1700000000"),
        ('"%Y-%m-%d"', "0001-01-01"),
        ('"%Y-%m-%d"', "9999-12-31"),
        ("epoch_s", "599616000"),
        ("epoch_s", "4102444800"),
        ("epoch_s", "-5"),
    ],
)
def test_a_text_that_is_not_a_time_of_1990_to_2099_is_rejected(form: str, text: str) -> None:
    reason = at(f"{{column: at, time: {form}}}", text, "zone: Asia/Shanghai\n")
    assert isinstance(reason, str)
    word = reason.split(": ")[0]
    assert word in ("unreadable_time", "out_of_range", "missing_field")
    assert "updated_ms" in reason


def test_a_time_without_an_offset_needs_a_zone() -> None:
    assert str(at("{column: at, time: iso8601}", "2023-11-15T06:13:20")).startswith("unreadable_time")


def test_durations_are_added_and_taken_off() -> None:
    content = "id,at,d\n1,1700000000,90\n"
    plus = "{column: at, time: epoch_s, plus: {column: d, unit: s}}"
    assert time_of(plus, content) == 1_700_000_090_000
    assert time_of(plus.replace("plus", "minus"), content) == 1_699_999_910_000
    assert time_of(plus.replace("unit: s", "unit: min"), content) == 1_700_005_400_000
    assert time_of(plus, content.replace("90", "0.25")) == 1_700_000_000_250
    assert str(time_of(plus, content.replace("90", ""))).startswith("missing_field: updated_ms")
    for wrong in ("x", "nan", "inf", "1e300", "99999999999"):
        assert str(time_of(plus, content.replace("90", wrong))).startswith("unreadable_time: updated_ms")


@examples(
    st.datetimes(datetime(1990, 1, 2), datetime(2099, 12, 30)),
    st.sampled_from(["Asia/Shanghai", "America/New_York"]),
    fast=75,
    most=300,
)
def test_the_quick_ways_agree_with_strptime(when: datetime, name: str) -> None:
    local = zone(name)
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d"):
        text = when.strftime(form)
        expected = datetime.strptime(text, form).replace(tzinfo=local)
        assert TimeReader((form,), local)(text) == int(expected.timestamp()) * 1000


@examples(st.text("0123456789-: TW", min_size=8, max_size=20), fast=125, most=500)
def test_the_quick_ways_take_nothing_that_strptime_refuses(text: str) -> None:
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d"):
        try:
            expected = int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()) * 1000
        except ValueError:
            with pytest.raises(Reject):
                TimeReader((form,), UTC)(text)
        else:
            assert TimeReader((form,), UTC)(text) == expected


def test_the_cache_of_times_is_bounded() -> None:
    reader = TimeReader(("epoch_s",), None)
    for n in range(70_000):
        assert reader(str(n)) == n * 1000
    assert len(reader._seen) <= 65_536


def test_a_long_text_of_a_time_is_not_remembered() -> None:
    reader = TimeReader(("%a, %d %b %Y %H:%M:%S %z",), None)
    for n in range(100):
        assert reader(f"Mon,{' ' * (1_000 + n)}02 Mar 2026 01:30:00 +0000") == 1_772_415_000_000
    assert sum(map(len, reader._seen)) < 1_000
