"""Times and durations that a mapping reads, and where it rejects them."""

import json

import pytest
from adapter_rows import SMALL, rows, time_of
from mapped_calls import LINES, T


@pytest.mark.parametrize(
    ("form", "text", "ms"),
    [
        ("epoch_us", '"1772415000123456"', 1_772_415_000_123),
        ("epoch_us", "1772415000123999", 1_772_415_000_123),
        ("epoch_ns", "1772415000123456789", 1_772_415_000_123),
        ("epoch_ns", '"1772415000123456789"', 1_772_415_000_123),
        ("epoch_s", "1772415000.5", 1_772_415_000_500),
    ],
)
def test_numbers_since_the_epoch_are_read_in_each_unit(form: str, text: str, ms: int) -> None:
    assert time_of(f"{{column: at, time: {form}}}", f'{{"id": 1, "at": {text}}}', LINES) == ms


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("epoch_us", '"17724150001234567890"'),
        ("epoch_ns", "1e18"),
        ("epoch_us", '"0x1"'),
        ("epoch_s", '"1772415000123456"'),
    ],
)
def test_a_number_that_is_no_time_is_rejected(form: str, text: str) -> None:
    found = time_of(f"{{column: at, time: {form}}}", f'{{"id": 1, "at": {text}}}', LINES)
    assert str(found).startswith("unreadable_time: updated_ms: "), found


def test_a_time_that_means_never_is_empty_where_the_mapping_says_so() -> None:
    field = '{first: [at, then], time: epoch_us, empty: ["0"]}'
    assert time_of(field, '{"id": 1, "at": "0", "then": "1772415000000000"}', LINES) == 1_772_415_000_000
    assert str(time_of(field, '{"id": 1, "at": "0"}', LINES)).startswith("missing_field: updated_ms")


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("00:00:13", 13_000),
        ("1:02:03", 3_723_000),
        ("100:00:00", 360_000_000),
        ("00:00:01.5", 1_500),
        ("0:0:07,25", 7_250),
    ],
)
def test_a_duration_of_hours_minutes_and_seconds_is_added(text: str, ms: int) -> None:
    field = '{column: at, time: epoch_s, plus: {column: took, unit: "hh:mm:ss"}}'
    assert time_of(field, json.dumps({"id": 1, "at": T, "took": text}), LINES) == T * 1_000 + ms


@pytest.mark.parametrize("text", ["13", "00:60:00", "-1:00:00", "1:2", "00:00:00:00", "9999999:00:00", "٠0:00:00"])
def test_a_text_that_is_no_duration_of_that_form_is_rejected(text: str) -> None:
    field = '{column: at, time: epoch_s, plus: {column: took, unit: "hh:mm:ss"}}'
    found = time_of(field, json.dumps({"id": 1, "at": T, "took": text}), LINES)
    assert str(found).startswith("unreadable_time: updated_ms: "), found


def test_several_durations_are_added_one_after_the_other() -> None:
    field = (
        "{column: at, time: epoch_s, plus: [{column: a, unit: s}, {column: b, unit: ms}], minus: {column: c, unit: us}}"
    )
    assert time_of(field, f'{{"id": 1, "at": {T}, "a": 2, "b": 500, "c": 250000}}', LINES) == T * 1_000 + 2_250


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((0, None, None, 5), (0, None, None, 5)),
        ((1, None, 0, 5), (1, None, 1, 5)),  # the answer is a second before the start
        ((0, None, 6, 5), (0, None, 5, 5)),
        ((0, 3, 2, 5), (0, 3, 3, 5)),
        ((6, None, None, 5), (6, None, None, 6)),
    ],
)
def test_times_that_were_rounded_apart_are_brought_together(times: tuple[int | None, ...], expected: tuple) -> None:
    mapping = "precision: 1s\n" + SMALL.replace(
        "column: end, time: epoch_s}\n  end", "column: s, time: epoch_s}\n  end"
    )
    mapping = mapping.replace(
        "{const: busy}", '{column: a, table: {"": busy}, otherwise: {const: answered}, default: ""}'
    )
    mapping = mapping.replace(
        "  outcome:", "  ring_ms: {column: r, time: epoch_s}\n  answer_ms: {column: a, time: epoch_s}\n  outcome:"
    )
    mapping = mapping[: mapping.index("  outcome:")] + (
        "  outcome: {cases: [{when: {column: a, empty: false}, const: answered}, {const: busy}]}\n"
    )
    start, ring, answer, end = ("" if time is None else T + time for time in times)
    (row,) = rows(mapping, f"id,to,s,r,a,end\n1,2,{start},{ring},{answer},{end}\n")
    assert row.record is not None, row.reason
    found = (row.record.start_ms, row.record.ring_ms, row.record.answer_ms, row.record.end_ms)
    assert found == tuple(None if time is None else (T + time) * 1_000 for time in expected)


def test_times_that_contradict_each_other_by_more_than_the_precision_are_rejected() -> None:
    mapping = "precision: 1s\n" + SMALL.replace(
        "column: end, time: epoch_s}\n  end", "column: s, time: epoch_s}\n  end"
    )
    (row,) = rows(mapping, f"id,to,s,end\n1,2,{T + 2},{T}\n")
    assert str(row.reason).startswith("impossible_times: ")
