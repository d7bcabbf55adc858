"""The features of a mapping: times and durations, paths, cases, patterns, forms, settings; each with its error
positions.
"""

import base64
import io
import json
from urllib.parse import quote, urlencode

import pytest
from adapter_rows import ONE, SMALL, adapter, rows, time_of, value

from monitor.adapters import MappingError
from monitor.adapters.base import InputRow
from monitor.adapters.mapping.paths import PathError, find, parse_path
from monitor.adapters.mapping.read import read_mapping

T = 1_700_000_000
LINES = "format: jsonl\n"
JSON = SMALL.replace("format: csv", "format: json")


def call(name: object) -> str:
    return f'{{"id": {name}, "to": "2", "end": {T}}}'


def ids(found: list[InputRow]) -> list[object]:
    return [row.record.call_id if row.record else row.reason for row in found]


# --- times and durations ----------------------------------------------------------------------------------------
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


# --- paths ------------------------------------------------------------------------------------------------------
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


# --- documents --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mapping", [JSON, SMALL.replace("format: csv", "format: jsonl")], ids=["json", "jsonl"])
@pytest.mark.parametrize("between", ["", " ", "\t "])
def test_objects_that_stand_on_one_line_are_a_row_each(mapping: str, between: str) -> None:
    content = between.join(call(n) for n in range(3))
    found = rows(mapping, f"{content}\n{call(3)}")
    assert ids(found) == ["0", "1", "2", "3"]
    assert [row.line for row in found] == [1, 1, 1, 2]
    assert found[1].raw == call(1).encode()


def test_a_broken_object_on_a_line_affects_no_other_object() -> None:
    found = rows(JSON, f'{call(1)}{{"id": oops, "b": {{"c": 1}}}}{call(2)} {call(3)}')
    assert [row.record.call_id for row in found if row.record] == ["1", "2", "3"]
    (bad,) = [row for row in found if row.reason]
    assert bad.raw == b'{"id": oops, "b": {"c": 1}}'
    assert str(bad.reason).startswith("malformed_json: ")


def test_objects_over_several_lines_may_follow_each_other() -> None:
    content = "\n".join(json.dumps(json.loads(call(n)), indent=1) for n in range(3))
    found = rows(JSON, content)
    assert ids(found) == ["0", "1", "2"]
    assert [row.line for row in found] == [1, 6, 11]


def test_braces_in_texts_separate_nothing() -> None:
    content = '{"id": "}{", "to": "} {", "end": 1700000000}'
    assert ids(rows(JSON, content)) == ["}{"]
    assert ids(rows(JSON, content + content)) == ["}{", "}{"]


def test_a_page_is_an_array_of_rows_with_or_without_a_name() -> None:
    page = JSON.replace("json\n", "json\nrows: [calls, objects]\n")
    one, two = call(1), call(2)
    assert ids(rows(page, f'{{"calls": [{one}, {two}], "page": 0}}')) == ["1", "2"]
    assert ids(rows(page, f'{{"objects": [\n{one},\n{two}]}}')) == ["1", "2"]
    assert ids(rows(page, f"[{one},\n {two}]")) == ["1", "2"]
    assert ids(rows(page, f"[{one}, {two}]\n[{call(3)}]\n{call(4)}")) == ["1", "2", "3", "4"]
    assert ids(rows(page, one)) == ["1"]
    assert rows(page, "[]") == rows(page, '{"calls": []}') == []


def test_the_object_at_the_path_of_the_rows_is_a_row() -> None:
    event = JSON.replace("json\n", "json\nrows: detail.eventBody\n")
    content = f'{{"id": 9, "detail": {{"eventBody": {call(1)}}}}}\n'
    assert ids(rows(event, content * 2)) == ["1", "1"]
    chosen = JSON.replace("json\n", 'json\nrows: "events[kind=end].calls"\n')
    assert ids(rows(chosen, f'{{"events": [{{"kind": "start"}}, {{"kind": "end", "calls": [{call(2)}]}}]}}')) == ["2"]


def test_objects_without_end_cost_no_more_than_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    from monitor.adapters.rows import json_rows

    read = 0

    class Counting(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0):  # type: ignore[no-untyped-def]
            nonlocal read
            try:
                found = super().raw_decode(s, idx)
                read += found[1] - idx
            except json.JSONDecodeError as error:
                read += error.pos - idx
                raise
            return found

    monkeypatch.setattr(json_rows, "_SPLITTER", Counting())
    for content in ('{"a": }{' * 20_000, "{}" * 20_000, '{"a":{"b":{} }{ ' * 20_000):
        read = 0
        rows(JSON, content)
        assert read <= 4 * len(content)


# --- forms ------------------------------------------------------------------------------------------------------
FORM = SMALL.replace("format: csv", "format: form")


def test_a_form_body_is_a_row() -> None:
    body = urlencode({"id": "1", "to": "+86 138&00=", "end": T, "spare": ""})
    (row,) = rows(FORM, f"{body}\r\n\n")
    assert (row.record.call_id, row.record.callee) == ("1", "+86 138&00=")


@pytest.mark.parametrize(
    ("body", "reported"),
    [
        ("id=1&to=2&end=1700000000&id=3", "malformed_row: expected id once in the form, got it twice"),
        ("id=1&to=%ff&end=1700000000", "not_text: "),
        ("id=ö", "not_text: "),
        ("no form", "malformed_row: expected a form, name=value&name=value"),
        ("a=1&" * 2_000 + "b=1", "malformed_row: expected a form"),
        ("to=2&end=1700000000", "missing_field: call_id: column id is empty"),
    ],
)
def test_a_body_that_is_no_form_is_rejected_alone(body: str, reported: str) -> None:
    found = rows(FORM, f"{body}\nid=1&to=2&end={T}\n")
    assert sorted(ids(found), key=len)[0] == "1"
    (reason,) = [str(row.reason) for row in found if row.reason]
    assert reason.startswith(reported)
    assert len(reason) < 300


@pytest.mark.parametrize("how", ["bare", "plain", "url", "base64", "base64 in a form"])
def test_a_document_may_stand_in_a_field_of_a_form(how: str) -> None:
    mapping = JSON.replace("json\n", "json\nform_field: cdr\n")
    document = f'{{"id": "a+b%2B", "to": "2", "end": {T}}}'
    encoded = base64.b64encode(document.encode()).decode()
    content = {
        "bare": document,
        "plain": f"cdr={document}",
        "url": f"cdr={quote(document, safe='')}",
        "base64": f"cdr={encoded}",
        "base64 in a form": f"cdr={quote(encoded, safe='')}",
    }[how]
    assert ids(rows(mapping, f"{content}\n{content}\n")) == ["a+b%2B", "a+b%2B"]
    assert ids(adapter(mapping).read(content.encode())) == ["a+b%2B"]


def test_a_field_that_holds_no_document_is_a_rejected_row() -> None:
    mapping = JSON.replace("json\n", "json\nform_field: cdr\n")
    (row,) = adapter(mapping).read(b"cdr=!!")
    assert str(row.reason).startswith("malformed_json")


# --- values -----------------------------------------------------------------------------------------------------
def test_a_value_is_decoded_where_the_mapping_says_so() -> None:
    content = '{"id": 1, "v": "a%20b%2B%E5%91%BC+", "w": "100%"}'
    assert value("{column: v, decode: url}", content, LINES) == "a b+呼+"
    assert value("{column: v}", content, LINES) == "a%20b%2B%E5%91%BC+"
    assert value("{column: w, decode: url}", content, LINES) == "100%"
    assert value("{join: [v, w], decode: url, with: '/'}", content, "decode: url\n" + LINES) == "a b+呼+/100%"
    assert str(value("{column: v, decode: url}", '{"id": 1, "v": "%ff"}', LINES)).startswith(
        "not_text: declared_business"
    )


def test_the_whole_file_may_be_decoded_and_its_conditions_too() -> None:
    field = '{cases: [{when: {column: v, equals: "sip:404"}, const: seen}, {const: missed}]}'
    assert value(field, '{"id": 1, "v": "sip%3A404"}', "decode: url\n" + LINES) == "seen"
    assert value(field, '{"id": 1, "v": "sip%3A404"}', LINES) == "missed"


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


REASON = """\
extract:
- {first: [header, other], pattern: 'cause=(?P<cause>[0-9]+)(?:;text="(?P<text>[^"]*)")?'}
- {column: other, pattern: "^(?P<cause>[0-9]{3}) "}
"""


def test_the_groups_of_a_pattern_are_columns() -> None:
    field = '{join: [$cause, $text], with: "/"}'
    content = {"id": 1, "header": 'SIP;cause=603;text="Network Blocked"', "other": "404 Not Found"}
    assert value(field, json.dumps(content), REASON + LINES) == "603/Network Blocked"
    assert value("{column: $cause}", json.dumps({**content, "header": "x"}), REASON + LINES) == "404"
    assert value('{column: $cause, default: "none"}', '{"id": 1}', REASON + LINES) == "none"
    csv = 'id;header\n1;"Q.850;cause=21"\n'
    mapping = 'delimiter: ";"\noptional: [other]\n' + REASON
    assert value("{column: $cause}", csv, mapping) == "21"


@pytest.mark.parametrize(
    ("old", "new", "place", "reported"),
    [
        ("pattern: 'cause", "pattern: '(cause", "2:37", "expected a regular expression"),
        ("{column: other, pattern", "{pattern", "3:3", "expected a `column`, or the `first`"),
        ('"^(?P<cause>[0-9]{3}) "', '"^[0-9]{3} "', "3:28", "named groups"),
        ('"^(?P<cause>[0-9]{3}) "', '"^(?P<row>[0-9]{3}) "', "3:28", "another name for the group `row`"),
        ("$cause", "$reason", "10:31", "expected `$row`, `$cause`, `$text`"),
    ],
)
def test_a_wrong_extract_is_reported_where_it_stands(old: str, new: str, place: str, reported: str) -> None:
    mapping = f"{REASON}{LINES}{ONE}  declared_business: {{column: $cause}}\n"
    assert old in mapping
    with pytest.raises(MappingError) as caught:
        read_mapping(mapping.replace(old, new), "acme.yaml")
    faults = {f"{fault.line}:{fault.column}": fault.message for fault in caught.value.faults}
    assert reported in faults.get(place, ""), faults


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


GATEWAYS = """\
settings: {gateways: "", region: CN, zone: }
format: jsonl
zone: $zone
reject:
- when: [{setting: gateways, empty: false}, {none: [{column: a, in: $gateways}, {column: b, in: $gateways}]}]
  reason: another leg
  code: internal_leg
record: cdr
fields:
  call_id: {column: id}
  tenant_id: {column: tenant}
  direction: {cases: [{when: {column: a, in: $gateways}, const: inbound}, {const: outbound}]}
  caller: {column: a, default: x}
  callee: {column: to, number: $region}
  start_ms: {column: at, time: "%Y-%m-%d %H:%M"}
  end_ms: {column: at, time: "%Y-%m-%d %H:%M"}
  outcome: {const: busy}
"""


def test_settings_stand_for_texts_and_lists() -> None:
    content = "".join(
        json.dumps({"id": n, "tenant": "t", "a": a, "b": b, "to": "2125550123", "at": "2026-03-02 09:30"}) + "\n"
        for n, (a, b) in enumerate([("gw1", ""), ("", "gw2"), ("", "desk")])
    )
    given = {"gateways": "gw1, gw2", "region": "US", "zone": "Asia/Shanghai"}
    first, second, third = rows(GATEWAYS, content, given)
    assert (first.record.direction, second.record.direction) == ("inbound", "outbound")
    assert third.reason == "internal_leg: another leg"
    assert first.record.callee == "+12125550123"
    assert first.record.end_ms == 1_772_415_000_000
    assert [row.reason for row in rows(GATEWAYS, content, {"zone": "UTC"})] == [None, None, None]


@pytest.mark.parametrize(
    ("old", "new", "given", "reported"),
    [
        ("", "", {}, "acme.yaml --set:1:1: expected --set zone=TEXT: this mapping has no default for it"),
        ("", "", {"zone": "UTC", "gatewys": "x"}, "acme.yaml --set:1:1: a cdr has no field `gatewys`"),
        ("", "", {"zone": "Mars"}, "acme.yaml:3:7: 'Mars' is no time zone"),
        ("region: CN", "region: 7", {"zone": "UTC"}, "acme.yaml:1:34: expected the default text of `region`"),
        ("region: CN", "call_id: CN", {"zone": "UTC"}, "acme.yaml:1:26: expected another name: `call_id` is a field"),
        ("setting: gateways", "setting: gates", {"zone": "UTC"}, "acme.yaml:5:20: expected a name of `settings`"),
        ("internal_leg", "internal", {"zone": "UTC"}, "acme.yaml:7:9: `internal` is not allowed here"),
        ("a, in: $gateways}, {column: b", "a, in: $gates}, {column: b", {"zone": "UTC"}, ""),
    ],
)
def test_a_wrong_setting_is_reported(old: str, new: str, given: dict[str, str], reported: str) -> None:
    if not reported:  # a text that only looks like a setting is a text
        read_mapping(GATEWAYS.replace(old, new), "acme.yaml", given)
        return
    with pytest.raises(MappingError) as caught:
        read_mapping(GATEWAYS.replace(old, new, 1) if old else GATEWAYS, "acme.yaml", given)
    assert reported in str(caught.value)


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


@pytest.mark.parametrize(
    ("table", "text", "outcome"),
    [
        ("sip", "404", "invalid_number"),
        ("sip", "486", "busy"),
        ("sip", "480", "unreachable"),
        ("sip", "603", "rejected"),
        ("sip", "608", "carrier_blocked"),
        ("sip", "403", "failed"),
        ("sip", "699", "failed"),
        ("q850", "1", "invalid_number"),
        ("q850", "21", "rejected"),
        ("q850", "52", "failed"),
        ("hangup_cause", "NO_USER_RESPONSE", "unreachable"),
    ],
)
def test_the_causes_of_the_networks_have_their_outcomes(table: str, text: str, outcome: str) -> None:
    mapping = SMALL.replace("{const: busy}", f"{{column: code, table: {table}}}")
    (row,) = rows(mapping, f"id,to,end,code\n1,2,{T},{text}\n")
    assert row.record.outcome == outcome


def test_an_unknown_cause_is_rejected_or_what_the_mapping_says() -> None:
    mapping = SMALL.replace("{const: busy}", "{column: code, table: sip, otherwise: {const: failed}}")
    assert [row.record.outcome for row in rows(mapping, f"id,to,end,code\n1,2,{T},999\n")] == ["failed"]
    mapping = SMALL.replace("{const: busy}", "{column: code, table: sip}")
    (row,) = rows(mapping, f"id,to,end,code\n1,2,{T},999\n")
    assert row.reason == "unknown_value: outcome: '999' has no entry in the table"


def test_of_an_address_the_number_is_taken() -> None:
    for text, expected in [
        ("tel:+8613800138000", "+8613800138000"),
        ("sip:13800138000@192.0.2.7:5060;transport=udp", "+8613800138000"),
        ("sip:1001@pbx", "1001"),
        ("sip:alice@pbx", "sip:alice@pbx"),
        ("TEL:+86-138-0013-8000;ext=1", "+8613800138000"),
    ]:
        assert value("{column: v, number: CN}", f"id,v\n1,{text}\n") == expected


# --- a list of columns; the last may be missing ---------------------------------------------------------------
def test_rows_may_lack_the_optional_columns_at_their_end() -> None:
    mapping = SMALL.replace("format: csv", "format: csv\nheader: [id, to, end, code, more]\noptional: [code, more]")
    mapping = mapping.replace("{const: busy}", "{join: [code, more], default: busy}")
    found = rows(mapping, f'1,2,{T}\n2,2,{T},failed,\n3,2,{T},failed,"a\nb"\n4,2\n5,2,{T},a,b,c\n')
    assert [(row.line, row.record.call_id) for row in found if row.record] == [(1, "1"), (2, "2")]
    reasons = {row.line: str(row.reason) for row in found if row.reason}
    assert reasons[5] == "malformed_row: 2 cells; expected 3 to 5, as in the header"
    assert reasons[6].startswith("malformed_row: 6 cells")


# --- one document -----------------------------------------------------------------------------------------------
def test_a_document_is_read_the_same_each_time_and_keeps_its_order() -> None:
    reader = adapter(JSON)
    document = f'[{call(2)}, {{"id": 7}}, {call(1)}]'.encode()
    first = reader.read(document)
    assert ids(first) == ["2", "missing_field: callee: column to is empty", "1"]
    assert reader.read(document) == first == adapter(JSON).read(document)
    assert [row.raw for row in first] == [call(2).encode(), b'{"id": 7}', call(1).encode()]


def test_a_document_of_csv_has_its_own_header() -> None:
    reader = adapter(SMALL)
    assert ids(reader.read(f"id,to,end\n1,2,{T}\n".encode())) == ["1"]
    assert ids(reader.read(f"end,id,to\n{T},3,2\n".encode())) == ["3"]
    (row,) = reader.read(b"id,end\n1,2\n")
    assert row.reason == "malformed_row: the file has no column `to`; known: `id`, `end`"
    assert reader.read(b"") == []


def test_a_mapping_is_compiled_once_for_bodies_with_the_same_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    from monitor.adapters import mapped

    compiled = []
    original = mapped.RowProgram

    def counting(*args: object) -> mapped.RowProgram:
        compiled.append(args)
        return original(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(mapped, "RowProgram", counting)
    for reader, document in ((adapter(JSON), call(1)), (adapter(SMALL), f"id,to,end\n1,2,{T}\n")):
        compiled.clear()
        for _ in range(3):
            assert ids(reader.read(document.encode())) == ["1"]
        assert len(compiled) == 1


def test_a_document_that_is_too_long_is_one_rejected_row() -> None:
    (row,) = adapter(JSON).read(b" " * (32 << 20))
    assert str(row.reason).startswith("too_long: expected a document of less than 33,554,432 bytes")


def test_rows_from_a_stream_and_from_a_document_are_the_same_records() -> None:
    content = "".join(f"{call(n)}\n" for n in range(5))
    assert sorted(ids(list(adapter(JSON).rows(io.BytesIO(content.encode()))))) == sorted(
        ids(adapter(JSON).read(content.encode()))
    )
