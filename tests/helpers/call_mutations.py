"""Lines of calls as many producers write them, and the same lines with small damages."""

import json
import random
from typing import Any

_TENANTS = ["acme", "bravo", "云呼", "ténant-é", "t\U0001f4de", *(f"t{number}" for number in range(30))]
_NUMBERS = [
    "+8613800138000",
    "+8613800138001",
    "10086",
    "1",
    "+",
    "+1",
    "12",
    "+12",
    "000",
    "9" * 19,
    "1" * 20,
    "+" + "8" * 63,
]
_PSEUDONYMS = ["p-7f3a91", "k" * 64, "匿名", "a b", "\U0001f4de" * 64, "+86a", "86-10", "\x00", '"', "\\"]
_IDS = ["c1", "x" * 8, "x" * 127, "x" * 128, "\U0001f4de" * 128, "a/b", "a\\b", 'a"b', "é", "a\tb", "\x7f", "\ud7ff"]
_OUTCOMES = [
    *("answered", "answered", "no_answer", "busy", "rejected", "invalid_number", "unreachable", "carrier_blocked"),
    *("policy_blocked", "cancelled", "failed"),
]
_UNKNOWN: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -0.5,
        1e300,
        10**18,
        "text",
        "嵌",
        "\U0001f4de",
        {},
        [],
        [[]],
        {"a": {}},
        [1, [2, {"b": [None]}]],
    ),
    *({"a": [1, 2, {"c": "d\n"}], "": ""}, [[[[[[1]]]]]], -1, 1.25, "é" * 50, 12345678901234567890),
]
_T0 = 1_772_409_600_000


def call_fields(rng: random.Random) -> dict[str, Any]:
    """The fields of a call, nearly always a valid one."""
    start = _T0 + rng.randrange(200_000_000)
    answered = rng.random() < 0.5
    ring = start + rng.choice((0, 1, 1_500, 3_000, 9_000))
    answer = ring + rng.choice((0, 1, 4_000))
    talk = rng.choice((0, 1, 3_000, 3_001, 6_000, 10_000, 10_001, 59_999, 60_000, 300_000))
    number = rng.choice((_NUMBERS, _NUMBERS, _PSEUDONYMS))
    fields: dict[str, Any] = {
        "type": "cdr",
        "call_id": rng.choice(_IDS) if rng.random() < 0.3 else f"c{rng.getrandbits(64):x}",
        "tenant_id": rng.choice(_TENANTS),
        "direction": rng.choice(("outbound", "outbound", "inbound")),
        "caller": rng.choice(_NUMBERS),
        "callee": rng.choice(number) if rng.random() < 0.5 else f"+86138{rng.randrange(10**8):08d}",
        "start_ms": start,
        "end_ms": (answer if answered else ring) + talk,
        "outcome": "answered" if answered else rng.choice(_OUTCOMES[2:]),
    }
    if rng.random() < 0.7:
        fields["ring_ms"] = rng.choice((ring, ring, ring, None, ""))
    if answered:
        fields["answer_ms"] = answer
    elif rng.random() < 0.3:
        fields["answer_ms"] = rng.choice((None, ""))
    for name, values in _OPTIONAL.items():
        if rng.random() < 0.4:
            fields[name] = rng.choice(values)
    while rng.random() < 0.2:
        fields[rng.choice(("x", "嵌套", "a_field_of_tomorrow", "call_idx", "", 'q"', "sip"))] = rng.choice(_UNKNOWN)
    return fields


_OPTIONAL: dict[str, list[Any]] = {
    "hangup_by": ["caller", "callee", "system", "", None],
    "answered_by": ["human", "machine", "", None],
    "agent_id": ["a1", "", None, "\U0001f4de" * 128, "a\\"],
    "campaign_id": ["k", None],
    "recording_id": ["r" * 128, None],
    "consent_id": ["k1", "k2", "", None, "同意", 'k"', "c" * 128],
    "source": ["sbc-1", "呼叫中心", None, "", "s" * 4096, "\U0001f4de" * 40],
    "sip_code": [100, 486, 699, "", None],
    "q850": [0, 16, 127, "", None],
    "attestation": ["A", "B", "C", "", None],
}


def call_line(rng: random.Random) -> bytes:
    """A line of a call: its fields in some order, with or without spaces and escapes."""
    items = list(call_fields(rng).items())
    if rng.random() < 0.3:
        rng.shuffle(items)
    separators = rng.choice(((",", ":"), (",", ":"), (", ", ": "), (" ,\t", " : ")))
    line = json.dumps(dict(items), ensure_ascii=rng.random() < 0.3, separators=separators).encode(
        errors="surrogatepass"
    )
    if rng.random() < 0.05:
        line = line.replace(b"/", b"\\/")
    return rng.choice((line, line, line, line + b"\r", b" " + line + b" \n"))


_PIECES = [
    *(
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"0",
        b"-",
        b".",
        b"e5",
        b"E-3",
        b"null",
        b"true",
        b"1.0",
        b" ",
        b"\t",
    ),
    *(
        b"\x00",
        b"\x1f",
        b"\x7f",
        b"\x80",
        b"\xc0\x80",
        b"\xc3",
        b"\xc3\xa9",
        b"\xed\xa0\x80",
        b"\xed\x9f\xbf",
        b"\xf0\x9f\x93\x9e",
    ),
    *(
        b"\xf4\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xe0\x80\x80",
        b"\xe4\xb8\xad",
        b"\xff",
        b"\xef\xbb\xbf",
        b'""',
        b"[]",
        b"{}",
    ),
    *(
        b"\\u0041",
        b"\\ud83d",
        b"\\ude00",
        b"\\ud83d\\ude00",
        b"\\u00",
        b"\\n",
        b"\\/",
        b"\\x",
        b"\\u0000",
        b"\\uDBFF\\uDFFF",
    ),
    *(
        b',"x":1',
        b',"type":"cdr"',
        b',"call_id":"again"',
        b'"ring_ms":null,',
        b'"ring_ms":"",',
        b"9" * 13,
        b"9" * 30,
        b"1e400",
    ),
]


def mutated(rng: random.Random, line: bytes) -> bytes:
    """The line with one to three small damages, some of which leave it valid."""
    found = bytearray(line)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(found) + 1)
        kind = rng.random()
        if kind < 0.35:
            found[at : at + rng.choice((0, 0, 1, 1, 2, 5))] = rng.choice(_PIECES)
        elif kind < 0.55 and at < len(found):
            found[at] = rng.randrange(256)
        elif kind < 0.7:
            del found[at : at + rng.choice((1, 1, 2, 8))]
        elif kind < 0.8 and at < len(found):
            found[at] = (found[at] + rng.choice((1, -1))) % 256
        elif kind < 0.9:
            end = rng.randrange(len(found) + 1)
            found[at:at] = found[end : end + rng.randrange(1, 12)]
        else:
            del found[at:]
    return bytes(found)
