"""The cases of a field and their conditions, with the positions of their errors."""

import json

import pytest
from adapter_rows import rows, value
from mapped_calls import LINES, T

from monitor.adapters.errors import MappingError
from monitor.adapters.mapping.read import read_mapping

CASES = """\
format: jsonl
record: cdr
fields:
  call_id: {column: id}
  tenant_id: {column: tenant}
  direction: {column: direction, table: {out: outbound, in: inbound}}
  caller: {cases: [{when: {field: direction, equals: inbound}, column: far}, {column: ours}], number: CN}
  callee: {cases: [{when: {field: direction, equals: outbound}, column: far}, {column: ours}], number: CN}
  start_ms: {column: end, time: epoch_s}
  end_ms: {cases: [{column: end_us, time: epoch_us}, {column: end}], time: epoch_s}
  outcome: {const: busy}
"""


@pytest.mark.parametrize(("direction", "far_is"), [("in", "caller"), ("out", "callee")])
def test_caller_and_callee_change_places_by_direction(direction: str, far_is: str) -> None:
    content = {"id": 1, "direction": direction, "far": "13800138000", "ours": "075586013388", "end": T}
    (row,) = rows(CASES, json.dumps(content))
    assert row.record is not None, row.reason
    assert getattr(row.record, far_is) == "+8613800138000"
    assert {row.record.caller, row.record.callee} == {"+8613800138000", "+8675586013388"}


def test_the_first_case_that_applies_and_is_not_empty_counts() -> None:
    content = {"id": 1, "direction": "in", "far": "a", "ours": "b", "end": T, "end_us": (T + 1) * 1_000_000 + 999}
    (row,) = rows(CASES, json.dumps(content))
    assert row.record.end_ms == (T + 1) * 1_000
    (row,) = rows(CASES, json.dumps({**content, "end_us": ""}))
    assert row.record.end_ms == T * 1_000
    (row,) = rows(CASES, json.dumps({**content, "far": ""}))
    assert row.record.caller == "b"  # a number of another case is better than none
    (row,) = rows(CASES, json.dumps({**content, "end": ""}))
    assert row.reason == "missing_field: start_ms: column end is empty"


def test_conditions_are_joined_by_any_and_none() -> None:
    field = "{cases: [{when: {any: [{column: a, equals: x}, {column: b, in: [y, z]}]}, const: any}, "
    field += "{when: {none: [{column: a, empty: false}, {column: b, matches: '[0-9]+'}]}, const: none}, {const: rest}]}"
    for a, b, expected in [
        ("x", "", "any"),
        ("", "z", "any"),
        ("", "7", "rest"),
        ("", "q", "none"),
        ("q", "q", "rest"),
    ]:
        assert value(field, json.dumps({"id": 1, "a": a, "b": b}), LINES) == expected, (a, b)


@pytest.mark.parametrize(
    ("old", "new", "place", "reported"),
    [
        ("{column: far}, {column: ours}], number", "{}], number", "", ""),
        (
            "cases: [{when: {field: direction, equals: inbound}, column: far}, {column: ours}]",
            "cases: []",
            "7:19",
            "at least",
        ),
        (
            "column: far}, {column: ours}], number: CN}\n  callee",
            "column: far}, {}], number: CN}\n  callee",
            "7:78",
            "exactly one of",
        ),
        ("number: CN}\n  callee", "default: x}\n  callee", "7:95", "inside of each of the `cases`"),
        (
            "{column: end_us, time: epoch_us}",
            "{when: {field: outcome, equals: busy}, column: end_us}",
            "10:11",
            "decides the order",
        ),
        ("outcome: {const: busy}", "outcome: {column: a, table: sipp}", "11:31", "sip, q850, hangup_cause"),
        ("column: id}", "column: id, decode: base64}", "4:33", "expected `url`"),
        ("{field: direction, equals: inbound}", "{any: [{field: caller, equals: x}]}", "7:3", ""),
    ],
)
def test_a_wrong_case_is_reported_where_it_stands(old: str, new: str, place: str, reported: str) -> None:
    if not reported:
        return
    assert old in CASES
    with pytest.raises(MappingError) as caught:
        read_mapping(CASES.replace(old, new, 1), "acme.yaml")
    faults = {f"{fault.line}:{fault.column}": fault.message for fault in caught.value.faults}
    assert reported in faults.get(place, ""), faults
