"""The pieces in which a fetched batch is fed: limits in rows and bytes, and a small rest with the piece before."""

from typing import Any

import numpy as np
import pytest

from streams.kafka.api import TP, FetchedBatch
from streams.worker.running.partition_input import PartitionInput

CALLS = TP("calls", 0)


@pytest.fixture
def inputs() -> PartitionInput:
    class Names:
        def of(self, number: int) -> list[TP]:
            return [CALLS]

    names: Any = Names()
    consumer: Any = None
    return PartitionInput(0, names, consumer)


def sizes(inputs: PartitionInput, rows: list[int], most: int, most_bytes: int = 1_000_000) -> list[int]:
    offsets = np.arange(len(rows))
    fetched = FetchedBatch(0, len(rows), offsets, offsets, [b"key"] * len(rows), [b"v" * size for size in rows])
    pieces = inputs.slices(CALLS, fetched, most, most_bytes)
    assert [offset for piece in pieces for offset in piece.offsets] == list(range(len(rows)))
    return list(map(len, pieces))


@pytest.mark.parametrize(
    ("rows", "pieces"), [(0, [0]), (99, [99]), (110, [110]), (111, [100, 11]), (210, [100, 110]), (211, [100, 100, 11])]
)
def test_the_last_piece_may_have_ten_percent_more_rows(inputs: PartitionInput, rows: int, pieces: list[int]) -> None:
    assert sizes(inputs, [10] * rows, 100) == pieces


def test_bytes_limit_the_last_piece_too(inputs: PartitionInput) -> None:
    assert sizes(inputs, [10] * 105, 100, 1_050) == [105]
    assert sizes(inputs, [10] * 105, 100, 1_049) == [100, 5]
    assert sizes(inputs, [10, 90, 500, 10, 10], 100, 100) == [2, 1, 2], "a row that is too large comes alone"


def test_rows_come_one_by_one_while_an_error_is_located(inputs: PartitionInput) -> None:
    offsets = np.arange(12)
    fetched = FetchedBatch(0, 12, offsets, offsets, [b"key"] * 12, [b"value"] * 12)
    assert inputs.locate(CALLS, fetched.rows) is None
    assert sizes(inputs, [5] * 12, 10) == [1] * 12
    assert sizes(inputs, [5] * 12, 10) == [1] * 12
