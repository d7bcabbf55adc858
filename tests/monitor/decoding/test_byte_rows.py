"""Rows of bytes in blocks: whatever is cut from them and copied is still the same rows, also for the extension."""

import random

import numpy as np
import pytest
from native_lines import DECODERS, LINE, content, rows_in_blocks

from monitor.byte_rows import picked
from monitor.decoding.decode import Decoder


def some_rows(rng: random.Random) -> list[bytes | None]:
    """Rows as a topic may have them: calls, empty values, and records without a value."""
    return [rng.choice((LINE, LINE, b"", None, b"?" * rng.randrange(30))) for _ in range(rng.randrange(1, 60))]


@pytest.mark.parametrize("seed", range(200))
def test_a_trimmed_part_has_the_same_rows_and_lies_in_its_blocks(seed: int) -> None:
    print("seed", seed)
    rng = random.Random(seed)
    rows = some_rows(rng)
    first = rng.randrange(len(rows))
    after = rng.randrange(first, len(rows)) + 1
    part = rows_in_blocks(rng, rows)[first:after].trimmed()
    assert list(part) == rows[first:after]
    for one in part.blocks:
        assert ((one.start >= 0) & (one.start <= len(one.block))).all()


@pytest.mark.parametrize("seed", range(200))
def test_picked_rows_are_those_of_their_numbers(seed: int) -> None:
    print("seed", seed)
    rng = random.Random(seed)
    rows = some_rows(rng)
    numbers = sorted(rng.sample(range(len(rows)), rng.randrange(len(rows) + 1)))
    expected = [rows[number] for number in numbers]
    for held in (rows, rows_in_blocks(rng, rows)):
        assert list(picked(held, np.array(numbers, np.intp))) == expected


@pytest.mark.parametrize("decoder", [pytest.param(one, id=name) for name, one in DECODERS.items()])
def test_a_record_without_a_value_is_decoded_wherever_its_part_is_cut(decoder: Decoder) -> None:
    """A worker stopped at it where it came first or last in the part of a batch that another worker had in its tail."""
    rng = random.Random(1)
    rows: list[bytes | None] = [LINE, None, LINE, None, b"", None, LINE, LINE]
    for first in range(len(rows)):
        for after in range(first + 1, len(rows) + 1):
            offsets = np.arange(after - first)
            part = rows_in_blocks(rng, rows)[first:after].trimmed()
            assert content(decoder.messages(part, offsets, {})) == content(
                decoder.messages(rows[first:after], offsets, {})
            )
