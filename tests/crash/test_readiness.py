"""A worker reports whether it is ready, why it is not, and whether its loop is running."""

import asyncio
import dataclasses

import pytest

from crash.memory import MemoryCluster
from crash.scenarios import MINUTE, NOON, play, three_calls, until, world_of
from crash.world import World
from monitor.partition.task import StreamTask
from streams.worker.consumer_loop import ConsumerLoop
from streams.worker.context import WorkerContext


def impatient(world: World) -> None:
    made = world.context

    def context(cluster: MemoryCluster) -> WorkerContext:
        return dataclasses.replace(made(cluster), ready_lag=2)

    world.context = context  # type: ignore[method-assign]


def test_it_is_ready_once_it_has_its_partitions_and_has_read_them_but_for_so_many_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = world_of(grace_ms=0)
    impatient(world)
    world.produce(three_calls(NOON + MINUTE, "a"))
    seen: list[str] = []

    async def go() -> None:
        worker = world.add_worker()
        async with asyncio.timeout(60):
            while worker.consumer_loop is None or worker.consumer_loop.not_ready:
                seen.extend(worker.consumer_loop.not_ready if worker.consumer_loop is not None else [])
                await asyncio.sleep(0.05)
        with monkeypatch.context() as held:
            held.setattr(StreamTask, "ahead", lambda self, source: source == 0)
            await until(world, NOON + 2 * MINUTE)
            assert worker.consumer_loop.not_ready == ["callwarden.cdr-0: 3 records behind; expected at most 2"]
        await until(world, NOON + 3 * MINUTE)
        assert worker.consumer_loop.not_ready == []
        assert worker.consumer_loop.stuck_s < 5

    play(world, go)
    assert list(dict.fromkeys(seen)) == [
        "partition 0: opening",
        "the lag is not known yet",
    ]


def test_a_loop_that_hangs_is_seen_to(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of(grace_ms=0)

    async def hangs(_: ConsumerLoop) -> None:
        await asyncio.sleep(300)

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + MINUTE)
        assert worker.consumer_loop is not None
        monkeypatch.setattr(ConsumerLoop, "_round", hangs)
        await until(world, NOON + 3 * MINUTE)
        assert worker.consumer_loop.stuck_s > 100
        monkeypatch.undo()
        await until(world, NOON + 10 * MINUTE)
        assert worker.consumer_loop.stuck_s < 5

    play(world, go)
