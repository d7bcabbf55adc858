"""Inputs that were created again: the worker stops, and reads them from the start once an operator accepts the loss."""

import asyncio

import pytest

from crash import judge
from crash.log import Log, Record
from crash.losses import no_loss, one_is_killed
from crash.scenarios import (
    CDR,
    DEAD,
    MINUTE,
    NOON,
    POLICY,
    SECOND,
    command,
    journal_entries,
    operator_of,
    phase,
    play,
    refused_by_new_worker,
    three_calls,
    until,
    world_of,
)
from crash.traffic import NAMES, Arrival
from monitor.partition.checkpoint import PartitionIdentity
from monitor.partition.journal import LostInput
from streams.kafka.api import PermanentError
from streams.kafka.topic_names import TopicNames
from streams.topics.state_inputs import check_inputs
from streams.worker.context import OwnedPhase
from streams.worker.recovery import RecoveryRefused, open_partition


@pytest.mark.parametrize("orderly", [True, False])
def test_an_input_that_was_created_again_is_refused_though_it_has_got_further_than_the_old_one(orderly: bool) -> None:
    """All its offsets exist: without a check of the topic id, its records would be read from the middle."""
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 3 * MINUTE)
        worker.terminate() if orderly else worker.kill()
        await asyncio.sleep(5)
        world.broker.recreate(CDR.topic)
        world.broker.append(CDR, *[Record(b"t", b"{")] * 20)
        worker, reason = await refused_by_new_worker(world)
        assert "callwarden.cdr was deleted and created again" in reason
        assert "callwarden accept lost-input --topic callwarden.cdr --partition 0 --offset 0" in reason
        assert await no_loss(world, "lost_input", 0, CDR.topic) is None
        command(world, type="accept", what="lost_input", topic=CDR.topic, offset=0, reason="a test")
        await asyncio.sleep(10)
        assert phase(worker)[0] is OwnedPhase.RUNNING
        losses = [entry for _, entry in journal_entries(world) if isinstance(entry, LostInput)]
        assert [(entry.offset, entry.recreated) for entry in losses] == [(0, True)]
        assert len(world.broker.logs[DEAD].committed(0)) == 20, "the new topic is read from its beginning"
        worker.kill()
        worker = world.add_worker()
        await asyncio.sleep(30)
        assert phase(worker)[0] is OwnedPhase.RUNNING, "what was accepted is stored"

    play(world, go)


def test_an_input_that_was_never_read_may_be_created_again() -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))

    async def go() -> None:
        await one_is_killed(world)
        world.broker.recreate(NAMES.inputs[4])
        worker = world.add_worker()
        await asyncio.sleep(30)
        assert phase(worker) == (OwnedPhase.RUNNING, "")

    play(world, go)


def test_a_state_is_not_opened_with_other_inputs_than_it_was_made_from() -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))
    wrong = TopicNames("cw-test.", NAMES.output_prefix)
    for topic in wrong.inputs:
        world.broker.create(topic, 1)

    async def go() -> None:
        await one_is_killed(world)
        cluster, reported = operator_of(world), "CALLWARDEN_INPUT_PREFIX=callwarden. is right for this output prefix"
        with pytest.raises(PermanentError, match=reported):
            await check_inputs(cluster, wrong)
        with pytest.raises(RecoveryRefused, match=reported):
            await open_partition(cluster, wrong, 0, world.context(cluster).new_task(0))
        await check_inputs(cluster, NAMES)

    play(world, go)


@pytest.mark.parametrize("orderly", [True, False])
def test_an_input_that_is_recreated_is_read_from_its_beginning_once_that_is_accepted(orderly: bool) -> None:
    """A handover refers to offsets of the old log: after a crash, the new log would be read from there."""
    world = world_of(grace_ms=0)
    world.produce([Arrival(NOON, CDR, Record(b"t", b"{"))] * 10)
    world.produce([*three_calls(NOON + MINUTE, "a"), *three_calls(NOON + 2 * MINUTE, "b")])

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 3 * MINUTE)
        worker.terminate() if orderly else worker.kill()
        await asyncio.sleep(5)
        world.broker.logs[CDR] = Log()
        worker, reason = await refused_by_new_worker(world)
        assert "ends at offset 0, but records up to" in reason
        command(world, type="accept", what="lost_input", topic=CDR.topic, offset=0, reason="a test")
        await asyncio.sleep(10)
        replayed = judge.replayed(world.broker, POLICY, world.live, PartitionIdentity(0, 1))
        least_ms = NOON + (2 if orderly else 1) * MINUTE
        assert replayed.sources.clocks_ms[0] >= least_ms, "as far as calls of the old log had moved it"
        world.produce(three_calls(NOON + 4 * MINUTE, "c"))
        await until(world, NOON + 4 * MINUTE + 10 * SECOND)
        world.broker.append(CDR, Record(b"t", b"{"))  # triggers a transaction
        await asyncio.sleep(3)
        worker.kill()
        worker = world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        assert phase(worker)[0] is OwnedPhase.RUNNING
        assert len(judge.ids(world.broker, 0)) == 1, "the new calls are enough by themselves"

    play(world, go)
