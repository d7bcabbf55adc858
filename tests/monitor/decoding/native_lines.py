"""Lines of calls for the tests of the extension, decoders, and what the decoded rows contain."""

import random
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from helpers.call_mutations import call_line, mutated
from monitor.byte_rows import ByteRows, RowBlock
from monitor.core.calls.columns import Calls
from monitor.core.calls.fields import FieldLayout
from monitor.core.calls.keys import salt_of
from monitor.core.calls.string_column import StringColumn
from monitor.decoding.decode import Decoder
from monitor.decoding.decoded_rows import DecodedRows
from schemas import codec

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
    """All that rows were decoded to, to compare; but for the name block, which has the same names."""
    found = {field.name: getattr(decoded, field.name) for field in fields(DecodedRows)}
    del found["name_block"]
    found |= {name: found[name].tolist() for name in ("event_ms", "call_rows", "line")}
    found["raw"] = [bytes(one) for one in decoded.raw]
    found["calls"] = None if decoded.calls is None else columns_of(decoded.calls)
    return found


def line(**changes: object) -> bytes:
    call = {"type": "cdr", "call_id": "c", "tenant_id": "acme", "direction": "outbound", "caller": "1", "callee": "2"}
    call |= {"start_ms": T0, "end_ms": T0 + 5, "outcome": "busy"} | changes
    return codec._ENCODER.encode(call)


LINE = line()
BARE = LINE[:-1]


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
