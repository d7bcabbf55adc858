"""The codec accepts exactly what the contract allows, from bytes and from Python values."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st
from near_records import SAMPLES, near_records, raw

from helpers.thorough import examples
from oracle.records import parse
from schemas.codec import (
    ErrorCode,
    InvalidRecordError,
    check,
    convert,
    decode,
    decoder_for,
    encode,
    event_time,
    plain,
    read,
    record_id,
)
from schemas.error_messages import EXPECTED, NUMBER_FIELDS
from schemas.examples import EXAMPLES
from schemas.inputs import MAX_ITEMS, Cdr, Record
from schemas.json_schema import INPUTS
from schemas.outputs import Measure

CALL = SAMPLES["cdr"]
START = CALL["start_ms"]


def accepted(line: bytes) -> bool:
    try:
        read(line)
    except InvalidRecordError:
        return False
    return True


def outcome(reader: Callable[[Any], Record], given: Any) -> Record | str:
    try:
        return reader(given)
    except InvalidRecordError as rejection:
        return str(rejection)


def code(error: pytest.ExceptionInfo[InvalidRecordError]) -> str:
    return str(error.value).partition(":")[0]


@examples(near_records(), fast=30, most=1_500)
def test_the_reader_takes_what_an_independent_reading_of_the_contract_takes(record: dict[str, Any]) -> None:
    line = raw(record)
    assert accepted(line) == (parse(line) is not None), line


@examples(near_records(), fast=30, most=800)
def test_python_values_are_taken_as_strictly_as_json(record: dict[str, Any]) -> None:
    # The same record, or the same reason.
    assert outcome(convert, record) == outcome(read, raw(record))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_field_of_tomorrow_is_ignored(name: str) -> None:
    strange = {"tomorrow": {"a": [1, None, "x"]}, "": 0, "type ": "x"}
    assert read(raw(strange | SAMPLES[name])) == read(raw(SAMPLES[name]))


@pytest.mark.parametrize("name", SAMPLES)
def test_null_empty_and_absent_mean_the_same(name: str) -> None:
    optional = [f.name for f in msgspec.structs.fields(INPUTS[name]) if not f.required]
    sample = {k: v for k, v in SAMPLES[name].items() if k not in optional}
    if name == "cdr":
        sample["outcome"] = "busy"
    for nothing in (None, ""):
        record = read(raw(sample | dict.fromkeys(optional, nothing)))
        assert all((getattr(record, field) or None) is None for field in optional)
        assert check(record) is None
    assert read(raw(sample))


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize(
    "written", [r"\ud800", r"\uDBFF", r"\udc00", r"\uDFFF", r"\ud83d\ud83d", r"\ude00\ud83d", r"a\ud83dz"]
)
def test_a_lone_surrogate_is_rejected_in_every_known_text_field(name: str, written: str) -> None:
    for field, value in SAMPLES[name].items():
        if isinstance(value, int):
            continue
        line = json.dumps(SAMPLES[name] | {field: "MARK" if isinstance(value, str) else ["MARK"]})
        with pytest.raises(InvalidRecordError) as caught:
            read(line.replace("MARK", written).encode())
        assert code(caught) == ErrorCode.LONE_SURROGATE, (field, caught.value)


def test_a_lone_surrogate_in_a_python_string_is_rejected() -> None:
    for field in ("call_id", "caller", "source"):
        with pytest.raises(InvalidRecordError, match=rf"^lone_surrogate: {field} ") as caught:
            convert(CALL | {field: "a\ud83d"})
        str(caught.value).encode()
    with pytest.raises(InvalidRecordError, match=r"^lone_surrogate: numbers "):
        convert(SAMPLES["tenant"] | {"numbers": ["1", "\udc00"]})


def test_a_whole_surrogate_pair_is_one_character() -> None:
    line = raw(CALL).replace(b'"acme"', rb'"' + rb"\ud83d\ude00" * 128 + rb'"')
    assert read(line).tenant_id == "\U0001f600" * 128


@pytest.mark.parametrize(
    "written",
    [
        "{}.0",
        "{}e0",
        "{}E0",
        "{}.5",
        '"{}"',
        "true",
        "false",
        "[{}]",
        "1.7955792e12",
        "179557920000e1",
        "{{}}",
        "1e400",
    ],
)
@pytest.mark.parametrize("field", ["start_ms", "ring_ms", "answer_ms", "end_ms"])
def test_a_time_that_is_not_written_as_an_integer_is_rejected(field: str, written: str) -> None:
    line = raw(CALL).replace(f'"{field}": {CALL[field]}'.encode(), f'"{field}": {written.format(CALL[field])}'.encode())
    assert line != raw(CALL)
    with pytest.raises(InvalidRecordError, match=f"^wrong_type: {field} .*expected an integer"):
        read(line)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"ring_ms": START - 1}, "impossible_times: ring_ms"),
        ({"answer_ms": CALL["ring_ms"] - 1}, "impossible_times: answer_ms"),
        ({"answer_ms": START - 1, "ring_ms": None}, "impossible_times: answer_ms"),
        ({"end_ms": CALL["answer_ms"] - 1}, "impossible_times: end_ms"),
        ({"end_ms": START - 1, "ring_ms": "", "answer_ms": "", "outcome": "busy"}, "impossible_times: end_ms"),
        ({"ring_ms": CALL["end_ms"] + 1, "answer_ms": "", "outcome": "busy"}, "impossible_times: end_ms"),
        ({"answer_ms": None}, "answer_mismatch: outcome is answered but answer_ms is missing"),
        ({"outcome": "failed"}, "answer_mismatch: outcome is failed but answer_ms is 1"),
    ],
)
def test_times_out_of_order_are_rejected_with_both_times(changed: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidRecordError) as caught:
        read(raw(CALL | changed))
    assert str(caught.value).startswith(fault)
    assert check(decode(raw(CALL | changed))) == str(caught.value)


def test_times_that_are_all_the_same_are_possible() -> None:
    assert read(raw(CALL | dict.fromkeys(("ring_ms", "answer_ms", "end_ms"), START)))


@examples(
    st.integers(1, 12).flatmap(lambda n: st.tuples(*[st.text("0123456789", min_size=n + 6, max_size=n + 6)] * 2)),
    fast=75,
    most=300,
)
def test_a_reason_never_reveals_a_telephone_number(numbers: tuple[str, str]) -> None:
    number, other = numbers
    for wrong in (number * 20, "+" + number * 20, int("8" + number), [number], {"n": number}, number + "\n" * 150):
        for field in sorted(NUMBER_FIELDS - {"numbers"}):
            with pytest.raises(InvalidRecordError) as caught:
                read(raw(SAMPLES["cdr"] | {field: wrong}))
            assert field in str(caught.value)
            assert number[:-2] not in str(caught.value)
        for strange in ({"agent_id": str(wrong) * 20}, {"outcome": str(wrong)[:50]}, {"type": str(wrong)[:50]}):
            with pytest.raises(InvalidRecordError) as caught:
                read(raw(CALL | strange))
            assert number[:-2] not in str(caught.value)
    with pytest.raises(InvalidRecordError) as caught:
        read(raw(CALL | {"source": int("8" + number)}))
    assert number[:-2] not in str(caught.value)
    with pytest.raises(InvalidRecordError) as caught:
        read(raw(SAMPLES["tenant"] | {"numbers": [other, int("8" + number)]}))
    assert str(caught.value).startswith("wrong_type: numbers[1] is •")
    assert number[:-2] not in str(caught.value)


@pytest.mark.parametrize("field", ["agent_id", "call_id", "tenant_id"])
def test_an_id_that_is_written_as_a_number_is_shown_whole(field: str) -> None:
    with pytest.raises(InvalidRecordError) as caught:
        read(raw(CALL | {field: 1_400_000_000}))
    assert f"{field} is 1400000000 (a number)" in str(caught.value)
    for number in (13_812_345_678, -13_812_345_678):
        with pytest.raises(InvalidRecordError) as caught:
            read(raw(CALL | {field: number}))
        assert "1381234" not in str(caught.value)


def test_a_reason_names_field_value_and_what_was_expected() -> None:
    with pytest.raises(InvalidRecordError) as caught:
        read(raw(CALL | {"direction": "sideways"}))
    assert str(caught.value) == 'unknown_value: direction is "sideways"; expected one of inbound, outbound'
    with pytest.raises(InvalidRecordError) as caught:
        read(raw(CALL | {"callee": ""}))
    assert str(caught.value) == 'wrong_length: callee is "" (0 characters); expected a string of 1 to 64 characters'
    businesses = ["loans"] * MAX_ITEMS
    assert read(raw(SAMPLES["tenant"] | {"declared_businesses": businesses}))
    with pytest.raises(InvalidRecordError) as caught:
        read(raw(SAMPLES["tenant"] | {"declared_businesses": [*businesses, "more"]}))
    assert str(caught.value) == (
        "wrong_length: declared_businesses is an array of 1001 items; expected an array of at most 1000 items, "
        "each item a string of at most 4096 characters"
    )


def test_of_a_field_given_twice_the_reason_does_not_show_the_wrong_one() -> None:
    line = raw(CALL)[:-1] + b', "direction": "sideways", "direction": "outbound"}'
    with pytest.raises(InvalidRecordError) as caught:
        read(line)
    assert str(caught.value) == "unknown_value: direction does not fit; expected one of inbound, outbound"


@pytest.mark.parametrize("name", INPUTS)
def test_every_field_says_what_it_expects(name: str) -> None:
    assert set(EXPECTED[name]) == {field.encode_name for field in msgspec.structs.fields(INPUTS[name])}
    assert all(EXPECTED[name].values())


@pytest.mark.parametrize("name", EXAMPLES)
def test_encoding_keeps_the_order_of_fields_and_reads_back_equal(name: str) -> None:
    record = EXAMPLES[name]
    written = encode(record)
    assert b"\n" not in written
    assert written == encode(msgspec.json.decode(written, type=type(record)))
    assert msgspec.json.decode(written, type=type(record)) == record
    names = [field.encode_name for field in msgspec.structs.fields(type(record))]
    keys = [key for key in json.loads(written) if key in names]
    assert keys == [name for name in names if name in keys]


def test_encoding_leaves_text_unescaped_and_floats_shortest() -> None:
    written = encode(EXAMPLES["alert"])
    assert "可以确信高于 15 %".encode() in written
    assert b'"value":0.19398642095053345,' in written


@pytest.mark.parametrize("name", SAMPLES)
def test_event_time_and_id_are_those_of_the_contract(name: str) -> None:
    sample = SAMPLES[name]
    record = read(raw(sample))
    assert event_time(record) == sample["end_ms" if name == "cdr" else "updated_ms"]
    assert record_id(record) == sample[{"cdr": "call_id"}.get(name, f"{name}_id")]


def test_an_ordinary_batch_needs_no_second_look() -> None:
    lines = [raw(CALL), raw(SAMPLES["review"])]
    assert plain(lines)
    assert plain([])
    assert plain([*lines, raw(SAMPLES["tenant"])]), "Chinese text is UTF-8"
    assert plain([*lines, raw(CALL | {"source": "x" * 1_000})]), "a long line need not nest"
    assert not plain([*lines, raw(CALL)[:-1] + b', "x": "\xff"}'])
    assert not plain([*lines, raw(CALL)[:-1] + b', "x": ' + b"[" * 600 + b"]" * 600 + b"}"])
    assert isinstance(read(lines[0]), Cdr)


def test_the_decoder_for_a_batch_rejects_what_the_bare_one_would_skip() -> None:
    line = raw(CALL)
    bad = line[:-1] + b', "x": "\xff"}'
    assert decoder_for([line]) is decode
    careful = decoder_for([line, bad])
    assert careful(line) == decode(line) == decode(bad)
    with pytest.raises(InvalidRecordError, match=r"^not_utf8: "):
        careful(bad)


def test_a_measure_that_was_stored_is_the_same_bytes() -> None:
    for measure in (Measure("violations", 3, None, 3, 3, None), Measure("short_call_ratio", 1, 2, 0.5, 3.0, 0.25)):
        stored = msgspec.msgpack.decode(msgspec.msgpack.encode(measure), type=Measure)
        assert msgspec.json.encode(stored) == msgspec.json.encode(measure)
