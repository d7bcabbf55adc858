"""Mutated lines, by the hundred thousand: what the extension takes is what msgspec and numpy make of it."""

import os
import random

import numpy as np
import pytest
from native_lines import DECODERS, columns_of

from helpers.call_mutations import call_line, mutated
from helpers.thorough import thorough
from monitor.byte_rows import ByteRows
from monitor.decoding import native
from schemas import codec
from schemas.inputs import Cdr

pytestmark = pytest.mark.skipif(
    not native.built(), reason="the extension is not built: no C compiler (`.ci/run` requires it)"
)


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
            tenants, block, calls = parser.columns(parsed)
            assert expected.calls is not None
            assert tenants == expected.names, seed
            for ours, theirs in zip(block, native.NameBlock.of(tenants), strict=True):
                assert np.array_equal(ours, theirs), seed
            assert columns_of(calls) == columns_of(expected.calls), seed
        total += len(rows)
        count -= len(lines)
    return total


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize("count", thorough([5_000, 100_000], 1))
def test_mutated_lines(count: int) -> None:
    seed = int(os.environ.get("CALLWARDEN_TEST_SEED", "1"))
    print(f"seed {seed}")
    assert compare_what_is_taken(seed, count) > 0.2 * count


@pytest.mark.soak
@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize("part", range(10))
def test_ten_million_mutated_lines(part: int) -> None:
    seed = int(os.environ.get("CALLWARDEN_TEST_SEED", "1000")) + part
    print(f"seed {seed}")
    assert compare_what_is_taken(seed, 1_000_000) > 200_000
