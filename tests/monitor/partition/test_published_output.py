"""What was published before a state was lost is not written again while the state is rebuilt."""

import pytest

from monitor.byte_rows import ByteRows
from monitor.core.results import HourMeasures, Output
from monitor.decoding.source import NO_CLOCK_MS
from monitor.partition.processing.published_output import MeasuredPlace, Published, PublishedOutput
from monitor.partition.task import StreamTask
from monitor.policy.load import loads

POLICY = loads('{"id": "published", "version": "1", "extends": "access-rules"}', "policy.json")
HOUR = 3_600_000


def left(published: Published, *hours: HourMeasures) -> list[tuple[int, list[str]]]:
    """The measures that are written."""
    output = PublishedOutput(StreamTask(POLICY).watermark)
    output.suppress(published)
    measures = output.left(Output(measures=list(hours))).measures
    assert all(name == value for hour in measures for name, value in hour.rows())
    return [(hour.hour_ms, [name.decode() for name, _ in hour.rows()]) for hour in measures]


def hour(number: int, *names: str) -> HourMeasures:
    ids = ByteRows.of(name.encode() for name in names)
    return HourMeasures(number * HOUR, ids, ids)


HOURS = hour(1, "a", "b"), hour(2, "a", "c"), hour(3, "b")


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        (Published(), [1, 2, 3]),
        # The measures of an hour are written by tenant id, in parts: those after the last one are missing.
        (Published({}, MeasuredPlace(2 * HOUR, "a")), [2, 3]),
        (Published({}, MeasuredPlace(2 * HOUR, "c")), [3]),
        (Published({}, MeasuredPlace(3 * HOUR, "b")), []),
        # Decisions of a later instant follow the measures; those of the same instant come before them.
        (Published({"cwe-1": 3 * HOUR}), [2, 3]),
        (Published({"cwe-1": 3 * HOUR + 1}), [3]),
        (Published({"cwe-1": 4 * HOUR}, MeasuredPlace(2 * HOUR, "c")), [3]),
    ],
)
def test_measures_are_written_from_the_first_that_is_not_published(published: Published, expected: list[int]) -> None:
    found = left(published, *HOURS)
    assert [hour_ms // HOUR for hour_ms, _ in found] == expected
    if published.measured == MeasuredPlace(2 * HOUR, "a"):
        assert found[0][1] == ["c"]


def test_a_state_is_being_rebuilt_until_the_last_published_hour_has_passed() -> None:
    watermark = StreamTask(POLICY).watermark
    output = PublishedOutput(watermark)
    assert output.until_ms == NO_CLOCK_MS
    assert not output.rebuilding
    output.suppress(Published({"cwe-1": HOUR}, MeasuredPlace(2 * HOUR, "a")))
    assert output.until_ms == 3 * HOUR
    assert output.rebuilding
