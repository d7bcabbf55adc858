"""A transaction that Kafka commits and leaves open, because a partition has no leader for a moment, is ended."""

import asyncio
from collections.abc import Sequence

import pytest

from crash import judge
from crash.memory import MemoryCluster
from crash.scenarios import MINUTE, NOON, STATE, an_hour_of_calls, play, until, world_of, wrong
from crash.traffic import NAMES
from crash.virtual import Process
from crash.world import World
from streams.kafka.api import TP, TransientError

ENFORCEMENT = TP(NAMES.output("enforcement"), 0)


async def decided_while_leaderless(world: World, *tps: TP) -> None:
    """Let these partitions have no leader until a decision is committed."""
    log = world.broker.logs[ENFORCEMENT]
    await until(world, NOON + 4 * MINUTE)
    world.broker.leaderless = set(tps)
    while not log.end:
        await asyncio.sleep(0.05)
    await asyncio.sleep(1)  # longer than the markers take
    world.broker.leaderless.clear()
    assert world.broker.left_out
    assert log.last_stable == 0, "nobody can read it"


@pytest.mark.parametrize("state", [False, True])
def test_a_worker_that_runs_ends_it_within_seconds(state: bool) -> None:
    world = world_of(grace_ms=0)
    an_hour_of_calls(world)
    log = world.broker.logs[ENFORCEMENT]

    async def go() -> None:
        worker = world.add_worker()
        await decided_while_leaderless(world, ENFORCEMENT, *([STATE] if state else []))
        left_at_s = world.loop.time()
        # The next decision would end it, too, but there is none for five minutes.
        while not log.last_stable:
            await asyncio.sleep(1)
        assert world.loop.time() - left_at_s < 60
        assert worker.owned() == [0]
        await until(world, NOON + 15 * MINUTE)
        assert len(judge.ids(world.broker, 0)) > 1
        assert not wrong(world)

    logs = play(world, go, left_open_s=5.0)
    assert sum("stay open" in line["event"] for line in logs) == 1
    assert not any("state is read again" in line["event"] for line in logs)


def test_a_partition_that_is_asked_at_any_time_goes_on_and_is_handed_over() -> None:
    world = world_of(grace_ms=0)
    an_hour_of_calls(world)
    passing, asked = world.passing, list[str]()

    def at_some_points(process: Process, point: str) -> None:
        passing(process, point)
        loop = world.workers[-1].consumer_loop
        running = loop.owners[0].running if loop is not None and loop.owners else None
        if running is not None and point.startswith(("commit.", "again.")) and world.rng.random() < 0.5:
            asked.append(point)
            running.end_left_open([ENFORCEMENT])

    world.passing = at_some_points  # type: ignore[method-assign]

    async def go() -> None:
        first = world.add_worker()
        await until(world, NOON + 9 * MINUTE)
        world.add_worker()
        await asyncio.sleep(5)
        first.terminate()
        await until(world, NOON + 20 * MINUTE)
        assert first.over
        assert len(judge.ids(world.broker, 0)) > 2
        assert not wrong(world)

    play(world, go, left_open_s=5.0)
    assert {"commit.begin?", "commit.end!", "again.end?"} <= set(asked)


def test_nothing_is_ended_before_the_first_own_transaction() -> None:
    """It may be what a former owner has aborted."""
    world = world_of(grace_ms=0)
    passing, ended = world.passing, list[float]()

    def noted(process: Process, point: str) -> None:
        passing(process, point)
        if point == "again.begin?":
            ended.append(world.loop.time())

    world.passing = noted  # type: ignore[method-assign]

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 2 * MINUTE)
        assert worker.consumer_loop is not None
        running = worker.consumer_loop.owners[0].running
        assert running is not None
        running.end_left_open([ENFORCEMENT])
        await asyncio.sleep(30)
        assert (ended, world.broker.logs[STATE].end) == ([], 0)
        an_hour_of_calls(world)
        await until(world, NOON + 15 * MINUTE)
        assert len(ended) == 1
        assert world.broker.logs[STATE].end > 0

    play(world, go)


def test_what_another_program_has_open_is_left_to_it() -> None:
    world = world_of(grace_ms=0)
    an_hour_of_calls(world)
    broker = world.broker
    other = broker.begin("other", broker.fence("other"), timeout_s=20 * 60)

    async def go() -> None:
        broker.produce("other", other, ENFORCEMENT, [judge.Record(b"k", b"v")])
        world.add_worker()
        await until(world, NOON + 9 * MINUTE)
        assert broker.logs[ENFORCEMENT].last_stable == 0
        assert broker.logs[ENFORCEMENT].end > 1, "it decides"
        broker.commit("other", other)
        await asyncio.sleep(1)
        assert len(broker.logs[ENFORCEMENT].committed(0)) > 1

    logs = play(world, go, left_open_s=5.0)
    assert 3 < sum("stay open" in line["event"] for line in logs) < 10, "ever more rarely"


def test_a_worker_goes_on_if_the_topics_cannot_be_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where one of them has no leader for long."""

    async def fail(self: MemoryCluster, tps: Sequence[TP]) -> dict[TP, int]:
        await asyncio.sleep(10)
        raise TransientError("no leader")

    monkeypatch.setattr(MemoryCluster, "high_watermarks", fail)
    world = world_of(grace_ms=0)
    an_hour_of_calls(world)

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 15 * MINUTE)
        assert worker.consumer_loop is not None
        assert worker.consumer_loop.not_ready == []
        assert len(judge.ids(world.broker, 0)) > 1
        assert not wrong(world)

    logs = play(world, go, left_open_s=5.0)
    assert sum("cannot be searched" in line["event"] for line in logs) == 1, "it is logged once"
