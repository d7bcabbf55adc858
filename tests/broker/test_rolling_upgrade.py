"""Workers that are told two formats, in turns on the same topics: nothing is lost, and nothing comes twice."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
from worker_judge import assert_exact, read_all
from worker_platform import LIVE, Platform, drain
from worker_processes import PARTITIONS, Fleet, fleet_of, wait_for
from worker_traffic import Day, Sender, sender_to

from monitor.partition.checkpoint import HEAD
from monitor.policy.load import load

_STOP_S = 20
THIS: dict[str, str] = {}
TOLD_3 = {"CALLWARDEN_STATE_FORMAT": "3"}

Step = tuple[str, Mapping[str, str]]


def replace(fleet: Fleet, step: Step) -> str:
    """The oldest worker leaves as the step says, and one with its environment comes."""
    how, also = step
    leaver = fleet.running[0]
    wait_for(leaver.owned, f"{leaver.name} runs a partition")
    if how == "kill":
        assert leaver.kill() == -9
    else:
        assert leaver.terminate(_STOP_S) == 0, leaver.said()[-3:]
    comer = fleet.add(also)
    fleet.settle()
    return f"{leaver.name}: {how}; {comer.name} came"


async def wait_for_format(platform: Platform, written: int) -> None:
    """Wait until all partitions have a state, in that format."""
    for _ in range(60):
        found = await formats(platform)
        if found == dict.fromkeys(range(PARTITIONS), written):
            return
        await asyncio.sleep(1)
    raise AssertionError(f"states by partition are in formats {found}, expected {written} of all {PARTITIONS}")


async def formats(platform: Platform) -> dict[int, int]:
    """The format of each partition's state; a partition that has committed nothing yet has none."""
    state = platform.names.output("state")
    logs = await read_all(platform.node.address, [state], PARTITIONS)
    heads: dict[int, bytes] = {}
    for record in logs.of(state):
        if record.key == f"{HEAD}/0".encode() and record.value is not None:
            heads[record.partition] = record.value[2:]
    return {number: msgspec.msgpack.decode(head, strict=False)["format"] for number, head in heads.items()}


async def rolled(
    platform: Platform,
    folder: Path,
    first: Mapping[str, str],
    parts: Sequence[tuple[Sequence[Step], int]],
) -> None:
    """Two workers ``first``, replaced in turns under load; after each part the state is in the format that it says."""
    seed, now_ms = random.randrange(10**6), time.time_ns() // 1_000_000
    print(f"seed {seed}, now_ms {now_ms}")
    pieces = sum(len(steps) for steps, _ in parts) + 1
    day = Day(seed, pieces, tenants=60, calls=3_000 * pieces, partitions=PARTITIONS, now_ms=now_ms)
    with fleet_of(folder, platform.environment) as fleet:
        for _ in range(2):
            fleet.add(first)
        await asyncio.to_thread(fleet.settle)
        async with sender_to(platform.node.address) as producer:
            sender, coming = Sender(producer, platform.names), iter(day.pieces)
            for steps, written in parts:
                for step in steps:
                    piece = next(coming)
                    half = len(piece) // 2
                    did, _ = await asyncio.gather(asyncio.to_thread(replace, fleet, step), sender.send(piece[:half]))
                    print(did)
                    await sender.send(piece[half:])  # whoever has come has something to commit
                await wait_for_format(platform, written)
            await drain(fleet, sender, day.calls_now)
        assert [await asyncio.to_thread(worker.terminate, _STOP_S) for worker in fleet.running] == [0, 0]
        assert [(worker.name, line) for worker in fleet.all for line in worker.said_else()] == []
    counts = await assert_exact(platform.node.address, platform.names, load(str(platform.policy)), LIVE, PARTITIONS)
    print(dict(counts))
    assert counts["out.late"] < counts["in.cdr"] / 20
    assert counts["out.enforcement"] > 20


@pytest.mark.services
async def test_workers_that_write_two_formats_take_turns(platform: Platform, tmp_path: Path) -> None:
    """Told the later one, one after the other; a worker that is told the earlier one does not take it back."""
    await rolled(
        platform,
        tmp_path,
        THIS,
        [([("kill", THIS)], 2), ([("kill", TOLD_3), ("stop", TOLD_3)], 3), ([("stop", THIS)], 3)],
    )
