"""Times are read in every form that RFC 3339 allows; every accepted time is valid."""

import re
from zoneinfo import ZoneInfo

import pytest

from monitor.text.timestamps import (
    any_time,
    date_time,
    day,
    file_stamp,
    instant,
    month_day_time,
    parse_instant,
    parse_moment,
    rfc3339,
)

MARCH_2 = 1_772_409_600_000


@pytest.mark.parametrize(
    "text",
    [
        "1772409600000",
        "2026-03-02T00:00:00Z",
        "2026-03-02t00:00:00z",
        "2026-03-02 00:00:00.000Z",
        "2026-03-02T08:00:00+08:00",
        "2026-03-01T18:30:00-05:30",
        "2026-03-02T00:00:00-00:00",
    ],
)
def test_rfc_3339_and_epoch_milliseconds_are_read(text: str) -> None:
    assert parse_moment(text) == MARCH_2


@pytest.mark.parametrize("text", ["2026-03-02", "2026-03-02T08:00:00", "2026-03-02 08:00", "2026-03-02T08:00:00.250"])
def test_every_expected_value_in_a_message_is_accepted(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time zone") as caught:
        parse_moment(text)
    utc, east = re.findall(r"\S+(?:Z|\+08:00)", str(caught.value))
    assert parse_moment(utc) - parse_moment(east) == 8 * 3_600_000


@pytest.mark.parametrize("text", ["", "now", "2026-02-29T00:00:00Z", "2026-03-02Z", "1e12"])
def test_no_other_text_is_a_timestamp(text: str) -> None:
    with pytest.raises(ValueError, match="expected RFC 3339"):
        parse_moment(text)


@pytest.mark.parametrize("text", ["2026-03-02T00:00Z", "2026-03-02 08:00+08:00"])
def test_a_person_may_leave_out_the_seconds_and_a_policy_may_not(text: str) -> None:
    assert parse_moment(text) == MARCH_2
    with pytest.raises(ValueError, match="expected a date"):
        parse_instant(text)


@pytest.mark.parametrize("text", ["2026-03-02T00:00:00.0079Z", "2026-03-02T00:00:00.007Z"])
def test_both_parsers_cut_off_what_is_below_a_millisecond(text: str) -> None:
    assert parse_moment(text) == parse_instant(text) == MARCH_2 + 7


@pytest.mark.parametrize("at_ms", [0, MARCH_2, MARCH_2 + 7, MARCH_2 + 59_999, 4_102_444_799_999])
def test_every_time_is_read_as_it_was_written(at_ms: int) -> None:
    assert parse_moment(rfc3339(at_ms)) == parse_moment(rfc3339(at_ms, "shortest")) == at_ms
    assert parse_moment(rfc3339(at_ms, "seconds")) == at_ms // 1000 * 1000
    assert parse_moment(f"{date_time(at_ms, precision='milliseconds')}Z") == at_ms


def test_milliseconds_are_shown_as_the_place_needs_them() -> None:
    assert rfc3339(MARCH_2 + 7) == rfc3339(MARCH_2 + 7, "shortest") == "2026-03-02T00:00:00.007Z"
    assert (rfc3339(MARCH_2), rfc3339(MARCH_2, "shortest")) == ("2026-03-02T00:00:00.000Z", "2026-03-02T00:00:00Z")
    assert rfc3339(MARCH_2 + 999, "seconds") == "2026-03-02T00:00:00Z"


def test_a_time_that_a_producer_chose_is_shown_whatever_it_is() -> None:
    first, last = -62_135_596_800_000, 253_402_300_799_999
    assert (any_time(first), any_time(last)) == ("0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z")
    assert (any_time(-1), any_time(MARCH_2)) == ("1969-12-31T23:59:59.999Z", rfc3339(MARCH_2))
    for beyond in (first - 1, last + 1, -(1 << 63), (1 << 63) - 1):
        assert any_time(beyond) == str(beyond)


def test_people_see_the_zone_that_they_asked_for() -> None:
    at_ms = MARCH_2 + 90_500
    shanghai = ZoneInfo("Asia/Shanghai")
    assert date_time(at_ms) == "2026-03-02 00:01:30"
    assert date_time(at_ms, shanghai, "shortest") == "2026-03-02 08:01:30.500"
    assert date_time(at_ms, precision="minutes") == "2026-03-02 00:01"
    assert (instant(at_ms), instant(MARCH_2)) == ("2026-03-02 00:01:30 UTC", "2026-03-02 00:00 UTC")
    assert (month_day_time(at_ms), month_day_time(at_ms, "minutes")) == ("03-02 00:01:30", "03-02 00:01")
    assert (day(at_ms), file_stamp(at_ms)) == ("2026-03-02", "20260302T000130Z")
