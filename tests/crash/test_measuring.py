"""The metrics page can be requested at any time: tenants are measured outside the event loop, without side effects."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from crash import judge
from crash.scenarios import MINUTE, NOON, SECOND, complaint, play, three_calls, until, world_of, wrong
from crash.world import World
from monitor.core.threshold_distance import DistanceOptions, measure_distances
from monitor.partition.task import StreamTask
from streams.worker.partition_owner import PartitionOwner
from streams.worker.running.running_partition import RunningPartition
from streams.worker.running.transaction import Transaction

EVERYBODY = DistanceOptions(near=0.0)


def traffic(world: World) -> None:
    """Calls and complaints of some minutes."""
    for n in range(200):
        world.produce(three_calls(NOON + n * SECOND, f"{n}-"))
        world.produce([complaint(NOON + n * SECOND, f"c{n:03}")])


async def owner_of(world: World) -> PartitionOwner:
    """The owner of the only partition, once it is running."""
    worker = world.add_worker()
    while worker.consumer_loop is None or not (owners := worker.consumer_loop.owners) or owners[0].partition is None:
        await asyncio.sleep(0.01)
    return owners[0]


@pytest.mark.thorough
def test_nothing_touches_a_partition_while_it_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []
    to_thread, decide, measuring = asyncio.to_thread, RunningPartition._decide, False

    def watched(running: RunningPartition, task: StreamTask, hand_over: bool) -> Transaction:
        assert not measuring, "a transaction began while the thread had it"
        return decide(running, task, hand_over)

    async def slowly(work: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal measuring
        if work is measure_distances:
            partition = owners[0].partition
            assert partition is not None
            before = partition.sources.offsets, partition.watermark.ms
            measuring = True
            await asyncio.sleep(0.7)
            measuring = False
            assert (partition.sources.offsets, partition.watermark.ms) == before, "the thread had it"
            measured.append(1)
        return await to_thread(work, *arguments)

    monkeypatch.setattr("asyncio.to_thread", slowly)
    monkeypatch.setattr(RunningPartition, "_decide", watched)
    owners: list[PartitionOwner] = []
    world = world_of(grace_ms=0)
    traffic(world)

    async def scrape() -> None:
        while True:
            await owners[0].measure(EVERYBODY)
            await asyncio.sleep(0.05)

    async def go() -> None:
        owners.append(await owner_of(world))
        scraping = asyncio.create_task(scrape())
        await until(world, NOON + 20 * MINUTE)
        scraping.cancel()
        assert not wrong(world)
        assert len(judge.ids(world.broker, 0)) >= 200

    play(world, go, as_often=True)
    assert len(measured) > 100


def test_nothing_is_measured_while_a_thread_works_on_the_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page then shows the previous measurement; it does not wait for a transaction."""
    monkeypatch.setattr("streams.worker.running.running_partition._LARGE", 0)
    seen: list[bool] = []
    to_thread = asyncio.to_thread
    owners: list[PartitionOwner] = []

    async def asking(work: Callable[..., Any], *arguments: Any) -> Any:
        if work is not measure_distances and owners and owners[0].running is not None and owners[0].running.busy:
            seen.append(await owners[0].measure(EVERYBODY) is None)
        return await to_thread(work, *arguments)

    monkeypatch.setattr("asyncio.to_thread", asking)
    world = world_of(grace_ms=0)
    traffic(world)

    async def go() -> None:
        owners.append(await owner_of(world))
        await until(world, NOON + 20 * MINUTE)
        assert not wrong(world)
        assert await owners[0].measure(EVERYBODY) is not None

    play(world, go)
    assert seen
    assert all(seen)


def test_a_measurement_of_a_memory_that_was_discarded_meanwhile_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    owners: list[PartitionOwner] = []
    to_thread = asyncio.to_thread

    async def discarding(work: Callable[..., Any], *arguments: Any) -> Any:
        if work is measure_distances:
            owners[0].forget()
        return await to_thread(work, *arguments)

    world = world_of(grace_ms=0)
    traffic(world)

    async def go() -> None:
        owners.append(await owner_of(world))
        await until(world, NOON + MINUTE)
        with monkeypatch.context() as patched:
            patched.setattr("asyncio.to_thread", discarding)
            assert await owners[0].measure(EVERYBODY) is None
        owners[0].begin()
        await until(world, NOON + 20 * MINUTE)
        assert not wrong(world)

    play(world, go)
