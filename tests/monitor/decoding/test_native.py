"""The extension makes the same columns of calls as msgspec and numpy, and takes no line that they refuse."""

import os
import random
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from native_lines import BARE, DECODERS, LINE, T0, content, line, rows_in_blocks, some_lines

from helpers.thorough import examples
from monitor.byte_rows import ByteRows
from monitor.decoding import decode, native
from monitor.decoding.decode import Decoder
from schemas import codec
from schemas.inputs import END_MS, MIN_MS, Cdr

pytestmark = pytest.mark.skipif(
    not native.built(), reason="the extension is not built: no C compiler (`.ci/run` requires it)"
)


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


@examples(st.text(max_size=140), st.text(max_size=140), st.text(max_size=70), fast=50, most=200)
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
