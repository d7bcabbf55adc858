"""The extension makes the same columns of calls as msgspec and numpy, and takes no line that they refuse."""

import os
import random
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.call_mutations import call_line, mutated
from monitor.core.calls.columns import Calls
from monitor.core.calls.fields import FieldLayout
from monitor.core.calls.keys import salt_of
from monitor.core.calls.string_column import StringColumn
from monitor.decoding import decode, native
from monitor.decoding.byte_rows import ByteRows, RowBlock
from monitor.decoding.decode import Decoder
from monitor.decoding.decoded_rows import DecodedRows
from schemas import codec
from schemas.inputs import END_MS, MIN_MS, Cdr

pytestmark = pytest.mark.skipif(not native.built(), reason="the extension is not built")

KEY_SETS = frozenset({"blocks", "callees", "callers", "consents"})
PLAIN = FieldLayout((6_000,), ("Asia/Shanghai",))
FULL = FieldLayout(
    (3_000, 6_000), ("Asia/Shanghai", "America/New_York"), KEY_SETS, True, (3_000, 9_000), ("America/New_York",)
)
T0 = 1_772_409_600_000
LATER = ((T0 + 50_000_000, PLAIN), (T0 + 120_000_000, FULL), (T0 + 90_000_000, FieldLayout((1,), (), KEY_SETS)))
DECODERS = {
    "plain": Decoder(PLAIN, np.uint64(0)),
    "full": Decoder(FULL, salt_of(b"secret")),
    "later": Decoder(FULL, salt_of(b"other"), T0 + 190_000_000, LATER),
}


def columns_of(calls: Calls) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in fields(Calls):
        column = getattr(calls, field.name)
        if isinstance(column, StringColumn):
            found[field.name] = column.tolist()
        else:
            found[field.name] = (column.dtype, column.tolist())
    return found


def content(decoded: DecodedRows) -> dict[str, Any]:
    found = {field.name: getattr(decoded, field.name) for field in fields(DecodedRows)}
    found |= {name: found[name].tolist() for name in ("event_ms", "call_rows", "line")}
    found["raw"] = [bytes(one) for one in decoded.raw]
    found["calls"] = None if decoded.calls is None else columns_of(decoded.calls)
    return found


@pytest.fixture
def switched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Runs a function with the extension and without it, and returns both results."""

    def run(function: Any) -> tuple[Any, Any]:
        found = []
        for on in (True, False):
            monkeypatch.setattr(native, "enabled", on)
            found.append(function())
        return found[0], found[1]

    return run


def taken(line: bytes, decoder: Decoder = DECODERS["full"]) -> bool:
    """Whether the extension takes the line."""
    refused: list[int] = []
    parser = native.NativeParser(decoder.layout, decoder.salt, decoder.later)
    parser.parse(ByteRows.of([line]), lambda row, _: refused.append(row))
    return not refused


def line(**changes: object) -> bytes:
    call = {"type": "cdr", "call_id": "c", "tenant_id": "acme", "direction": "outbound", "caller": "1", "callee": "2"}
    call |= {"start_ms": T0, "end_ms": T0 + 5, "outcome": "busy"} | changes
    return codec._ENCODER.encode(call)


LINE = line()
BARE = LINE[:-1]

TAKEN = {
    "a call": LINE,
    "spaces everywhere": b' \t{ "type" : "cdr" ,\r\n' + LINE[len('{"type":"cdr",') :] + b" \r\n",
    "another order of fields": b'{"outcome":"busy",' + LINE[1:].replace(b',"outcome":"busy"', b""),
    "null for absent": line(ring_ms=None, answer_ms=None, hangup_by=None, agent_id=None, source=None, q850=None),
    "empty for absent": line(ring_ms="", answer_ms="", hangup_by="", answered_by="", consent_id="", sip_code=""),
    "an unknown field": line(x={"a": [1, 2.5, -3, True, None, "é", {"b": {}}]}),
    "an unknown name that is not ASCII": line(嵌套=1),
    "an unknown field twice": BARE + b',"x":1,"x":"2"}',
    "escapes in an id": BARE.replace(b'"c"', rb'"a\"b\\c\/d\b\f\n\r\t\u0041\u00e9\u4e2d\ud83d\udcde"') + b"}",
    "the longest id": line(call_id="\U0001f4de" * 128),
    "the longest id in escapes": BARE.replace(b'"c"', b'"' + rb"\ud83d\udcde" * 128 + b'"') + b"}",
    "one escape and the longest id": BARE.replace(b'"c"', b'"' + rb"\ud83d\udcde" + "\U0001f4de".encode() * 127 + b'"')
    + b"}",
    "the longest party": line(callee="\U0001f4de" * 64),
    "the longest text": line(source="中" * 4096),
    "the first time": line(start_ms=MIN_MS),
    "the last time": line(end_ms=END_MS - 1),
    "DEL in a string": line(call_id="\x7f"),
    "thirty levels": BARE + b',"x":' + b"[" * 30 + b"]" * 30 + b"}",
    "the cause 0": line(q850=0),
}
LEFT = {
    "nothing": b"",
    "white space": b" \t\r\n",
    "another record": line(type="complaint"),
    "a type in escapes": LINE.replace(b'"cdr"', rb'"\u0063dr"'),
    "a name in escapes": LINE.replace(b'"caller"', rb'"\u0063aller"'),
    "a word in escapes": LINE.replace(b'"busy"', rb'"\u0062usy"'),
    "a field twice": BARE + b',"caller":"3"}',
    "a type twice": BARE + b',"type":"cdr"}',
    "no type": LINE.replace(b'"type":"cdr",', b""),
    "no caller": LINE.replace(b'"caller":"1",', b""),
    "null where there must be a value": line(outcome=None),
    "an empty id": line(call_id=""),
    "an id too long": line(call_id="\U0001f4de" * 129),
    "a party too long": line(callee="8" * 65),
    "a text too long": line(source="x" * 4097),
    "before all times": line(start_ms=MIN_MS - 1),
    "after all times": line(end_ms=END_MS),
    "a time of 14 digits": line(end_ms=END_MS * 10),
    "a time beyond int64": BARE + b',"ring_ms":99999999999999999999}',
    "a leading zero": LINE.replace(b'"start_ms":', b'"start_ms":0'),
    "a negative time": LINE.replace(b'"start_ms":', b'"start_ms":-'),
    "a time with a fraction": LINE.replace(b',"outcome"', b'.0,"outcome"'),
    "a time with an exponent": LINE.replace(b',"outcome"', b'e0,"outcome"'),
    "a time in quotes": line(start_ms=str(T0)),
    "the SIP code 99": line(sip_code=99),
    "the SIP code 700": line(sip_code=700),
    "the cause 128": line(q850=128),
    "the cause 00": BARE + b',"q850":00}',
    "an unknown word": line(outcome="Busy"),
    "an end before the start": line(end_ms=T0 - 1),
    "an answer without a time": line(outcome="answered"),
    "a time of an answer that was none": line(answer_ms=T0 + 1),
    "a lone surrogate": BARE.replace(b'"c"', rb'"\ud83d"') + b"}",
    "a pair the wrong way round": BARE.replace(b'"c"', rb'"\udcde\ud83d"') + b"}",
    "a surrogate in an unknown field": BARE + rb',"x":"\ud83d"}',
    "an unknown escape": BARE.replace(b'"c"', rb'"\x41"') + b"}",
    "a line feed in a string": LINE.replace(b'"c"', b'"a\nb"'),
    "NUL in a string": LINE.replace(b'"c"', b'"a\x00b"'),
    "a byte order mark": b"\xef\xbb\xbf" + LINE,
    "a comma at the end": BARE + b",}",
    "no comma": LINE.replace(b',"caller"', b'"caller"'),
    "two records": LINE + LINE,
    "something behind the record": LINE + b"0",
    "forty levels": BARE + b',"x":' + b"[" * 40 + b"]" * 40 + b"}",
    "brackets that cross": BARE + b',"x":[{]}}',
    "a comma before the first item": BARE + b',"x":[,1]}',
    "a comma behind the last item": BARE + b',"x":[1,]}',
    "NaN": BARE + b',"x":NaN}',
    "a number with an exponent": BARE + b',"x":1e5}',
    "a number of 18 digits": BARE + b',"x":123456789012345678}',
    "a fraction without digits": BARE + b',"x":1.}',
    "more than a megabyte": line(x="x" * (1 << 20)),
}
NOT_UTF8 = [
    b"\x80",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xc3",
    b"\xe0\x80\x80",
    b"\xe0\x9f\xbf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
]
NOT_UTF8 += [
    b"\xe4\xb8",
    b"\xf0\x80\x80\x80",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xff",
    b"\xf0\x9f\x93",
]
UTF8 = ["\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff", "\ufeff"]


def test_the_extension_reads_every_field_of_a_call() -> None:
    """A field that it does not know would not be validated."""
    assert sorted(native._calls.FIELDS) == sorted(["type", *Cdr.__struct_fields__])


@pytest.mark.parametrize("kind", TAKEN)
def test_a_common_line_is_taken(kind: str, switched: Any) -> None:
    assert taken(TAKEN[kind])
    with_it, without = switched(lambda: content(DECODERS["full"].lines([TAKEN[kind]], 1)))
    assert with_it == without
    assert with_it["calls"] is not None


@pytest.mark.parametrize("kind", LEFT)
def test_any_other_line_is_left_to_msgspec(kind: str, switched: Any) -> None:
    assert not taken(LEFT[kind])
    lines = [LINE, LEFT[kind], line(call_id="neighbour", tenant_id="bravo")]
    with_it, without = switched(lambda: content(DECODERS["full"].lines(lines, 1)))
    assert with_it == without
    assert len(with_it["calls"]["word"][1]) >= 2


@pytest.mark.parametrize("place", [b'"c"', b'"acme"', b'"2"'])
def test_text_is_validated_in_every_place_of_a_line(place: bytes, switched: Any) -> None:
    for before in ("", "x" * 7, "x" * 8, "x" * 20):
        for bad in NOT_UTF8:
            for value in (before.encode() + bad, before.encode() + bad + b"behind it"):
                assert not taken(LINE.replace(place, b'"' + value + b'"')), value
                assert not taken(BARE + b',"x":{"' + value + b'":1}}'), value
        for good in UTF8:
            assert taken(LINE.replace(place, b'"' + (before + good).encode() + b'"')), good
    lines = [LINE.replace(place, b'"' + bad + b'"') for bad in [*NOT_UTF8, *(good.encode() for good in UTF8)]]
    with_it, without = switched(lambda: content(DECODERS["full"].lines(lines, 1)))
    assert with_it == without


def test_a_line_cut_anywhere_is_not_taken() -> None:
    whole = line(source="中é\U0001f4de", x=[1, {"a": None}], ring_ms=T0, hangup_by="callee")
    assert taken(whole)
    for size in range(len(whole)):
        assert not taken(whole[:size])


@settings(max_examples=200, deadline=None, print_blob=True)
@given(st.text(max_size=140), st.text(max_size=140), st.text(max_size=70))
def test_any_text_that_the_codec_writes_comes_back(call_id: str, tenant_id: str, callee: str) -> None:
    raw = line(call_id=call_id, tenant_id=tenant_id, callee=callee)
    try:
        codec.read(raw)
    except codec.InvalidRecordError:
        assert not taken(raw)
    else:
        assert taken(raw)


def test_calls_that_only_msgspec_takes_keep_their_place(switched: Any) -> None:
    odd = LINE.replace(b'"caller"', rb'"\u0063aller"')
    lines = [odd.replace(b'"acme"', b'"%s"' % name) for name in (b"zulu", b"acme")]
    lines = [
        lines[0],
        LINE,
        lines[1],
        LINE.replace(b"acme", b"zulu"),
        b"",
        b"{}",
        lines[0].replace(b'"c"', rb'"\"\u0000\\"'),
    ]
    with_it, without = switched(lambda: content(DECODERS["full"].lines(lines, 1)))
    assert with_it == without
    assert with_it["names"] == ["zulu", "acme"]


class _Counted:
    """A call of a decoder's ``_records``, with the numbers of lines that it got."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines: list[int] = []
        self._call = decode._records
        monkeypatch.setattr(decode, "_records", self)

    def __call__(self, lines: Sequence[bytes], *more: Any) -> Any:
        self.lines.append(len(lines))
        return self._call(lines, *more)


@pytest.mark.parametrize(("odd_every", "most_alone"), [(1, 2), (2, 60), (4, 200), (50, 40)])
def test_many_rows_that_are_not_taken_are_decoded_together(
    odd_every: int, most_alone: int, switched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One by one they would cost more than without the extension, and a producer could choose that."""
    odd = [
        LINE.replace(b'"caller"', rb'"\u0063aller"'),
        b"{}",
        b" ",
        line(answer_ms=T0),
        line(type="complaint"),
        BARE.replace(b'"acme"', b'"bravo"') + b',"x":1e5}',
    ]
    lines = [odd[row // odd_every % len(odd)] if row % odd_every == 0 else LINE for row in range(2_000)]
    with_it, without = switched(lambda: content(DECODERS["full"].lines(lines, 1)))
    assert with_it == without
    counted = _Counted(monkeypatch)
    monkeypatch.setattr(native, "enabled", True)
    DECODERS["full"].lines(lines, 1)
    assert counted.lines.count(1) <= most_alone
    assert max(counted.lines) == (1 if odd_every == 50 else 512)
    counted.lines.clear()
    DECODERS["full"].lines([line(call_id="x" * 129, x="y" * 1_000)] * 1_000, 1)
    assert 200 < max(counted.lines) < 300  # as many as stay in the CPU cache


def rows_in_blocks(rng: random.Random, rows: Sequence[bytes | None]) -> ByteRows:
    """The rows in several blocks, with bytes between them."""
    parts, start = [], 0
    while start < len(rows):
        stop = start + rng.randrange(1, 40)
        block, starts = b"", []
        for row in rows[start:stop]:
            block += bytes(rng.randrange(3))
            starts.append(len(block))
            block += row or b""
        sizes = [-1 if row is None else len(row) for row in rows[start:stop]]
        held = memoryview(block) if rng.random() < 0.5 else block
        parts.append(RowBlock(held, np.array(starts, np.int64), np.array(sizes, np.int64)))
        start = stop
    return ByteRows(parts)


def some_lines(rng: random.Random, count: int) -> list[bytes]:
    lines = []
    for _ in range(count):
        one = call_line(rng)
        lines.append(mutated(rng, one) if rng.random() < 0.4 else one)
    return lines


@pytest.mark.parametrize("seed", [int(os.environ.get("CALLWARDEN_TEST_SEED", "0")) + n for n in range(4)])
def test_decoded_rows_are_identical(seed: int, switched: Any) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    for decoder in DECODERS.values():
        lines = some_lines(rng, 600)
        with_it, without = switched(lambda lines=lines, decoder=decoder: content(decoder.lines(lines, 7)))
        assert with_it == without
        values: list[bytes | None] = [None if rng.random() < 0.02 else one for one in lines]
        offsets = np.cumsum([rng.randrange(1, 3) for _ in values])
        skipped = {int(offset): "skipped: so" for offset in rng.sample(offsets.tolist(), 9)}
        for rows in (values, rows_in_blocks(rng, values)):
            decoded = partial(DECODERS["later"].messages, rows, offsets, skipped)
            with_it, without = switched(lambda decoded=decoded: content(decoded()))
            assert with_it == without


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extension is tried with every row, however few it takes."""
    monkeypatch.setattr(native, "_ONE_BY_ONE", 1 << 40)


def compare_what_is_taken(seed: int, count: int) -> int:
    """Mutated lines in batches: what the extension takes has the columns that msgspec and numpy make of the same lines.

    Returns how many were taken.
    """
    rng = random.Random(seed)
    total, names = 0, list(DECODERS)
    while count > 0:
        decoder = DECODERS[rng.choice(names)]
        lines = [mutated(rng, call_line(rng)) if rng.random() < 0.85 else call_line(rng) for _ in range(500)]
        refused: list[int] = []
        parser = native.NativeParser(decoder.layout, decoder.salt, decoder.later)
        parsed = parser.parse(ByteRows.of(lines), lambda row, _, refused=refused: refused.append(row))
        left = set(refused)
        rows = [row for row in range(len(lines)) if row not in left]
        assert parsed.rows.tolist() == rows, seed
        records = [codec.read(lines[row]) for row in rows]
        assert all(type(record) is Cdr for record in records), seed
        if rows:
            expected = decoder._by_codec([lines[row] for row in rows])
            found = parser.columns(parsed)
            assert expected.calls is not None
            assert found[0] == expected.names, seed
            assert columns_of(found[1]) == columns_of(expected.calls), seed
        total += len(rows)
        count -= len(lines)
    return total


@pytest.mark.usefixtures("one_by_one")
def test_a_hundred_thousand_mutated_lines() -> None:
    seed = int(os.environ.get("CALLWARDEN_TEST_SEED", "1"))
    print(f"seed {seed}")
    assert compare_what_is_taken(seed, 100_000) > 20_000


@pytest.mark.soak
@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize("part", range(10))
def test_ten_million_mutated_lines(part: int) -> None:
    seed = int(os.environ.get("CALLWARDEN_TEST_SEED", "1000")) + part
    print(f"seed {seed}")
    assert compare_what_is_taken(seed, 1_000_000) > 200_000


def test_memory_does_not_grow() -> None:
    rng = random.Random(3)
    lines = some_lines(rng, 500)

    def repeated(times: int) -> int:
        for _ in range(times):
            DECODERS["full"].lines(lines, 1)
            with pytest.raises(ValueError, match="tuple"):
                native._calls.parse_calls(parser._plan, b"", np.zeros(0), np.zeros(0), 0, 0, ())
            native.NativeParser(FULL, np.uint64(1), ())
        return tracemalloc.get_traced_memory()[0]

    parser = native.NativeParser(FULL, np.uint64(0), ())
    tracemalloc.start()
    try:
        repeated(5)
        before = repeated(5)
        assert repeated(60) - before < 50_000
    finally:
        tracemalloc.stop()


def test_arguments_that_do_not_fit_are_refused() -> None:
    parser = native.NativeParser(FULL, np.uint64(0), ())
    calls = native.NativeCalls(1, len(LINE), True, True)
    zero, size = np.zeros(1, np.int64), np.array([len(LINE)], np.int64)
    parse = native._calls.parse_calls
    wrong: list[tuple[Any, ...]] = [
        (LINE, zero, size[:0], 0, 0, calls.columns),
        (LINE, zero, size + 1, 0, 0, calls.columns),
        (LINE, zero - 1, size, 0, 0, calls.columns),
        (LINE, zero + (1 << 62), size, 0, 0, calls.columns),
        (LINE, zero, size, 2, 0, calls.columns),
        (LINE, zero, size, -1, 0, calls.columns),
        (LINE, zero, size, 0, 0, calls.columns[:-1]),
        (LINE, zero, size, 0, 0, (*calls.columns[:-1], calls.columns[-1][:3])),
        (LINE, zero, size, 0, 0, (calls.columns[0], calls.columns[1][:0], *calls.columns[2:])),
        (LINE, zero, size, 0, 0, (np.array([2, 0, 0, 0]), *calls.columns[1:])),
        (LINE, zero, size, 0, 0, (np.array([0, -1, 0, 0]), *calls.columns[1:])),
        (LINE, zero.astype(np.int32).repeat(2), size, 0, 0, calls.columns),
        (LINE, zero, size, 0, 0, (calls.counts.view(np.int32), *calls.columns[1:])),
        (LINE, zero, size, 0, 0, (np.zeros(33, np.uint8)[1:].view(np.int64), *calls.columns[1:])),
    ]
    for arguments in wrong:
        with pytest.raises(ValueError, match=r"fit|row|tuple|lies"):
            parse(parser._plan, *arguments)
    with pytest.raises((ValueError, BufferError), match="contiguous"):
        parse(parser._plan, LINE, zero, size, 0, 0, (np.zeros(8, np.int64)[::2], *calls.columns[1:]))
    with pytest.raises(ValueError, match="contiguous"):
        parse(parser._plan, LINE, np.zeros(2, np.int64)[::-1], size.repeat(2), 0, 0, calls.columns)
    with pytest.raises(ValueError, match="fit"):
        native._calls.line_ends(b"", np.zeros(1, np.int32))
    full = native.NativeCalls(2, len(LINE), True, True)  # room for the ids and names of one line, not of three
    with pytest.raises(ValueError, match="no room"):
        parse(parser._plan, LINE, np.zeros(3, np.int64), np.repeat(size, 3), 0, 0, full.columns)
    with pytest.raises(ValueError, match="PyCapsule"):
        parse(object(), LINE, zero, size, 0, 0, calls.columns)


def test_keys_are_compared_with_the_names_of_tenants() -> None:
    rng = random.Random(5)
    names = [b"acme", b"bravo", "云".encode()]
    for _ in range(200):
        number = np.array([rng.randrange(3) for _ in range(rng.randrange(1, 60))], np.int32)
        keys: list[bytes | None] = [names[one] for one in number.tolist()]
        chosen = np.flatnonzero([rng.random() < 0.8 for _ in keys])
        wrong = rng.random() < 0.5 and len(chosen) > 0
        if wrong:
            keys[int(rng.choice(chosen.tolist()))] = rng.choice((None, b"", b"acm", b"acmf", b"acmee"))
        rows = rows_in_blocks(rng, keys)
        assert native.rows_equal(rows, chosen, names, number[chosen]) is not wrong


def test_lines_are_split_as_python_does() -> None:
    for block in (b"", b"\n", b"a", b"a\n", b"\na\n\nb", b"a\nb\r\n\n"):
        assert list(native.lines_of(block)) == block.split(b"\n")
