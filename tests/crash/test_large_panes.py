"""Large panes are closed outside the event loop, and calls are left unread while other sources hold
back the watermark.
"""

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from crash import judge
from crash.log import Record
from crash.scenarios import (
    CDR,
    MINUTE,
    NOON,
    POLICY,
    SECOND,
    command,
    complaint,
    play,
    three_calls,
    until,
    world_of,
    wrong,
)
from crash.traffic import Arrival
from crash.world import World
from helpers.thorough import thorough
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.partitioner import partition_of
from monitor.partition.task import StreamTask
from streams.kafka.api import TP
from streams.worker.partition_owner import PartitionOwner


def test_nothing_touches_a_partition_while_a_thread_closes_a_large_pane(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread's work is a step of the virtual loop: nothing else may touch the partition between its
    start and end.
    """
    monkeypatch.setattr("streams.worker.running.running_partition._LARGE", 0)
    handed: list[int] = []
    to_thread = asyncio.to_thread

    async def slowly(decide: Callable[..., Any], *arguments: Any) -> Any:
        before = arguments[0].sources.offsets
        await asyncio.sleep(0.7)
        assert arguments[0].sources.offsets == before, "the partition was fed while the thread had it"
        handed.append(1)
        return await to_thread(decide, *arguments)

    monkeypatch.setattr("asyncio.to_thread", slowly)
    world = world_of(grace_ms=0)
    for n in range(400):
        world.produce(three_calls(NOON + n * SECOND, f"{n}-"))

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        assert len(judge.ids(world.broker, 0)) > 0
        assert not wrong(world)

    play(world, go)
    assert handed


@pytest.mark.parametrize("seed", thorough([1, 2, 3], 1))
def test_a_record_that_comes_while_a_pane_is_closed_in_a_thread_is_not_passed_over(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No later record would reveal a gap. As long as this record is unread, the watermark does not move."""
    monkeypatch.setattr("streams.worker.running.running_partition._LARGE", 0)
    to_thread = asyncio.to_thread

    async def slowly(decide: Callable[..., Any], *arguments: Any) -> Any:
        await asyncio.sleep(0.7)
        return await to_thread(decide, *arguments)

    monkeypatch.setattr("asyncio.to_thread", slowly)
    world = world_of(seed, grace_ms=0)
    for n in range(400):
        world.produce(three_calls(NOON + n * SECOND, f"{n}-"))

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 3 * MINUTE)
        assert worker.consumer_loop is not None
        owner = worker.consumer_loop.owners[0]
        assert owner.running is not None
        while not owner.running.busy:
            await asyncio.sleep(0.005)
        sent = complaint(world.clock.now_ms(), "c")
        world.broker.append(sent.tp, sent.record)
        command(world, type="end_outage", reason="a test")
        await until(world, NOON + 20 * MINUTE)
        assert owner.partition is not None
        assert owner.partition.sources.offsets[1] == 1
        assert owner.input.control_next == 1
        assert not wrong(world)

    play(world, go)


def calls_of_two_partitions() -> World:
    """Each partition has a tenant with many calls."""
    world = World(random.Random(1), POLICY, DecidingSettings(outage_grace_ms=0), 2, NOON)
    tenants = {partition_of(name.encode(), 2, "murmur2"): name for name in map(str, range(10))}
    for number, tenant in tenants.items():
        for n in range(200):
            for one in three_calls(NOON + n * 2 * SECOND, f"{n}-"):
                value = json.dumps({**json.loads(one.record.value or b""), "tenant_id": tenant}).encode()
                world.produce([Arrival(one.at_ms, TP(CDR.topic, number), Record(tenant.encode(), value))])
    return world


def test_large_panes_of_several_partitions_are_closed_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each needs much memory while it is closed, and all are due at the same time."""
    monkeypatch.setattr("streams.worker.running.running_partition._LARGE", 0)
    to_thread, at_work, most, closed = asyncio.to_thread, 0, 0, set[int]()

    async def slowly(decide: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        closed.add(arguments[0].place.number)
        await asyncio.sleep(0.7)
        try:
            return await to_thread(decide, *arguments)
        finally:
            at_work -= 1

    monkeypatch.setattr("asyncio.to_thread", slowly)
    world = calls_of_two_partitions()

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        assert not list(judge.wrong(world.broker, POLICY, world.live, 2))

    play(world, go)
    assert closed == {0, 1}
    assert most == 1


def test_a_partition_that_is_discarded_while_it_waits_for_its_turn_is_not_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its memory may contain only half of the records that were read."""
    monkeypatch.setattr("streams.worker.running.running_partition._LARGE", 0)
    to_thread, forgotten, too_late = asyncio.to_thread, list[StreamTask](), list[bool]()

    async def slowly(decide: Callable[..., Any], *arguments: Any) -> Any:
        too_late.append(arguments[0] in forgotten)
        await asyncio.sleep(0.7)
        return await to_thread(decide, *arguments)

    monkeypatch.setattr("asyncio.to_thread", slowly)
    world = calls_of_two_partitions()

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 5 * MINUTE)
        assert worker.consumer_loop is not None
        one, other = worker.consumer_loop.owners[0], worker.consumer_loop.owners[1]

        def waits(owner: PartitionOwner) -> bool:
            return owner._working is not None and not owner._working.done() and not busy(owner)

        def busy(owner: PartitionOwner) -> bool:
            return owner.running is not None and owner.running.busy

        while not ((busy(one) and waits(other)) or (busy(other) and waits(one))):
            await asyncio.sleep(0.05)
        waiting = other if busy(one) else one
        assert waiting.partition is not None
        forgotten.append(waiting.partition)
        waiting.forget()
        waiting.begin()
        await until(world, NOON + 20 * MINUTE)
        assert not list(judge.wrong(world.broker, POLICY, world.live, 2))

    play(world, go)
    assert forgotten
    assert not any(too_late)


def test_calls_are_left_unread_while_others_hold_the_watermark_far_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded. Once the other sources have caught up or are silent, every decision is made as usual."""
    monkeypatch.setattr("monitor.partition.task._MANY_CALLS", 60)
    monkeypatch.setattr(
        "crash.memory_fetched.some_entries", lambda _, some, most, stop: (some[:20], some[:20][-1].offset + 1)
    )
    world = world_of(grace_ms=0)
    world.produce([complaint(NOON, "c")])
    for n in range(400):
        world.produce(three_calls(NOON + n * 5 * SECOND, f"{n}-"))
    open_calls: list[int] = []

    async def go() -> None:
        await until(world, NOON + 34 * MINUTE)
        worker = world.add_worker()
        while world.clock.now_ms() < NOON + 50 * MINUTE:
            await asyncio.sleep(0.5)
            assert worker.consumer_loop is not None
            if 0 in worker.consumer_loop.owners and (partition := worker.consumer_loop.owners[0].partition) is not None:
                open_calls.append(len(partition.shard.open_panes))
        assert not wrong(world)
        assert judge.ids(world.broker, 0)

    play(world, go)
    assert open_calls.count(80) > 20, "it waited, when it had a bit more than may be"
