"""Workers on a real broker are added, removed, killed and paused, and the broker is killed: the decisions are exact."""

import asyncio
from pathlib import Path

import pytest
from worker_faults import hurt
from worker_judge import assert_exact
from worker_platform import LIVE, Platform, drain
from worker_processes import PARTITIONS, fleet_of
from worker_traffic import Day, Sender, sender_to

from monitor.policy.load import load


@pytest.mark.services
async def test_one_worker_decides_what_the_replay_decides(platform: Platform, tmp_path: Path) -> None:
    day = Day(seed=7, pieces=4, tenants=60, calls=20_000, partitions=PARTITIONS)
    with fleet_of(tmp_path, platform.environment) as fleet:
        fleet.add()
        await asyncio.to_thread(fleet.settle)
        async with sender_to(platform.node.address) as producer:
            sender = Sender(producer, platform.names)
            for piece in day.pieces:
                await sender.send(piece)
            await drain(fleet, sender, day.calls_now)
        assert [await asyncio.to_thread(worker.terminate) for worker in fleet.all] == [0]
        assert fleet.all[0].said_else() == []
    policy = load(str(platform.policy))
    # What a source sent before it was silent, as on a slow machine, is decided at the clock, under another id.
    counts = await assert_exact(platform.node.address, platform.names, policy, LIVE, PARTITIONS, unknown_reviews=True)
    print(dict(counts))
    assert counts["out.enforcement"] > 20


@pytest.mark.services
async def test_faults_change_nothing(platform: Platform, tmp_path: Path) -> None:
    await hurt(platform, tmp_path, faults=30, broker_kills=2, calls=40_000)


@pytest.mark.soak
async def test_hundreds_of_faults_change_nothing(platform: Platform, tmp_path: Path) -> None:
    await hurt(platform, tmp_path, faults=300, broker_kills=12, calls=200_000)
