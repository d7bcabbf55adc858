"""A move of the state keeps records whose event time is ahead of their timestamps, and decisions equal a replay."""

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest

from crash.log import Record
from crash.scenarios import MINUTE, NOON, POLICY, WRITTEN, call, complaint, operator_of, play, until
from crash.traffic import NAMES, TOPIC_OF, Arrival
from crash.world import MovedWorld, World
from helpers.thorough import thorough
from monitor.partition.checkpoint import DecidingSettings, PartitionIdentity
from monitor.partition.partitioner import partition_of
from monitor.partition.task import StreamTask
from oracle.product import run
from streams.kafka.api import TP
from streams.kafka.topic_names import OUTPUTS, TopicNames
from streams.savepoint.close import RescaleSide
from streams.savepoint.rescale import move

SPEED = 20.0
NEW = TopicNames("new.", "new.")
FORMER, COUNT = 2, 3
LIVE = DecidingSettings(idle_after_ms=int(2 * MINUTE / SPEED), outage_grace_ms=0)
LAST = NOON + 60 * MINUTE


def side(names: TopicNames, application_id: str, partitions: int) -> RescaleSide:
    def task(number: int) -> StreamTask:
        return StreamTask(POLICY, b"secret", LIVE, PartitionIdentity(number, partitions))

    return RescaleSide(names, application_id, partitions, task)


def records(rng: random.Random) -> list[tuple[int, int, dict[str, Any]]]:
    """Calls and complaints, each with its event time and its arrival, up to four minutes before that or just after."""
    found = []
    for n in range(300):
        at_ms = rng.randrange(NOON, LAST)
        made = complaint(at_ms, f"k{n}") if rng.random() < 0.1 else call(at_ms, f"c{n}")
        record = json.loads(made.record.value or b"") | {"tenant_id": f"t{rng.randrange(6)}"}
        found.append((at_ms, at_ms + rng.choice((0, rng.randrange(-4 * MINUTE, MINUTE // 3))), record))
    return found


def placed(names: TopicNames, partitions: int, arrives_ms: int, record: dict[str, Any]) -> Arrival:
    key = record["tenant_id"].encode()
    tp = TP(names.input_prefix + TOPIC_OF[record["type"]], partition_of(key, partitions, "murmur2"))
    return Arrival(arrives_ms, tp, Record(key, json.dumps(record).encode()))


def decided(world: World) -> dict[str, Any]:
    """The decisions of the former topics and of the new ones, by id; none may be there twice."""
    found: dict[str, Any] = {}
    for names, partitions in ((NAMES, FORMER), (NEW, COUNT)):
        for number in range(partitions):
            for entry in world.broker.logs[TP(names.output("enforcement"), number)].committed(0):
                assert entry.record is not None
                event = json.loads(entry.record.value or b"")
                assert event["id"] not in found
                found[event["id"]] = event["data"]
    return found


def as_in_files(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    events = run([lines], WRITTEN, windows=False)["enforcement"]
    return {event["id"]: {field: value for field, value in event.items() if field != "id"} for event in events}


@pytest.mark.parametrize("seed", thorough(range(6), 1))
def test_records_ahead_of_their_timestamps_are_moved(seed: int) -> None:
    """In the new topics their timestamps are later: they must move no clock that they did not move in the former."""
    print("seed", seed)
    rng = random.Random(seed)
    made = records(rng)
    middle_ms = rng.randrange(NOON + 10 * MINUTE, NOON + 50 * MINUTE)
    world = MovedWorld(random.Random(seed), POLICY, LIVE, FORMER, NOON, SPEED)
    for topic in [*NEW.inputs, *map(NEW.output, OUTPUTS)]:
        world.broker.create(topic, COUNT)
    world.broker.create(NEW.owners.topic, 1)
    world.produce(placed(NAMES, FORMER, arrives, one) for _, arrives, one in made if arrives < middle_ms)
    ahead = sum(arrives < middle_ms < at_ms for at_ms, arrives, _ in made)
    assert ahead > 0

    async def go() -> None:
        worker = world.add_worker()
        worker.link.slow_share = 0.0
        await until(world, middle_ms)
        worker.kill()
        former, world.moved = side(NAMES, "callwarden", FORMER), side(NEW, "moved", COUNT)
        await move(operator_of(world), former, world.moved, lambda line: None)
        world.produce(placed(NEW, COUNT, arrives, one) for _, arrives, one in made if arrives >= middle_ms)
        worker = world.add_worker()
        worker.link.slow_share = 0.0
        await until(world, LAST + 15 * MINUTE)
        assert worker.owned() == list(range(COUNT))

    play(world, go)
    late = [TP(names.output("late"), n) for names, count in ((NAMES, FORMER), (NEW, COUNT)) for n in range(count)]
    assert [len(world.broker.logs[tp].committed(0)) for tp in late] == [0] * len(late)
    assert decided(world) == as_in_files([one for _, _, one in sorted(made, key=lambda one: one[0])])
