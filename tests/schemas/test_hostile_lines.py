"""A hostile line neither stops a run nor affects its neighbours, and is rejected with a reason."""

import json
import random

import msgspec
import pytest
from hypothesis import example
from hypothesis import strategies as st
from near_records import SAMPLES, near_records, raw

from helpers.thorough import examples
from schemas.codec import DECODE_ERRORS, MAX_DEPTH, ErrorCode, InvalidRecordError, decode, explain, flaw, plain, read

CALL = raw(SAMPLES["cdr"])
TENANT = raw(SAMPLES["tenant"])
BARE = CALL[:-1]
NUMBER = SAMPLES["cdr"]["caller"]

CODES = {str(fault) for fault in ErrorCode}


def call(**fields: object) -> bytes:
    return raw(SAMPLES["cdr"] | fields)


def nested(opened: bytes, closed: bytes, times: int) -> bytes:
    return BARE + b',"x":' + opened * times + b"1" + closed * times + b"}"


HOSTILE = {
    "nothing": (b"", "truncated_json"),
    "white space": (b" \t\r\n ", "truncated_json"),
    "cut in a string": (CALL[: CALL.index(b"acme") + 2], "truncated_json"),
    "cut in a number": (BARE[: BARE.index(b"start_ms") + 14], "truncated_json"),
    "cut before the last brace": (BARE, "truncated_json"),
    "cut in an escape": (b'{"type":"cdr","call_id":"\\u00', "truncated_json"),
    "the first half of a line": (CALL[: len(CALL) // 2], "truncated_json"),
    "the second half of a line": (CALL[len(CALL) // 2 :], "malformed_json"),
    "two records": (CALL + CALL, "malformed_json"),
    "two records with a comma": (CALL + b"," + CALL, "malformed_json"),
    "trailing comma": (BARE + b",}", "malformed_json"),
    "NaN in a field": (CALL.replace(b'"outbound"', b"NaN"), "malformed_json"),
    "NaN in an unknown field": (BARE + b',"x":NaN}', "malformed_json"),
    "infinity": (BARE + b',"x":-Infinity}', "malformed_json"),
    "a comment": (BARE + b'/* */,"x":1}', "malformed_json"),
    "single quotes": (b"{'type':'cdr'}", "malformed_json"),
    "a leading zero": (CALL.replace(b": 1795", b": 01795"), "malformed_json"),
    "NUL": (b"\x00", "malformed_json"),
    "NUL in a string": (CALL.replace(b"acme", b"ac\x00me"), "malformed_json"),
    "NUL after the record": (CALL + b"\x00", "malformed_json"),
    "NULs before the record": (b"\x00" * 4096 + CALL, "malformed_json"),
    "a raw line feed in a string": (CALL.replace(b"acme", b"ac\nme"), "malformed_json"),
    "byte order mark": (b"\xef\xbb\xbf" + CALL, "malformed_json"),
    "UTF-16": (CALL.decode().encode("utf-16"), "not_utf8"),
    "UTF-16 without a mark": (CALL.decode().encode("utf-16-le"), "malformed_json"),
    "Latin-1 in a field": (call(source="café").decode().encode("latin-1"), "not_utf8"),
    "GBK in a field": (call(source="客服").decode().encode("gbk"), "not_utf8"),
    "a raw surrogate": (CALL.replace(b"acme", b"\xed\xa0\x80"), "not_utf8"),
    "an overlong NUL": (CALL.replace(b"acme", b"\xc0\x80"), "not_utf8"),
    "beyond Unicode": (CALL.replace(b"acme", b"\xf4\x90\x80\x80"), "not_utf8"),
    "not UTF-8 in an unknown field": (BARE + b',"x":"\xff"}', "not_utf8"),
    "not UTF-8 in an unknown name": (BARE + b',"\xff":1}', "not_utf8"),
    "an escaped high surrogate": (CALL.replace(b"acme", rb"\ud83d" + b"x" * 8), "lone_surrogate"),
    "an escaped low surrogate": (CALL.replace(b"acme", rb"\ude00"), "lone_surrogate"),
    "two high surrogates": (CALL.replace(b"acme", rb"\ud83d\ud83d"), "lone_surrogate"),
    "a surrogate pair the wrong way round": (CALL.replace(b"acme", rb"\ude00\ud83d"), "lone_surrogate"),
    "a surrogate before the quote of an unknown field": (
        CALL.replace(b"{", rb'{"x": "\ud83d", ', 1),
        "lone_surrogate",
    ),
    "a surrogate in a list that is not read": (CALL.replace(b"{", rb'{"x": ["\uD83Dx"], ', 1), "lone_surrogate"),
    "half an escape in an unknown field": (CALL.replace(b"{", rb'{"x": "\ud8", ', 1), "malformed_json"),
    "a surrogate before the quote": (CALL.replace(b"acme", rb"\ud83d"), "lone_surrogate"),
    "a surrogate at the very end": (BARE + rb',"source":"\ud83d"}', "lone_surrogate"),
    "a surrogate in an unknown field": (BARE + rb',"x":"\ud83d"}', "lone_surrogate"),
    "arrays just too deep": (nested(b"[", b"]", MAX_DEPTH), "too_deep"),
    "arrays 100,000 deep": (nested(b"[", b"]", 100_000), "too_deep"),
    "objects 100,000 deep": (nested(b'{"a":', b"}", 100_000), "too_deep"),
    "10 MB of open brackets": (b"[" * 10_000_000, "too_deep"),
    "an array": (b"[" + CALL + b"]", "not_an_object"),
    "null": (b"null", "not_an_object"),
    "a number": (b"17", "not_an_object"),
    "a string": (b'"cdr"', "not_an_object"),
    "a boolean": (b"true", "not_an_object"),
    "an empty object": (b"{}", "missing_field"),
    "no type": (raw({k: v for k, v in SAMPLES["cdr"].items() if k != "type"}), "missing_field"),
    "no caller": (raw({k: v for k, v in SAMPLES["cdr"].items() if k != "caller"}), "missing_field"),
    "an unknown type": (call(type="invoice"), "unknown_type"),
    "a type of 10 MB": (call(type="x" * 10_000_000), "unknown_type"),
    "a type that is an array": (call(type=["cdr"]), "wrong_type"),
    "an integer written 1.0": (CALL.replace(b"13600,", b"13600.0,"), "wrong_type"),
    "an integer in quotes": (call(end_ms=str(SAMPLES["cdr"]["end_ms"])), "wrong_type"),
    "a boolean for a time": (call(start_ms=True), "wrong_type"),
    "null where there must be a value": (call(outcome=None), "wrong_type"),
    "a number for a name": (call(caller=8613800138000), "wrong_type"),
    "a word for an optional time": (call(ring_ms="soon"), "wrong_type"),
    "an array for a string": (call(callee=["+8613800138000"]), "wrong_type"),
    "1e400": (CALL.replace(b"1795579213600", b"1e400"), "wrong_type"),
    "a string of 10 MB": (call(source="x" * 10_000_000), "wrong_length"),
    "a number of 65 digits": (call(caller="8" * 65), "wrong_length"),
    "an empty id": (call(call_id=""), "wrong_length"),
    "an id of 129 characters": (call(call_id="\U0001f4de" * 129), "wrong_length"),
    "a tenant with 1,001 numbers": (raw({**SAMPLES["tenant"], "numbers": ["1"] * 1_001}), "wrong_length"),
    "a tenant with 1,001 businesses": (
        raw({**SAMPLES["tenant"], "declared_businesses": ["1"] * 1_001}),
        "wrong_length",
    ),
    "an unknown word": (call(outcome="vanished"), "unknown_value"),
    "an unknown optional word": (call(hangup_by="nobody"), "unknown_value"),
    "the year 1989": (call(start_ms=631_151_999_999), "out_of_range"),
    "the year 2100": (call(end_ms=4_102_444_800_000), "out_of_range"),
    "the year 9999": (call(end_ms=253_402_300_799_000), "out_of_range"),
    "seconds for milliseconds": (call(start_ms=1_795_579_200), "out_of_range"),
    "a time of 10,000 digits": (CALL.replace(b"1795579213600", b"9" * 10_000), "out_of_range"),
    "a time before all times": (call(start_ms=-(10**25)), "out_of_range"),
    "an end before the start": (call(end_ms=SAMPLES["cdr"]["start_ms"] - 1), "impossible_times"),
    "an answer without a time": (call(answer_ms=None), "answer_mismatch"),
    "a time of an answer that was none": (call(outcome="busy"), "answer_mismatch"),
}


def rejected(line: bytes) -> str:
    with pytest.raises(InvalidRecordError) as caught:
        read(line)
    return str(caught.value)


def assert_reason(reason: str) -> None:
    assert reason.partition(":")[0] in CODES
    assert len(reason) < 500
    assert reason.isprintable(), "a reason is one line, without control or formatting characters"
    reason.encode()


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_line_is_rejected_with_the_reason_that_fits(kind: str) -> None:
    line, code = HOSTILE[kind]
    reason = rejected(line)
    assert reason.partition(":")[0] == code, reason
    assert_reason(reason)
    assert NUMBER not in reason
    assert "13800138000" not in reason


def test_hostile_lines_cost_their_neighbours_nothing() -> None:
    seed = 7
    print(f"seed {seed}")
    lines = [line for line, _ in HOSTILE.values()] + [raw(sample) for sample in SAMPLES.values()] * 20
    random.Random(seed).shuffle(lines)
    taken, reasons = [], []
    for line in lines:
        try:
            taken.append(read(line))
        except InvalidRecordError as rejection:
            reasons.append(str(rejection))
    assert len(reasons) == len(HOSTILE)
    wanted = [msgspec.json.decode(raw(sample)) for sample in SAMPLES.values()] * 20
    assert sorted(json.dumps(_given(record), sort_keys=True) for record in taken) == sorted(
        json.dumps(record, sort_keys=True) for record in wanted
    )


def _given(record: object) -> dict[str, object]:
    return {name: value for name, value in msgspec.to_builtins(record).items() if value is not None}


def test_fragments_that_are_valid_only_when_joined_stay_rejected() -> None:
    cut = CALL.index(b",")
    for fragment in (CALL[:cut], CALL[cut:], CALL[: cut + 1], CALL[cut + 1 :]):
        assert rejected(fragment)
    assert read(CALL[:cut] + CALL[cut:])


def check_never_stops(line: bytes) -> None:
    """`decode` raises only its documented errors, and every rejection has a reason with an existing code."""
    assert plain([line]) <= (flaw(line) is None), "plain must not pass a line that flaw rejects"
    try:
        decode(line)
    except DECODE_ERRORS as error:
        reason = explain(line, error)
        assert_reason(reason)
        assert not reason.startswith(ErrorCode.UNREADABLE)
        assert rejected(line)
    try:
        read(line)
    except InvalidRecordError as rejection:
        assert_reason(str(rejection))


@examples(st.binary(max_size=200), fast=50, most=600)
@example(b"\xff")
@example(b'{"type":"cdr","\xff')
def test_random_bytes_never_stop_the_reader(line: bytes) -> None:
    check_never_stops(line)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    line = bytearray(raw(draw(near_records())))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(line)))
        end = min(len(line), at + draw(st.integers(0, 6)))
        some = st.sampled_from(
            [b'"', b"\\", b"\\ud800", b"{", b"[", b"}", b"]", b",", b":", b"\x00", b"\xed\xa0\x80", b"1e9"]
        )
        line[at:end] = draw(st.one_of(st.binary(max_size=4), some))
    return bytes(line[: draw(st.integers(0, len(line)))] if draw(st.booleans()) else line)


@examples(damaged(), fast=30, most=1_500)
def test_damaged_records_never_stop_the_reader(line: bytes) -> None:
    check_never_stops(line)


@examples(st.one_of(st.binary(max_size=80), damaged()), damaged(), fast=30, most=300)
def test_explaining_a_line_by_the_error_of_another_still_gives_a_reason(line: bytes, other: bytes) -> None:
    try:
        decode(other)
    except DECODE_ERRORS as error:
        assert_reason(explain(line, error))


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError(3), MemoryError(), msgspec.ValidationError(""), Exception()]
)
def test_an_unexpected_error_is_explained_by_its_class(error: Exception) -> None:
    for line in (b"", b"\xff", CALL, b"[" * 100_000):
        assert_reason(explain(line, error))


def test_nesting_is_judged_the_same_under_a_deep_stack() -> None:
    """Python 3.11 counts frames and nesting together; a replay and a worker must still reject the same lines."""
    deepest = nested(b"[", b"]", MAX_DEPTH - 1)
    too_deep = nested(b"[", b"]", MAX_DEPTH)

    def under(frames: int) -> None:
        if frames:
            return under(frames - 1)
        assert read(deepest)
        assert rejected(too_deep).startswith(ErrorCode.TOO_DEEP)
        return None

    under(0)
    under(500)


def test_brackets_in_strings_and_side_by_side_are_not_nesting() -> None:
    assert read(BARE + b',"x":"' + b'[{\\"' * 5_000 + b'"}')
    assert read(BARE + b',"x":[' + b"[]," * 5_000 + b"{}]}")
