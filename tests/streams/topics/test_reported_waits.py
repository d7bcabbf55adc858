"""What workers report in their ticks: the newest about each partition counts, also after it has moved."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec
import numpy as np

from streams.kafka.api import TP, FetchedBatch
from streams.kafka.topic_names import TopicNames
from streams.topics.reported_waits import STALE_MS, ReportedWaits, TickReader
from streams.topics.transaction_records import DecisionDelays, encode_tick

NOW = 1_772_452_800_000
DELAYS = DecisionDelays(600_000, 30_000, 14_400_000)


class Clock:
    """Two clock logs, of records with their timestamps."""

    def __init__(self) -> None:
        self.logs: dict[TP, list[tuple[int, bytes]]] = {TP("callwarden.clock", n): [] for n in range(2)}
        self.read_rows = 0

    def put(self, number: int, at_ms: int, value: bytes) -> None:
        self.logs[TP("callwarden.clock", number)].append((at_ms, value))

    async def starts(self, tps: Sequence[TP]) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)

    async def ends(self, tps: Sequence[TP]) -> dict[TP, int]:
        return {tp: len(self.logs[tp]) for tp in tps}

    async def read(self, tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        rows = self.logs[tp][start:stop]
        self.read_rows += len(rows)
        if rows:
            offsets, times = np.arange(start, stop), np.array([at_ms for at_ms, _ in rows])
            values: list[bytes | None] = [value for _, value in rows]
            yield FetchedBatch(start, stop, offsets, times, [None] * len(rows), values)


def reported(clock: Clock, reader: TickReader | None = None) -> ReportedWaits:
    return asyncio.run((reader or TickReader(TopicNames("callwarden.", "callwarden."), range(2))).read(clock))


def test_the_newest_tick_about_a_partition_counts() -> None:
    clock = Clock()
    assert reported(clock) == ReportedWaits()
    clock.put(0, NOW, encode_tick(NOW, {0: ["old"], 1: ["stays"]}, msgspec.structs.replace(DELAYS, no_calls=(0, 1))))
    clock.put(1, NOW + 1, encode_tick(NOW, {0: []}, msgspec.structs.replace(DELAYS, lateness_ms=5, held=(0,))))
    found = reported(clock)
    assert found.waits == {1: ["stays"]}
    assert {number: (one.lateness_ms, one.held) for number, one in found.delays.items()} == {
        0: (5, (0,)),
        1: (600_000, ()),
    }
    assert found.newest_ms == NOW + 1


def test_a_tick_is_forgotten_when_it_is_old() -> None:
    clock = Clock()
    clock.put(0, NOW, encode_tick(NOW, {0: ["gone"]}, DELAYS))
    clock.put(1, NOW + STALE_MS + 1, encode_tick(NOW, {1: []}))
    assert reported(clock) == ReportedWaits(NOW + STALE_MS + 1), "an earlier release writes no delays"


def test_each_record_is_read_once_and_what_is_no_tick_is_skipped() -> None:
    clock, reader = Clock(), TickReader(TopicNames("callwarden.", "callwarden."), range(2))
    for n in range(3_000):
        clock.put(0, NOW + n, b'{"type":"tick","host_ms":"x"}' if n % 2 else b'{"type":"move"}')
    assert reported(clock, reader) == ReportedWaits()
    assert clock.read_rows == 2_000
    clock.put(0, NOW, encode_tick(NOW, {0: ["here"]}, DELAYS))
    for _ in range(3):
        assert reported(clock, reader).waits == {0: ["here"]}
    assert clock.read_rows == 2_001
    clock.logs[TP("callwarden.clock", 0)].clear()
    assert reported(clock, reader) == ReportedWaits(), "the log was recreated"
