"""A rescale to new topics in a world in memory: its two sides, its steps, and what is checked around it."""

import asyncio
from collections.abc import Callable

import pytest

from crash import judge
from crash.log import Log, Record
from crash.memory import MemoryCluster
from crash.scenarios import DAY_S, day_of, steady_link
from crash.traffic import NAMES
from crash.virtual import Process, run
from crash.world import World
from monitor.partition.checkpoint import PartitionIdentity
from monitor.partition.task import StreamTask
from streams.kafka.api import TP, Fenced, PermanentError, TransientError
from streams.kafka.topic_names import OUTPUTS, TopicNames
from streams.savepoint.close import RescaleSide
from streams.savepoint.rescale import move
from streams.worker.context import OwnedPhase

NEW = TopicNames("new.", "new.")
SEVERAL = (0, 1, 3)
"""Seeds of worlds with more than one partition."""


def sides(world: World) -> tuple[RescaleSide, RescaleSide]:
    """The existing topics, and new ones that the world knows."""
    partitions = world.rng.choice([count for count in (1, 2, 3, 4) if count != world.partitions])
    counts = dict.fromkeys([*NEW.inputs, *map(NEW.output, OUTPUTS)], partitions) | {NEW.owners.topic: 1}
    for topic, count in counts.items():
        world.broker.topics[topic] = count
        for number in range(count):
            world.broker.logs[TP(topic, number)] = Log()

    def side(names: TopicNames, application_id: str, count: int) -> RescaleSide:
        def made(number: int) -> StreamTask:
            place = PartitionIdentity(number, count)
            return StreamTask(world.policy, b"secret", world.live, place)

        return RescaleSide(names, application_id, count, made)

    return side(NAMES, "callwarden", world.partitions), side(NEW, "moved", partitions)


def operator_of(world: World, share: float = 0.0) -> MemoryCluster:
    """A cluster on which that share of the requests fails, before or after its effect."""
    link = steady_link(world.broker, world.loop, world.rng)

    def passing(process: Process, point: str) -> None:
        if world.rng.random() < share:
            raise TransientError(f"as if the network had failed at {point}")

    link.passing = passing
    return MemoryCluster(link)


async def moved(world: World, old: RescaleSide, new: RescaleSide, share: float) -> int:
    """Repeat the rescale until it succeeds; return the number of failures."""
    failures = 0
    while True:
        try:
            await move(operator_of(world, share), old, new, lambda line: None)
        except (TransientError, Fenced):
            failures += 1
            share *= 0.9
        else:
            return failures


def held_back(world: World) -> list[tuple[TP, Record]]:
    """Hold back the platform's records: it writes nothing during the rescale."""
    held: list[tuple[TP, Record]] = []

    def hold(tp: TP, record: Record) -> bool:
        held.append((tp, record))
        return True

    world.divert = hold
    return held


def release_held_back(world: World, held: list[tuple[TP, Record]]) -> None:
    """The platform writes again, the records held back first."""
    for tp, record in held:
        world.broker.append(tp, record)
    world.divert = lambda tp, record: False


def all_commands_taken(world: World) -> bool:
    """Whether all commands were processed."""
    logs, clock = world.broker.logs, NAMES.output("clock")
    given = sum(len(logs[TP(NAMES.output("control"), number)].committed(0)) for number in range(world.partitions))
    notes = [e.record for number in range(world.partitions) for e in logs[TP(clock, number)].committed(0)]
    return given == sum(b'"a trial"' in (note.value or b"") for note in notes if note)


async def until_all_are(world: World, phase: OwnedPhase) -> None:
    """Run a worker until all partitions of the old topics have that phase and all commands were processed."""
    worker = world.add_worker()
    for _ in range(60):
        await asyncio.sleep(0.5)
        owners = worker.consumer_loop.owners.values() if worker.consumer_loop is not None else ()
        if {owner.phase for owner in owners} == {phase} and all_commands_taken(world):
            break
    else:
        raise AssertionError(f"a worker must find the former topics {phase.value}")
    worker.kill()


async def refused(
    world: World, old: RescaleSide, new: RescaleSide, report: Callable[[str], None] = lambda line: None
) -> str:
    """Return the reason why the rescale is refused."""
    with pytest.raises(PermanentError) as reason:
        await move(operator_of(world), old, new, report)
    return str(reason.value)


def written(world: World) -> dict[TP, int]:
    """The number of records in each topic."""
    return {tp: len(log.committed(0)) for tp, log in world.broker.logs.items()}


async def settled(world: World) -> list[str]:
    """Return the differences once the clocks have moved on and no more records arrive."""
    wrong = ["it has not settled"]
    for _ in range(20):
        await asyncio.sleep(1.2)
        wrong = list(judge.wrong(world.broker, world.policy, world.live, world.partitions))
        if not wrong:
            break
    return wrong


async def until_a_call_is_read(world: World) -> None:
    """Let a worker read until at least one call was written; then kill it."""
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
