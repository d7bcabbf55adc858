"""The functions of the extension as Python calls them: arguments, memory, and what they return beside calls."""

import random
import tracemalloc
from typing import Any

import numpy as np
import pytest
from native_lines import DECODERS, FULL, LINE, rows_in_blocks, some_lines

from monitor.decoding import native
from monitor.decoding.lines import split_lines

pytestmark = pytest.mark.skipif(
    not native.built(), reason="the extension is not built: no C compiler (`.ci/run` requires it)"
)


@pytest.mark.thorough
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
        block = native.NameBlock.of([name.decode() for name in names])
        assert native.rows_equal(rows, chosen, block, number[chosen]) is not wrong


def test_lines_are_split_as_python_does() -> None:
    for block in (b"", b"\n", b"a", b"a\n", b"\na\n\nb", b"a\nb\r\n\n"):
        assert list(split_lines(block)) == block.split(b"\n")
