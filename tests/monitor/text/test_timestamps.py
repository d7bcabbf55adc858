"""A moment is read in every way that RFC 3339 allows, and what is said to be right is."""

import re

import pytest

from monitor.text.timestamps import parse_moment

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
def test_what_is_said_to_be_right_is(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time zone") as caught:
        parse_moment(text)
    utc, east = re.findall(r"\S+(?:Z|\+08:00)", str(caught.value))
    assert parse_moment(utc) - parse_moment(east) == 8 * 3_600_000


@pytest.mark.parametrize("text", ["", "now", "2026-02-29T00:00:00Z", "2026-03-02Z", "1e12"])
def test_no_other_text_is_a_moment(text: str) -> None:
    with pytest.raises(ValueError, match="expected RFC 3339"):
        parse_moment(text)
