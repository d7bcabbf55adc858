"""The section `events` of a mapping: its features, and the position of each error in it."""

import base64
import io

import pytest

from monitor.adapters.assembled import AssembledAdapter
from monitor.adapters.base import InputRow
from monitor.adapters.errors import MappingError, TooManyRows
from monitor.adapters.mapping.read import read_mapping
from monitor.adapters.values.pseudonym import PUBLIC_KEY
from schemas.inputs import Cdr

STEPS = """\
format: csv
record: cdr
events:
  call: {column: id}
  time: {column: at, time: epoch_s}
  kinds:
    start: {when: {column: step, equals: start}, roles: [open]}
    ring: {when: {column: step, equals: ring}}
    answer: {when: {column: step, equals: answer}, roles: [answer]}
    fail: {when: {column: step, equals: fail}, roles: [fail]}
    end: {when: {column: step, equals: end}, roles: [close]}
fields:
  call_id: {column: id}
  tenant_id: {column: tenant}
  direction: {const: outbound}
  caller: {column: from}
  callee: {column: to}
  start_ms: {column: at, of: start, time: epoch_s}
  answer_ms: {column: at, of: answer, time: epoch_s}
  end_ms: {column: $last_ms, time: epoch_ms}
  outcome: {cases: [{when: {column: $kind, of: answer, empty: false}, const: answered}, {const: failed}]}
"""
T = 1_700_000_000


def adapter(mapping: str) -> AssembledAdapter:
    found = read_mapping(mapping, "test.yaml")
    assert found.events is not None
    return AssembledAdapter(found, found.events, PUBLIC_KEY)


def rows(mapping: str, *events: str, more: str = "") -> list[InputRow]:
    """The calls of events `id step second`; each has a tenant, and numbers that contain its step."""
    lines = [f"id,step,at,tenant,from,to{more}"]
    for event in events:
        name, step, second, *rest = event.split()
        lines.append(",".join((name, step, str(T + int(second)), "acme", f"from-{step}", f"to-{step}", *rest)))
    return list(adapter(mapping).rows(io.BytesIO("\n".join(lines).encode())))


def call(mapping: str, *events: str, more: str = "") -> Cdr:
    (row,) = rows(mapping, *events, more=more)
    assert isinstance(row.record, Cdr), row.reason
    return row.record


@pytest.mark.parametrize("document", [b'{"id": "c"}\n' * 300, b"body=" + base64.b64encode(b'{"id": "c"}\n' * 300)])
def test_a_document_of_far_too_many_rows_is_not_read_also_in_a_form_field(document: bytes) -> None:
    reader = adapter(STEPS.replace("csv\n", "jsonl\nform_field: body\n", 1))
    with pytest.raises(TooManyRows, match="far more lines"):
        next(reader.document_events(document, 2))


def test_a_field_is_that_of_the_first_event_that_has_it() -> None:
    found = call(STEPS, "c ring 1", "c start 0", "c end 9")
    assert (found.caller, found.end_ms - found.start_ms, found.outcome) == ("from-start", 9_000, "failed")
    of = STEPS.replace("{column: from}", "{column: from, of: [end, ring]}").replace(
        "{column: to}", "{column: to, of: ring}"
    )
    found = call(of, "c ring 1", "c start 0", "c end 9")
    assert (found.caller, found.callee) == ("from-end", "to-ring")


def test_take_last_reads_the_last_event_of_a_kind() -> None:
    ring = STEPS.replace("{column: to}", "{column: row, of: ring}").replace("ring: {when", "ring: {take: last, when")
    events = ("c start 0 a", "c ring 2 b", "c ring 1 c", "c end 9 d")
    assert call(ring, *events, more=",row").callee == "b"
    assert call(ring.replace("take: last, ", ""), *events, more=",row").callee == "c"


def test_the_sequence_decides_before_the_time() -> None:
    sequence = STEPS.replace("  kinds:", "  sequence: n\n  kinds:").replace(
        "{column: to}", "{column: to, of: [ring, start]}"
    )
    found = call(sequence.replace("{column: from}", "{column: n}"), "c start 0 2", "c ring 0 1", "c end 9 3", more=",n")
    assert found.caller == "1"
    (row, *_) = rows(sequence, "c start 0 x", more=",n")
    assert row.reason == "wrong_type: sequence: expected a whole number, got 'x'"


def test_an_event_that_fails_closes_a_call_without_an_answer_alone() -> None:
    assert call(STEPS, "c start 0", "c fail 5").end_ms == (T + 5) * 1000
    (row,) = rows(STEPS, "c start 0", "c answer 3", "c fail 5")
    assert (row.reason or "").startswith("incomplete: expected the end of the answered call before the input ends")
    assert call(STEPS, "c start 0", "c answer 3", "c fail 5", "c end 7").outcome == "answered"


def test_a_call_that_times_out_says_so() -> None:
    ended = STEPS.replace("{column: to}", "{column: $ended}")
    assert call(ended, "c start 0").callee == "timeout"
    assert call(ended, "c start 0", "c end 1").callee == "closed"


def test_the_ends_of_a_call_may_be_swapped() -> None:
    ends = STEPS.replace("  kinds:", "  ends: [a, b]\n  kinds:").replace("{column: to}", "{column: $swapped, of: end}")
    assert call(ends, "c start 0 x y", "c end 1 x y", more=",a,b").callee == "false"
    assert call(ends, "c start 0 x y", "c end 1 y x", more=",a,b").callee == "true"
    assert len(rows(ends, "c start 0 x y", "c start 0 x z", "c end 1 y x", more=",a,b")) == 2


def test_two_columns_are_compared() -> None:
    same = STEPS.replace("start: {when: {column: step, equals: start}", "start: {when: {column: step, same_as: mark}")
    assert call(same, "c start 0 start", "c end 1 -", more=",mark").outcome == "failed"
    found = [(row.reason or "").partition(":")[0] for row in rows(same, "c start 0 -", "c end 1 -", more=",mark")]
    assert found == ["excluded", "incomplete"]


def test_the_calls_of_a_file_are_in_the_order_of_their_ends_with_their_first_lines_and_their_bytes() -> None:
    found = rows(STEPS, "a start 0", "a answer 1", "b start 2", "b end 3", "a end 600", "c start 400", "d walk 0")
    assert [row.line for row in found if row.record is None] == [8]
    calls = [row.record.call_id for row in found if isinstance(row.record, Cdr)]
    assert calls == ["b", "c", "a"]
    (row,) = (row for row in found if row.record is not None and row.line == 2)
    assert row.raw.count(b"\n") == 2
    assert row.raw.endswith(b"from-end,to-end")


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("  call: {column: id}\n", "", "`call` is missing in `events`"),
        ("  time: {column: at, time: epoch_s}\n", "", "`time` is missing in `events`"),
        ("time: {column: at, time: epoch_s}\n  kinds", "time: {column: at}\n  kinds", "a time needs `time`"),
        ("  kinds:", "  ring_timeout: 2h\n  kinds:", "expected at most 1h, got 2h"),
        ("  kinds:", "  max_call: soon\n  kinds:", "expected a duration such as"),
        ("  kinds:", "  ends: [a]\n  kinds:", "expected the two columns of a call's ends"),
        ("  kinds:", "  key: a\n  kinds:", "`key` means nothing here"),
        ("roles: [open]", "roles: [opens]", "expected roles of open, answer, close, fail, got `opens`"),
        (", roles: [open]", "", "expected a kind with `open` in its `roles`"),
        (", roles: [close]", "", "expected a kind with `close` in its `roles`"),
        ("ring: {when: {column: step, equals: ring}}", "ring: {}", "expected `when`: it tells the events of this kind"),
        ("of: start", "of: begin", "expected a kind of `events`, got `begin`"),
        ("{column: from}", "{column: $row}", "`$row` is of a row, and a call has several"),
        ("{column: from}", "{column: $kind}", "`$kind` is of one event: add `of: KIND`"),
        ("record: cdr", "record: cdr\nsort: false", "`sort` does not go with `events`"),
        ("tenant_id: {column: tenant}", "tenant_id: {column: tenant, when: {field: caller, empty: true}}", "by tenant"),
        ("equals: start", "same_as: ''", "expected the name of a column"),
        ("equals: start", "equals: start, parts: '[a-z]+'", "expected `parts` with named groups"),
        ("equals: start", "parts: '(?P<a>[a-z]+)'", "a condition needs equals"),
    ],
)
def test_a_fault_of_the_events_has_its_place(before: str, after: str, fault: str) -> None:
    assert before in STEPS
    with pytest.raises(MappingError) as raised:
        read_mapping(STEPS.replace(before, after, 1), "test.yaml")
    assert any(fault in each.message for each in raised.value.faults), raised.value
    assert all(each.line > 0 for each in raised.value.faults)


def test_of_is_for_events_alone() -> None:
    head, _, rest = STEPS.partition("events:\n")
    with pytest.raises(MappingError, match="`of` is for the fields of a mapping with `events`"):
        read_mapping(head + rest[rest.index("fields:") :], "test.yaml")
