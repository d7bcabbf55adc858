"""A rescale that fails at any request and is repeated until it succeeds; and a rescale that is undone."""

import re
import weakref
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest

from crash.log import Log, Record
from crash.memory import MemoryCluster
from crash.rescales import (
    NEW,
    SEVERAL,
    held_back,
    in_world,
    moved,
    operator_of,
    refused,
    release_held_back,
    settled,
    sides,
    until_a_call_is_read,
    until_all_are,
    written,
)
from crash.scenarios import steady_link
from crash.traffic import NAMES
from crash.virtual import Process
from crash.world import World
from helpers.thorough import thorough
from monitor.policy.load import to_plain
from monitor.policy.serialize import sha256
from streams.kafka.api import TP, FetchedBatch
from streams.savepoint.close import RescaleSide
from streams.savepoint.rescale import move, undo
from streams.topics.control_topic import PolicyCommand
from streams.worker.context import OwnedPhase


def input_records(world: World, side: RescaleSide) -> int:
    """The number of records in the inputs."""
    return sum(len(world.broker.logs[tp].committed(0)) for n in range(side.partitions) for tp in side.inputs(n))


@pytest.mark.parametrize("seed", thorough(range(10), 1))
def test_a_rescale_that_fails_anywhere_succeeds_later_and_can_be_undone(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an undone rescale the old topics continue without a difference. Some close in many transactions."""
    if seed % 2:
        monkeypatch.setattr("streams.savepoint.close.MOST_AT_ONCE", 1)
        monkeypatch.setattr("monitor.core.rules.evaluator.SLICE", 1)

    async def go(world: World) -> None:
        await until_a_call_is_read(world)
        held = held_back(world)
        old, new = sides(world)
        assert await moved(world, old, new, 0.03) > 0
        laid = input_records(world, new)
        assert await moved(world, old, new, 0.0) == 0, "it is done, and done it stays"
        assert input_records(world, new) == laid
        await until_all_are(world, OwnedPhase.REFUSED)
        await undo(operator_of(world), old, new)
        world.add_worker()
        release_held_back(world, held)
        assert await settled(world) == []

    in_world(seed, go)


def test_unread_garbage_is_closed_with_in_transactions_of_one_batch() -> None:
    """A producer decides how much garbage is unread when workers stop; no transaction grows with it."""
    garbage, of_a_read = 2_000, 500

    async def go(world: World) -> None:
        await until_a_call_is_read(world)
        held_back(world)
        old, new = sides(world)
        before = rejected(world)
        for number in range(garbage):
            world.broker.append(old.inputs(0)[1], Record(b"t", b"garbage %d" % number))
        counts: list[int] = []
        link = steady_link(world.broker, world.loop, world.rng)

        def passing(process: Process, point: str) -> None:
            if point.startswith("commit."):
                counts.append(rejected(world))

        link.passing = passing
        await move(MemoryCluster(link), old, new, lambda line: None)
        counts.append(rejected(world))
        assert counts[-1] >= before + garbage
        assert max(after - earlier for earlier, after in pairwise(counts)) <= of_a_read

    in_world(2, go)


@pytest.mark.parametrize(
    ("limit", "bytes_each", "expected"),
    [
        ("close.MOST_UNREAD_BYTES", 100, "partition 0: expected at most 900 bytes of unread"),
        ("rescale.MOST_KEPT_BYTES", 0, "expected at most 900 bytes of records that are read and"),
        ("stray_records.MOST_STRAY_BYTES", 100, "more than 900 bytes of records, which no worker"),
    ],
    ids=["unread", "kept", "stray"],
)
def test_a_move_holds_no_more_bytes_than_its_limits_and_refuses_before_it_writes(
    limit: str, bytes_each: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A producer decides how large records are: 500,000 of a megabyte each would not fit in any memory."""
    monkeypatch.setattr(f"streams.savepoint.{limit}", 900)

    async def go(world: World) -> None:
        await until_a_call_is_read(world)
        await until_all_are(world, OwnedPhase.RUNNING)
        held_back(world)
        old, new = sides(world)
        topic, number = old.inputs(0)[1].topic, 0
        if "STRAY" in limit:
            number = old.partitions
            world.broker.topics[topic] = number + 1
            world.broker.logs[TP(topic, number)] = Log()
        if bytes_each:
            for _ in range(10):
                world.broker.append(TP(topic, number), Record(b"t", b"x" * bytes_each))
        await refused(world, old, new)  # the killed worker's open transaction has ended
        before = written(world)
        said = await refused(world, old, new)
        assert expected in said, said
        assert "--undo" not in said
        assert written(world) == before

    in_world(2, go)


class Values(list[bytes | None]):
    """The values of a batch, to which weak references are possible."""


class TrackingCluster(MemoryCluster):
    """Counts the batches that are in memory at once."""

    most = 0

    async def read(self, tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        alive = self.__dict__.setdefault("alive", [])
        async for batch in super().read(tp, start, stop):
            values = Values(batch.values)
            alive.append(weakref.ref(values))
            self.most = max(self.most, sum(one() is not None for one in alive))
            yield replace(batch, values=values)
            del batch, values


def test_input_that_a_move_reads_again_is_read_batch_by_batch() -> None:
    """Of the input from the restart offset on it keeps only what is not decided yet, not the garbage."""
    garbage = 5_000

    async def go(world: World) -> None:
        await until_a_call_is_read(world)
        held_back(world)
        old, new = sides(world)
        for number in range(garbage):
            world.broker.append(old.inputs(0)[1], Record(b"t", b"garbage %d" % number))
        cluster = TrackingCluster(steady_link(world.broker, world.loop, world.rng))
        await move(cluster, old, new, lambda line: None)
        assert 0 < cluster.most <= 3

    in_world(2, go)


def rejected(world: World) -> int:
    """The number of committed dead letters."""
    topic = NAMES.output("dead-letter")
    return sum(len(log.committed(0)) for tp, log in world.broker.logs.items() if tp.topic == topic)


def somebody_wrote(world: World, new: RescaleSide) -> str:
    world.broker.append(new.inputs(0)[0], Record(b"t", b"{}"))
    return "already has records of another producer"


def another_attempt_was_made(world: World, new: RescaleSide) -> str:
    world.broker.append(TP(NEW.output("state"), new.partitions - 1), Record(b"head/0", b"of another attempt"))
    return "already has a state"


def another_policy_holds_in_a_partition(world: World, new: RescaleSide) -> str:
    policy = replace(world.policy, version="2", sha256="")
    policy = replace(policy, sha256=sha256(policy))
    command = PolicyCommand(to_plain(policy), policy.sha256, world.clock.now_ms(), "a trial", "me", 1)
    world.broker.append(TP(NAMES.output("control"), 1), Record(b"1", msgspec.json.encode(command)))
    return "other scheduled policies|the same policy in all"


@pytest.mark.parametrize("seed", SEVERAL)
@pytest.mark.parametrize(
    "wrong",
    [somebody_wrote, another_attempt_was_made, another_policy_holds_in_a_partition],
    ids=lambda one: one.__name__,
)
def test_a_rescale_that_does_not_fit_is_refused_before_anything_is_written(
    wrong: Callable[[World, RescaleSide], str], seed: int
) -> None:
    async def go(world: World) -> None:
        assert world.partitions > 1
        old, new = sides(world)
        await until_a_call_is_read(world)
        expected = wrong(world, new)
        held = held_back(world)
        await until_all_are(world, OwnedPhase.RUNNING)
        await refused(world, old, new)  # the killed worker's open transaction has ended
        before = written(world)
        assert re.search(expected, said := await refused(world, old, new)), said
        assert "--undo" not in said
        assert written(world) == before
        release_held_back(world, held)
        await until_all_are(world, OwnedPhase.RUNNING)

    in_world(seed, go)
