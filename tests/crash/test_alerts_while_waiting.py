"""A partition whose window ends wait for their turn to be decided writes early alerts meanwhile."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from crash import judge
from crash.scenarios import CDR, MINUTE, NOON, SECOND, alerts, long_call, play, three_calls, until, world_of, wrong
from crash.schedule import Schedule
from crash.traffic import Arrival
from helpers.thorough import thorough
from streams.kafka.api import Writer
from streams.runtime import compute_turns
from streams.runtime.compute_turns import ComputeTurns
from streams.worker.running import running_partition
from streams.worker.running.running_partition import RunningPartition
from streams.worker.running.transaction import prepare_output

OF_THREAD = ComputeTurns.of_thread


@pytest.fixture
def all_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every transaction is decided in a thread."""
    monkeypatch.setattr(running_partition, "transaction_work", lambda *_: running_partition._LARGE + 1)


def test_an_alert_does_not_wait_for_window_ends_that_wait_for_their_turn(all_wait: None) -> None:
    world = world_of(grace_ms=0)
    at_ms = NOON + 8 * MINUTE
    world.produce([Arrival(NOON + n * MINUTE, CDR, long_call(NOON + n * MINUTE, f"a{n}")) for n in range(1, 6)])
    world.produce(three_calls(at_ms, "b"))

    async def go() -> None:
        worker = world.add_worker()
        worker.link.slow_share = 0.0
        await until(world, NOON + 4 * MINUTE)
        assert worker.consumer_loop is not None
        async with worker.consumer_loop._context.turns.of_thread():
            await until(world, at_ms + 2 * SECOND)
            owner = worker.consumer_loop.owners[0]
            assert owner.partition is not None
            assert owner.partition.due, "the windows that ended five minutes after noon are not decided"
            assert [one["state"] for one in alerts(world)] == ["firing"]
            worker.kill()
        fired = alerts(world)
        world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        assert alerts(world)[: len(fired)] == fired
        assert judge.ids(world.broker, 0), "the alert's window was decided"
        assert wrong(world) == []

    play(world, go)


@pytest.mark.parametrize("seeds", thorough([range(1, 8), range(8, 60)], 1, soak=[range(60, 600)]), ids=str)
def test_decisions_are_those_of_a_replay_wherever_output_is_written_before_what_is_due_is_decided(
    all_wait: None, monkeypatch: pytest.MonkeyPatch, seeds: range
) -> None:
    """With or without alerts; but for the schedules that decide one record in a transaction, which would not end."""
    rng, alone = random.Random(seeds[0]), Counter[str]()

    @asynccontextmanager
    async def late(self: ComputeTurns) -> AsyncIterator[None]:
        await asyncio.sleep(rng.choice((0.0, 1.0)))
        async with OF_THREAD(self):
            yield

    async def always(self: RunningPartition, writer: Writer) -> None:
        if not self.discarded:
            alone["due" if self.task.due else "not due"] += 1
            await self._commit(prepare_output(self.task, self._context), writer)

    monkeypatch.setattr(ComputeTurns, "of_thread", late)
    monkeypatch.setattr(RunningPartition, "_write_alerts", always)
    found = [result for seed in seeds if seed % 3 and (result := Schedule(seed).run()).wrong]
    assert not [f"schedule {one.seed} ({one.flavour}): {one.wrong[0]}" for one in found]
    print(f"seeds {seeds}: {alone}")
    assert alone["due"] > 5 * len(seeds)


def test_the_loop_feeds_nothing_while_a_thread_computes_but_waits_no_longer_than_its_patience() -> None:
    world = world_of(grace_ms=0)

    async def go() -> None:
        worker = world.add_worker()
        worker.link.slow_share = 0.0
        await until(world, NOON + 10 * SECOND)
        assert worker.consumer_loop is not None
        (owner,) = worker.consumer_loop.owners.values()
        assert owner.partition is not None
        offsets = owner.partition.sources.offsets

        async with worker.consumer_loop._context.turns.of_thread():
            await asyncio.sleep(1)  # a round that had its turn before has ended
            world.produce(three_calls(world.clock.now_ms(), "a"))
            await asyncio.sleep(compute_turns._PATIENCE_S * 0.9)
            assert owner.partition.sources.offsets == offsets
            await asyncio.sleep(2 * compute_turns._PATIENCE_S + 2)
            assert owner.partition.sources.offsets != offsets

    play(world, go)
