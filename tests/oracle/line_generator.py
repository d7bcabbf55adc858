"""Seeded lines that are almost records: corrupted bytes, values and names, most of them invalid."""

import json
import random
from typing import Any

# Pieces of JSON and of text that resembles it, inserted anywhere in a line. None repeats a name in one object: the
# contract does not define what that means.
PIECES = (
    *("1.0", "1e3", "-1", "00", "null", "nul", "true", '"a"', "[]", "{}", "NaN", "Infinity", ",", " ", "\t", "\\x"),
    *("\\ud800", "\\ud83d\\ude00", "\\u0000", "\x00", "\x1f", "\x7f", "é", "\ufeff", "1772409600000.0", "9" * 29),
    *("\\/", '"x":{"type":"cdr"},'),
)
VALUES: tuple[Any, ...] = (
    *(1.0, 1e3, -1, 0, 2**63, 2**64, -(2**63), None, True, "a", "", [], {}, ["a"], [1], [None], {"a": 1}),
    *("\ud800", "\ud83d\ude00", "x" * 129, "x" * 128, "😀" * 128, "😀" * 64, "x" * 64, "x" * 65, "\x00", "\u2028"),
    *("x" * 4096, "x" * 4097, 1_772_409_600_000, 1_772_409_600_000.0, "1772409600000"),
)
CHARACTERS = (0, 9, 13, 31, 32, 34, 92, 127, 128, 0x2028, 0xFEFF)


def spoilt(rng: random.Random, line: str) -> bytes:
    """The line with one or two faults, which do not always make it invalid."""
    for _ in range(rng.choice((1, 1, 2))):
        line = _fault(rng, line) or "x"
    raw = bytearray(line.encode("utf-8", "surrogatepass").replace(b"\n", b" "))
    if rng.random() < 0.05:
        raw[rng.randrange(len(raw))] = rng.randrange(128, 256)
    return bytes(raw)


def _fault(rng: random.Random, line: str) -> str:
    place, kind = rng.randrange(len(line)), rng.random()
    if kind < 0.25:
        return line[:place] + rng.choice(PIECES) + line[place:]
    if kind < 0.4:
        return line[:place] + line[place + rng.randint(1, 3) :]
    if kind < 0.5:
        return line[:place] + chr(rng.choice(CHARACTERS)) + line[place + 1 :]
    try:
        record = json.loads(line)
        field = rng.choice(list(record))
    except (ValueError, TypeError, IndexError):
        return line
    if kind < 0.55:
        del record[field]
    else:
        record[field] = rng.choice(VALUES)
    return json.dumps(record, ensure_ascii=rng.random() < 0.5)
