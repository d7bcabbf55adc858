"""Strings as a column: after any selection, joining or packing they equal a list's strings."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from helpers.thorough import examples
from monitor.core.calls.keys import Texts
from monitor.core.calls.string_column import StringColumn, concatenate

some_texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), max_size=12)


@examples(some_texts, some_texts, st.data(), fast=37, most=150)
def test_strings_are_what_a_list_of_them_is(first: list[str], second: list[str], data: Any) -> None:
    strings = StringColumn.of(first)
    assert strings.tolist() == first
    assert [strings[row] for row in range(len(strings))] == first
    assert len(strings) == len(first)
    both = concatenate([strings, StringColumn.of(second), strings])
    texts = [*first, *second, *first]
    assert both.tolist() == texts
    rows = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=9)) if texts else []
    start = data.draw(st.integers(0, len(texts)))
    for taken, expected in (
        (both[np.array(rows, np.intp)], [texts[row] for row in rows]),
        (both[np.isin(np.arange(len(texts)), rows)], [text for row, text in enumerate(texts) if row in rows]),
        (both[start:], texts[start:]),
    ):
        packed = taken.packed()
        assert taken.tolist() == taken.compact().tolist() == packed.tolist() == expected
        assert packed.block == "".join(expected).encode()
        assert StringColumn.in_row(packed.block, packed.size).tolist() == expected
        assert concatenate([packed, taken]).tolist() == expected * 2


def test_a_block_is_let_go_when_most_of_it_is_not_needed() -> None:
    strings = StringColumn.of([f"call-{n:04d}" for n in range(1_000)])
    assert strings[:500].compact().block is strings.block
    assert len(strings[:400].compact().block) == 400 * 9


def test_gathered_texts_are_strings() -> None:
    texts = Texts(["a", "公司", ""])
    texts.add(["b" * 9])
    assert texts.strings().tolist() == ["a", "公司", "", "b" * 9]
    assert Texts().strings().tolist() == []


def test_more_strings_than_are_packed_at_once() -> None:
    texts = [str(number) * (number % 4) for number in range(40_000)]
    packed = StringColumn.of(texts)[::-1].packed()
    assert packed.block == "".join(reversed(texts)).encode()
    assert packed.tolist() == texts[::-1]
