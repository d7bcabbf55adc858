"""Transactions that Kafka commits and leaves open, because a partition has no leader for a moment, lose nothing."""

import asyncio

import pytest

from crash import judge
from crash.scenarios import MINUTE, NOON, STATE, an_hour_of_calls, play, until, world_of, wrong
from crash.traffic import NAMES
from crash.world import World
from streams.kafka.api import TP

ENFORCEMENT, OWNERS = TP(NAMES.output("enforcement"), 0), NAMES.owners


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
@pytest.mark.parametrize("seed", range(3))
def test_a_worker_that_starts_ends_them_before_it_reads_the_state(state: bool, seed: int) -> None:
    world = world_of(seed, grace_ms=0)
    an_hour_of_calls(world)

    async def go() -> None:
        worker = world.add_worker()
        await decided_while_leaderless(world, ENFORCEMENT, *([STATE] if state else []))
        worker.kill()
        world.add_worker()
        await until(world, NOON + 15 * MINUTE)
        assert len(judge.ids(world.broker, 0)) > 1
        assert not wrong(world), "each decision once"

    logs = play(world, go)
    assert sum("committed again" in line["event"] for line in logs) == 1


def test_a_worker_that_runs_ends_them_within_seconds() -> None:
    world = world_of(grace_ms=0)
    an_hour_of_calls(world)
    log = world.broker.logs[ENFORCEMENT]

    async def go() -> None:
        world.add_worker()
        await decided_while_leaderless(world, ENFORCEMENT)
        left_at_s = world.loop.time()
        # The next decision would end it, too, but there is none for five minutes.
        while not log.last_stable:
            await asyncio.sleep(1)
        assert world.loop.time() - left_at_s < 60, "a worker that has nothing to do looks rarely"
        await until(world, NOON + 15 * MINUTE)
        assert not wrong(world)

    logs = play(world, go)
    assert [line["event"] for line in logs if "was left open" in line["event"]] == [
        "a transaction was left open; its partition is opened again"
    ]


def test_what_another_program_has_left_open_does_not_stop_a_worker_unless_it_is_the_state() -> None:
    world = world_of(grace_ms=0)
    an_hour_of_calls(world)
    broker = world.broker
    other = broker.begin("other", broker.fence("other"), timeout_s=10 * 60)

    async def go() -> None:
        broker.produce("other", other, OWNERS, [judge.Record(b"k", b"v")])
        world.add_worker()
        await until(world, NOON + 9 * MINUTE)
        assert judge.ids(broker, 0), "it decides"

    logs = play(world, go)
    assert sum("committed again" in line["event"] for line in logs) < 4, "it is not tried for ever"
