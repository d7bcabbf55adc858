"""Workers are replaced one by one under load: no record is lost or processed twice."""

import asyncio
import random
import time
from pathlib import Path

import pytest
from worker_judge import assert_exact
from worker_platform import LIVE, Platform, drain
from worker_processes import PARTITIONS, Fleet, fleet_of, wait_for
from worker_traffic import Day, Sender, sender_to

from monitor.policy.load import load

HOW = ("kill", "kill", "stop", "stop")


def replace(fleet: Fleet, how: str) -> str:
    """Stop the oldest worker in that way, and start another one."""
    leaver = fleet.running[0]
    wait_for(leaver.owned, f"{leaver.name} runs a partition")
    if how == "kill":
        assert leaver.kill() == -9
    else:
        assert leaver.terminate() == 0, leaver.said()[-3:]
    comer = fleet.add()
    fleet.settle()
    return f"{leaver.name}: {how}; {comer.name} came"


@pytest.mark.services
async def test_workers_that_are_replaced_one_by_one_lose_nothing(platform: Platform, tmp_path: Path) -> None:
    seed, now_ms = random.randrange(10**6), time.time_ns() // 1_000_000
    print(f"seed {seed}, now_ms {now_ms}")
    pieces = len(HOW) + 1
    day = Day(seed, pieces, tenants=60, calls=3_000 * pieces, partitions=PARTITIONS, now_ms=now_ms)
    with fleet_of(tmp_path, platform.environment) as fleet:
        for _ in range(2):
            fleet.add()
        await asyncio.to_thread(fleet.settle)
        async with sender_to(platform.node.address) as producer:
            sender = Sender(producer, platform.names)
            for how, piece in zip(HOW, day.pieces, strict=False):
                half = len(piece) // 2
                did, _ = await asyncio.gather(asyncio.to_thread(replace, fleet, how), sender.send(piece[:half]))
                print(did)
                await sender.send(piece[half:])  # the new owners have something to commit
            await drain(fleet, sender, day.calls_now)
        assert [await asyncio.to_thread(worker.terminate) for worker in fleet.running] == [0, 0]
        assert [(worker.name, line) for worker in fleet.all for line in worker.said_else()] == []
    policy = load(str(platform.policy))
    # A source that is silent while the machine is slow is decided at the clock, by the replay as by the workers.
    counts = await assert_exact(platform.node.address, platform.names, policy, LIVE, PARTITIONS, unknown_reviews=True)
    print(dict(counts))
    assert counts["out.late"] < counts["in.cdr"] / 20
    assert counts["out.enforcement"] > 20
