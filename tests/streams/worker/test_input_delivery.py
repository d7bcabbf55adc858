"""Delivery to agents: few rows of several partitions together, and an error stops the partition that it hits alone."""

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from monitor.partition.record_batch import RecordBatch
from streams.kafka.api import TP, FetchedBatch
from streams.worker.context import OwnedPhase
from streams.worker.running.input_delivery import FEW_ROWS, InputBatch, InputDelivery

CALLS = "calls"


def fetched(count: int) -> FetchedBatch:
    offsets = np.arange(count)
    return FetchedBatch(0, count, offsets, offsets, [b"key"] * count, [b"value"] * count)


class Partition:
    """Replaces a partition and its owner: it keeps what it is fed, or ``fails``."""

    def __init__(self, fails: bool = False) -> None:
        self.fed: list[RecordBatch] = []
        self.stopped: list[tuple[TP, Exception]] = []
        self.held: list[FetchedBatch] = []
        self.takes, self.phase, self.running, self._fails = True, OwnedPhase.RUNNING, self, fails
        self.costly_rows = False
        self.input = SimpleNamespace(slices=self._slices, hold=lambda tp, batch: self.held.append(batch))

    def _slices(self, tp: TP, batch: FetchedBatch, most: int, most_bytes: int) -> Iterable[RecordBatch]:
        return [batch.rows]

    def listens(self, tp: TP) -> bool:
        return True

    def next_offset(self, tp: TP) -> int:
        return sum(map(len, self.fed))

    def feed(self, source: int, rows: RecordBatch) -> None:
        if self._fails:
            raise ValueError("not foreseen")
        self.fed.append(rows)

    def failed(self, tp: TP, rows: RecordBatch, error: Exception) -> None:
        self.phase = OwnedPhase.STOPPED
        self.stopped.append((tp, error))


async def delivered(owners: list[Partition], counts: list[int]) -> tuple[list[int], list[TP]]:
    """Deliver that many rows to each partition: how many are in each delivery, and whose position was sought."""
    sizes: list[int] = []
    sought: list[TP] = []

    class Agents:
        def reads(self, source: int | None) -> bool:
            return True

        async def deliver(self, batch: InputBatch) -> None:
            sizes.append(len(batch.parts))
            asyncio.get_running_loop().call_soon(batch.submit)

    context: Any = SimpleNamespace(
        names=SimpleNamespace(source=lambda topic: 0), telemetry=SimpleNamespace(stale=lambda: None)
    )
    consumer: Any = SimpleNamespace(seek=lambda tp, offset: sought.append(tp))
    known: Any = dict(enumerate(owners))
    delivery = InputDelivery(context, Agents(), known, set(known), consumer)
    await delivery.take([(TP(CALLS, number), fetched(count)) for number, count in enumerate(counts)])
    return sizes, sought


@pytest.mark.parametrize(("rows", "sizes"), [(FEW_ROWS // 3, [3]), (FEW_ROWS, [1, 1, 1])])
def test_few_rows_are_delivered_together_and_many_one_by_one(rows: int, sizes: list[int]) -> None:
    owners = [Partition() for _ in range(3)]
    found, sought = asyncio.run(delivered(owners, [rows] * 3))
    assert (found, sought) == (sizes, [])
    assert [list(map(len, owner.fed)) for owner in owners] == [[rows]] * 3


@pytest.mark.parametrize("rows", [2, FEW_ROWS])
def test_an_error_stops_the_partition_that_it_hits_and_no_other_of_the_delivery(rows: int) -> None:
    owners = [Partition(), Partition(fails=True), Partition()]
    _, sought = asyncio.run(delivered(owners, [rows] * 3))
    assert [len(owner.stopped) for owner in owners] == [0, 1, 0]
    [(tp, error)] = owners[1].stopped
    assert (tp, str(error)) == (TP(CALLS, 1), "not foreseen")
    assert [list(map(len, owner.fed)) for owner in owners] == [[rows], [], [rows]]
    assert sought == []


def test_what_a_partition_cannot_take_waits_and_the_others_go_on() -> None:
    owners = [Partition(), Partition()]
    owners[0].takes = False
    sizes, _ = asyncio.run(delivered(owners, [2, 2]))
    assert sizes == [1]
    assert [len(owner.held) for owner in owners] == [1, 0]
    assert [list(map(len, owner.fed)) for owner in owners] == [[], [2]]


def test_rows_of_another_position_are_sought_and_the_others_go_on() -> None:
    owners = [Partition(), Partition()]
    owners[0].fed.append(fetched(7).rows)
    _, sought = asyncio.run(delivered(owners, [2, 2]))
    assert sought == [TP(CALLS, 0)]
    assert [list(map(len, owner.fed)) for owner in owners] == [[7], [2]]
