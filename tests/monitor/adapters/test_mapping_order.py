"""Rows come by event time, each exactly once, whatever the file's order and content."""

import io
import random

import pytest
from adapter_rows import SMALL, adapter, rows
from hypothesis import strategies as st

from helpers.thorough import examples
from monitor.adapters.base import InputRow

T = 1_700_000_000


def ends(found: list[InputRow]) -> list[int]:
    return [row.record.end_ms for row in found if row.record]


def test_blocks_that_are_each_in_order_are_merged() -> None:
    content = "id,to,end\n" + "".join(f"{b}-{n},2,{T + n * 7 + b}\n" for b in range(5) for n in range(50))
    assert ends(rows(SMALL, content)) == sorted(ends(rows(SMALL, content)))
    assert ends(rows("sort: false\n" + SMALL, content)) != sorted(ends(rows(SMALL, content)))


def test_rows_of_one_time_stay_as_the_file_has_them() -> None:
    content = "id,to,end\n" + "".join(f"{n},2,{T}\n" for n in range(100))
    assert [row.line for row in rows(SMALL, content)] == list(range(2, 102))


def test_arrival_orders_rows_of_one_time() -> None:
    mapping = "arrival: {column: seq, descending: true}\n" + SMALL
    content = f"id,to,end,seq\na,2,{T},9\nb,2,{T},10\nc,2,{T},x\nd,2,{T - 1},1\ne,2,{T},10\nf,2,{T},{'9' * 30}\n"
    assert [row.record.call_id for row in rows(mapping, content)] == ["d", *"cfbea"]
    mapping = mapping.replace("true", "false")
    assert [row.record.call_id for row in rows(mapping, content)] == ["d", *"cfabe"]


def test_rows_without_a_time_come_first_and_are_counted() -> None:
    content = f"id,to,end\n1,2,{T}\n2,2,\n3,2,soon\n4\n5,2,{T - 9}\n"
    found = rows(SMALL, content)
    assert [row.line for row in found] == [3, 4, 5, 6, 2]
    assert [row.reason is None for row in found] == [False, False, False, True, True]


@examples(
    st.lists(st.sampled_from(["", " ", "x", ",", '"', "1,2,1700000000", "1,2,17000000", '"a"', "\x00"]), max_size=40),
    fast=50,
    most=200,
)
def test_every_line_is_one_row_and_no_row_is_both(lines: list[str]) -> None:
    # Without quotes no row spans several lines, and the count is known.
    mapping = "quote: none\n" + SMALL
    found = rows(mapping, "id,to,end\n" + "\n".join(lines) + "\n")
    expected = [n for n, line in enumerate(lines, 2) if line.strip()]
    assert sorted(row.line for row in found) == expected
    assert all((row.record is None) != (row.reason is None) for row in found)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_file_changes_nothing_but_ties(seed: int) -> None:
    print(f"seed {seed}")
    lines = [f"{n},2,{T + n}" for n in range(500)] + ["x,2,", "y,2,never"]
    expected = [(row.raw, row.reason) for row in rows(SMALL, "id,to,end\n" + "\n".join(lines))]
    random.Random(seed).shuffle(lines)
    found = [(row.raw, row.reason) for row in rows(SMALL, "id,to,end\n" + "\n".join(lines))]
    assert found[2:] == expected[2:]
    assert sorted(found[:2]) == sorted(expected[:2])


def test_an_adapter_reads_one_file_after_another() -> None:
    one = adapter(SMALL)
    first = list(one.rows(io.BytesIO(f"id,to,end\n1,2,{T}\n".encode())))
    second = list(one.rows(io.BytesIO(f"end,id,to\n{T},2,2\n".encode())))
    assert [row.record.call_id for row in first + second] == ["1", "2"]
