"""Paths into objects and arrays, and the positions of their errors."""

import json

import pytest
from adapter_rows import value
from mapped_calls import JSON, LINES

from monitor.adapters.errors import MappingError
from monitor.adapters.mapping.paths import PathError, find, parse_path
from monitor.adapters.mapping.read import read_mapping

PARTS = {
    "callflow": [{"n": "last", "caller_profile": {"destination_number": "1"}}, {"n": "first", "x": [[7, 8], []]}],
    "participants": [
        {"purpose": "agent", "sessions": [{"dnis": "no"}]},
        {"purpose": "customer", "sessions": [{"mediaType": "chat", "dnis": "c"}, {"mediaType": "voice", "dnis": "v"}]},
        {"purpose": "customer", "sessions": []},
        "not an object",
    ],
    "SegmentAttributes": {"connect:Block.Reason": {"ValueString": "603"}, "a]b": "x", "n": {"id": True}},
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("callflow[0].n", "last"),
        ("callflow[-1].n", "first"),
        ("callflow[0].caller_profile.destination_number", "1"),
        ("callflow[-1].x[0][-1]", 8),
        ("callflow[2].n", None),
        ("callflow[-3].n", None),
        ("callflow[n=first].x[0][0]", 7),
        ("participants[purpose=customer].sessions[0].dnis", "c"),
        ("participants[purpose=customer].sessions[mediaType=voice].dnis", "v"),
        ("participants[purpose=customer][-1].sessions[0].dnis", None),
        ("participants[purpose!=agent].sessions[mediaType=video|voice].dnis", "v"),
        ("participants[purpose=acd].sessions[0].dnis", None),
        ('SegmentAttributes."connect:Block.Reason".ValueString', "603"),
        ('SegmentAttributes["connect:Block.Reason"].ValueString', "603"),
        ('SegmentAttributes["a]b"]', "x"),
        ("SegmentAttributes[0]", None),
        ("callflow.n", None),
    ],
)
def test_a_path_leads_where_it_says(path: str, expected: object) -> None:
    assert find(PARTS, parse_path(path)) == expected


@pytest.mark.parametrize(
    ("path", "reported"),
    [
        ("a[", "expected `]`"),
        ("a[x]", "[key=value]"),
        ("a[]", "[key=value]"),
        ('a."b', "a closing quote"),
        ("a[0]b", "expected `.` or `[` at character 5"),
        ("a[0].", "expected a key"),
        ("[0]..a", "expected a key at character 5"),
        ("a[12345678901]", "[key=value]"),
        ("a[=x]", "expected a key"),
    ],
)
def test_a_text_that_is_no_path_is_reported(path: str, reported: str) -> None:
    with pytest.raises(PathError, match="expected") as caught:
        parse_path(path)
    assert reported in str(caught.value)


def test_a_wrong_path_is_reported_where_it_stands() -> None:
    with pytest.raises(MappingError, match=r"acme.yaml:8:20: `a\[`: expected `\]`"):
        read_mapping(JSON.replace("column: to", 'column: "a["'), "acme.yaml")
    with pytest.raises(MappingError, match=r"acme.yaml:2:7: `a\[x\]`: expected"):
        read_mapping(JSON.replace("json\n", 'json\nrows: "a[x]"\n'), "acme.yaml")


def test_a_column_is_read_through_its_path() -> None:
    content = json.dumps({"id": 1, **PARTS})
    assert value('{column: "participants[purpose=customer].sessions[0].dnis"}', content, LINES) == "c"
    assert value('{column: "SegmentAttributes.n.id"}', content, LINES) == "true"
    assert value('{column: "participants[purpose=agent]"}', content, LINES) == (
        "wrong_type: participants[purpose=agent] is an object; expected a text or a number"
    )
    assert value('{column: "a[0]"}', "id,a[0]\n1,x\n") == "x"  # in CSV this is a column name
