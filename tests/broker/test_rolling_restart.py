"""A rolling restart of three workers on a real broker: how often each partition is handed over, and for how long it is
unowned.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from statistics import median

import pytest
from worker_platform import Platform
from worker_platform import platform as platform  # a fixture
from worker_processes import PARTITIONS, Worker, fleet_of

pytestmark = [pytest.mark.services, pytest.mark.soak]

_WORKERS = 3


def unowned_spans(workers: Iterable[Worker]) -> dict[int, list[float]]:
    """For each partition, the seconds without an owner at each handover."""
    lines = [
        (datetime.fromisoformat(line["timestamp"]).timestamp(), line["event"], line["partition"])
        for worker in workers
        for line in worker.said()
        if line["event"] in ("partition handed over", "partition opened")
    ]
    since: dict[int, float] = {}
    spans: dict[int, list[float]] = defaultdict(list)
    for at_s, event, number in sorted(lines):
        if event == "partition handed over":
            since[number] = at_s
        elif number in since:
            spans[number].append(at_s - since.pop(number))
    assert not since, f"handed over, and not opened again: {since}"
    return spans


async def test_a_rolling_restart_hands_each_partition_over_twice_a_worker_without_errors(
    platform: Platform, tmp_path: Path
) -> None:
    """The figures are printed, and depend on the machine."""
    output = {key: value for key, value in platform.environment.items() if key != "CALLWARDEN_HEARTBEAT"}
    output["CALLWARDEN_SESSION_TIMEOUT"] = "5m"  # nobody is killed, and a machine that stands still expels nobody
    with fleet_of(tmp_path, output) as fleet:
        for _ in range(_WORKERS):
            fleet.add()
        await asyncio.to_thread(fleet.settle)
        before = {number: len(spans) for number, spans in unowned_spans(fleet.all).items()}
        for worker in list(fleet.running):
            assert await asyncio.to_thread(worker.terminate) == 0
            await asyncio.to_thread(fleet.settle)
            fleet.add()
            await asyncio.to_thread(fleet.settle)
        spans = {number: found[before.get(number, 0) :] for number, found in unowned_spans(fleet.all).items()}
        for worker in fleet.all:
            assert worker.times_said("transaction failed; the state is read again") == 0
            assert worker.times_said("partition cannot be opened yet") == 0
            assert worker.said_else() == []
    every = sorted(span for found in spans.values() for span in found)
    print(f"\n{len(every)} handovers, without anybody at work: median {median(every):.2f} s, longest {every[-1]:.2f} s")
    assert sorted(spans) == list(range(PARTITIONS))
    # Two handovers per restarted worker: when it stops, and when its replacement joins, whichever worker owns the
    # partition then.
    assert {len(found) for found in spans.values()} == {2 * _WORKERS}
