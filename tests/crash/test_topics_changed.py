"""Topics that are deleted, recreated or given more partitions while workers run are reported within seconds."""

import asyncio
import random

import pytest

from crash import judge
from crash.log import Record
from crash.scenarios import (
    CDR,
    CONTROL,
    MINUTE,
    NOON,
    POLICY,
    SECOND,
    STATE,
    call,
    operator_of,
    phase,
    play,
    three_calls,
    until,
    world_of,
)
from crash.traffic import NAMES, Arrival
from crash.world import World
from monitor.partition.checkpoint import DecidingSettings, PartitionIdentity
from monitor.partition.partitioner import partition_of
from monitor.partition.task import StreamTask
from streams.kafka.api import TP
from streams.kafka.topic_names import OUTPUTS, TopicNames
from streams.savepoint.close import RescaleSide
from streams.savepoint.rescale import move
from streams.worker.context import OwnedPhase

_NOTICED_S = 12  # two checks, the second one second after the first
HOME = {name: partition_of(name.encode(), 2, "murmur2") for name in ("t0", "t1", "t2", "t3", "t4", "t5", "t6")}


@pytest.mark.parametrize(
    ("topic", "remedy"), [(STATE.topic, "callwarden state import FILE"), (CONTROL.topic, "create")]
)
def test_a_deleted_topic_is_named_within_seconds_with_the_command(topic: str, remedy: str) -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 3 * MINUTE)
        assert worker.consumer_loop is not None
        world.broker.delete(topic)
        await asyncio.sleep(_NOTICED_S)
        stands, reason = phase(worker)
        assert (stands, reason.partition(".")[2].partition(" ")[0]) == (
            OwnedPhase.MISCONFIGURED,
            topic.partition(".")[2],
        )
        assert f"{topic} does not exist: it was deleted" in reason
        assert remedy in reason
        assert any(topic in line for line in worker.consumer_loop.not_ready)
        world.broker.create(topic, 1)
        await asyncio.sleep(2 * _NOTICED_S)
        stands, reason = phase(worker)
        if topic == STATE.topic:
            assert stands is OwnedPhase.REFUSED
            assert "callwarden accept lost-state" in reason
        else:
            assert (stands, reason) == (OwnedPhase.RUNNING, "")
            assert worker.consumer_loop.not_ready == []

    play(world, go)


def test_an_input_that_is_created_again_under_a_worker_is_noticed_though_it_has_got_further() -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 3 * MINUTE)
        world.broker.recreate(CDR.topic)
        world.broker.append(CDR, *[Record(b"t", b"{")] * 20)
        await asyncio.sleep(2 * _NOTICED_S)
        stands, reason = phase(worker)
        assert stands is OwnedPhase.REFUSED
        assert "callwarden.cdr was deleted and created again" in reason

    play(world, go)


def of_tenant(tenant: str, number: int, at_ms: int, name: str) -> list[Arrival]:
    """Three short calls of the tenant in that partition."""
    arrivals = []
    for each in range(3):
        one = call(at_ms + each * SECOND, f"{name}{each}")
        value = (one.record.value or b"").replace(b'"tenant_id": "t"', b'"tenant_id": "%s"' % tenant.encode())
        arrivals.append(Arrival(one.at_ms, TP(CDR.topic, number), Record(tenant.encode(), value)))
    return arrivals


def test_with_more_partitions_of_an_input_the_others_continue_and_a_move_carries_all_over() -> None:
    """Three tenants: one keeps its partition, the records of one are rejected, those of one are read by no worker."""
    live = DecidingSettings(idle_after_ms=30 * SECOND, outage_grace_ms=0)
    world = World(random.Random(3), POLICY, live, 2, NOON, 1.0)
    by_change = {
        change: next(name for name, home in HOME.items() if holds(home, partition_of(name.encode(), 3, "murmur2")))
        for change, holds in {
            "stays": lambda old, new: old == new,
            "unread": lambda old, new: new == 2,
        }.items()
    }
    new = TopicNames("new.", "new.")

    def side(names: TopicNames, count: int, application_id: str) -> RescaleSide:
        return RescaleSide(
            names, application_id, count, lambda n: StreamTask(POLICY, b"secret", live, PartitionIdentity(n, count))
        )

    def ids(names: TopicNames, count: int) -> list[tuple[str, str]]:
        logs = [world.broker.logs[TP(names.output("enforcement"), number)] for number in range(count)]
        return sorted(entry.record.key.decode() for log in logs for entry in log.committed(0))

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + MINUTE)
        world.broker.alter(CDR.topic, 3)
        for tenant in by_change.values():
            world.produce(of_tenant(tenant, partition_of(tenant.encode(), 3, "murmur2"), NOON + 2 * MINUTE, tenant))
        await asyncio.sleep(_NOTICED_S)
        assert worker.consumer_loop is not None
        (reported,) = worker.consumer_loop.not_ready
        assert reported.startswith(
            "callwarden.cdr has 3 partitions, the state was made with 2: records in partitions 2 and"
        )
        await until(world, NOON + 150 * SECOND)
        assert worker.owned() == [0, 1], "the others continue"
        later = world.add_worker()
        await asyncio.sleep(20)
        assert sorted(worker.owned() + later.owned()) == [0, 1], "with a worker that comes since, too"
        worker.terminate()
        later.terminate()
        await asyncio.sleep(10)
        for topic in [*new.inputs, *map(new.output, OUTPUTS)]:
            world.broker.create(topic, 3)
        lines: list[str] = []
        await move(operator_of(world), side(NAMES, 2, "callwarden"), side(new, 3, "moved"), lines.append)
        assert lines[-1].startswith("carried over: 3 records of partitions 2 and above")
        await move(operator_of(world), side(NAMES, 2, "callwarden"), side(new, 3, "moved"), lines.append)  # repeat
        for number in range(3):
            log = world.broker.logs[TP(new.inputs[0], number)].committed(0)
            for entry in log:
                assert entry.record is not None
                assert partition_of(entry.record.key or b"", 3, "murmur2") == number
        kept = [
            e.record.key for n in range(3) for e in world.broker.logs[TP(new.inputs[0], n)].committed(0) if e.record
        ]
        assert sorted(kept) == sorted(tenant.encode() for tenant in by_change.values() for _ in range(3))

    play(world, go, as_often=True)
    assert judge.ids(world.broker, 0) == []
