"""A move of the state that fails at any request, and is begun again until it is done; and one that is taken back."""

import asyncio
from collections.abc import Callable

import pytest

from crash import judge
from crash.courses import DAY_S, day_of, steady_link
from crash.log import Log, Record
from crash.memory import MemoryCluster
from crash.traffic import NAMES
from crash.virtual import Process, run
from crash.world import World
from monitor.head import Place
from monitor.partition import Partition
from streams.cluster import TP, Fenced, Unavailable
from streams.names import OUTPUTS, Names
from streams.setup import Phase
from streams.state.closing import Side
from streams.state.moving import move, undo

NEW = Names("new.", "new.")


def sides(world: World) -> tuple[Side, Side]:
    """The topics that are there, and new ones, of which the world is told."""
    partitions = world.rng.choice([count for count in (1, 2, 3, 4) if count != world.partitions])
    for topic in [*NEW.inputs, *map(NEW.output, OUTPUTS)]:
        world.broker.topics[topic] = partitions
        for number in range(partitions):
            world.broker.logs[TP(topic, number)] = Log()

    def side(names: Names, application_id: str, count: int) -> Side:
        def made(number: int) -> Partition:
            return Partition(world.policy, b"secret", world.live, Place(number, count))

        return Side(names, application_id, count, made)

    return side(NAMES, "callwarden", world.partitions), side(NEW, "moved", partitions)


def operator_of(world: World, share: float = 0.0) -> MemoryCluster:
    """A cluster on which that share of what is asked fails, before it is done or after."""
    link = steady_link(world.broker, world.loop, world.rng)

    def passing(process: Process, point: str) -> None:
        if world.rng.random() < share:
            raise Unavailable(f"as if the network had failed at {point}")

    link.passing = passing
    return MemoryCluster(link)


async def moved(world: World, old: Side, new: Side, share: float) -> int:
    """Begin the move until it is done; how often it failed."""
    failures = 0
    while True:
        try:
            await move(operator_of(world, share), old, new, lambda line: None)
        except (Unavailable, Fenced):
            failures += 1
            share *= 0.9
        else:
            return failures


def lying(world: World, side: Side) -> int:
    """How many records lie in its inputs."""
    return sum(len(world.broker.logs[tp].committed(0)) for n in range(side.partitions) for tp in side.inputs(n))


async def settled(world: World) -> list[str]:
    """What is wrong once the clocks have gone on and nothing comes any more."""
    wrong = ["it has not settled"]
    for _ in range(20):
        await asyncio.sleep(1.2)
        wrong = list(judge.wrong(world.broker, world.policy, world.live, world.partitions))
        if not wrong:
            break
    return wrong


async def until_a_call_is_read(world: World) -> None:
    """Let a worker read on, at least until a call has come; then kill it."""
    worker = world.add_worker()
    await asyncio.sleep(world.rng.uniform(0.4, 0.9) * DAY_S)
    calls = [TP(NAMES.inputs[0], number) for number in range(world.partitions)]
    while not any(world.broker.logs[tp].committed(0) for tp in calls):
        await asyncio.sleep(0.1)
    worker.kill()


def in_world(seed: int, work: Callable[[World], object]) -> None:
    world = day_of(seed)
    try:
        run(world.loop, work(world))  # type: ignore[arg-type]
    finally:
        world.close()


@pytest.mark.parametrize("seed", range(10))
def test_a_move_that_fails_anywhere_is_done_in_the_end_and_can_be_taken_back(seed: int) -> None:
    """What was taken back goes on as if nothing had been."""

    async def go(world: World) -> None:
        await until_a_call_is_read(world)
        held: list[tuple[TP, Record]] = []  # the platform writes nothing meanwhile

        def hold(tp: TP, record: Record) -> bool:
            held.append((tp, record))
            return True

        let_through, world.divert = world.divert, hold
        old, new = sides(world)
        assert await moved(world, old, new, 0.03) > 0
        laid = lying(world, new)
        assert await moved(world, old, new, 0.0) == 0, "it is done, and done it stays"
        assert lying(world, new) == laid
        worker = world.add_worker()
        for _ in range(60):
            await asyncio.sleep(0.5)
            owners = worker.engine.owners.values() if worker.engine is not None else ()
            if {owner.phase for owner in owners} == {Phase.REFUSED}:
                break
        else:
            raise AssertionError("a worker on the former topics must refuse them")
        worker.kill()
        await undo(operator_of(world), old, new)
        world.add_worker()
        for tp, record in held:
            world.broker.append(tp, record)
        world.divert = let_through
        assert await settled(world) == []

    in_world(seed, go)
