"""Loss of state or input: the worker stops, and rebuilds the state or skips the loss once an operator accepts it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from crash import judge
from crash.log import Log, Record
from crash.losses import no_loss, one_is_killed
from crash.scenarios import (
    CDR,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    STATE,
    an_hour_of_calls,
    command,
    journal_entries,
    long_call,
    lose_state,
    operator_of,
    phase,
    play,
    refused_by_new_worker,
    three_calls,
    until,
    world_of,
)
from crash.traffic import NAMES, Arrival
from crash.virtual import Process
from crash.world import World
from helpers.thorough import thorough
from monitor.partition.journal import LostInput, LostState
from streams.kafka.api import TP, PermanentError
from streams.savepoint.export import export
from streams.worker.context import OwnedPhase


def world_of_two() -> World:
    """A world whose calls lead to a decision before ten past twelve, and to another one later."""
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))
    world.produce(three_calls(NOON + 15 * MINUTE, "b"))
    return world


def end_of_decisions(world: World) -> int:
    """The end of the decisions, by which an operator names the lost state."""
    return world.broker.logs[TP(NAMES.output("enforcement"), 0)].last_stable


def test_a_lost_state_is_refused_until_it_is_accepted_and_decides_nothing_twice() -> None:
    world = world_of_two()

    async def go() -> None:
        await one_is_killed(world)
        world.broker.logs[STATE] = Log()
        worker, reason = await refused_by_new_worker(world)
        assert "its state is lost" in reason
        assert "callwarden accept lost-state --partition 0" in reason
        offset = end_of_decisions(world)
        assert await no_loss(world, "lost_state", offset - 1) == (
            f"--offset: expected {offset}, got {offset - 1}: callwarden.enforcement-0 ends there now; see "
            "the worker's newest `partition refused`"
        )
        assert await no_loss(world, "lost_state", offset) is None
        command(world, type="accept", what="lost_state", offset=offset, reason="a test", by="ann", at_ms=NOON)
        await until(world, NOON + 30 * MINUTE)
        assert phase(worker)[0] is OwnedPhase.RUNNING
        assert await no_loss(world, "lost_state", offset) == "partition 0 has its state: nothing is lost"
        assert [one for one in journal_entries(world) if isinstance(one[1], LostState)] == [
            (None, LostState(offset, "a test", "ann", NOON))
        ]
        ids = judge.ids(world.broker, 0)
        assert len(ids) == len(set(ids)) == 2

    play(world, go)


def test_a_state_is_recreated_despite_foreign_records_among_the_decisions() -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))
    enforcement = TP(NAMES.output("enforcement"), 0)

    async def go() -> None:
        await one_is_killed(world)
        world.broker.logs[STATE] = Log()
        for value in (b"no event", b'{"id": 7}', b"[]"):
            world.broker.append(enforcement, Record(b"t", value))
        offset = world.broker.logs[enforcement].last_stable
        command(world, type="accept", what="lost_state", offset=offset, reason="a test")
        worker = world.add_worker()
        await asyncio.sleep(30)
        assert phase(worker) == (OwnedPhase.RUNNING, "")

    play(world, go)


def test_the_rest_of_a_lost_state_is_deleted_when_it_is_recreated() -> None:
    world = world_of_two()

    async def go() -> None:
        await one_is_killed(world)
        left = Record(b"standing-of-nobody/0", b"\x00\x01left")
        world.broker.logs[STATE] = Log()
        world.broker.append(STATE, left)
        offset = end_of_decisions(world)
        command(world, type="accept", what="lost_state", offset=offset, reason="a test")
        world.add_worker()
        await until(world, NOON + 30 * MINUTE)
        stored = {entry.record.key: entry.record.value for entry in world.broker.logs[STATE].committed(0)}
        assert stored[b"head/0"] is not None
        assert stored[left.key] is None

    play(world, go)


@pytest.mark.parametrize("kills", [0, 3])
def test_a_partly_lost_state_is_refused_and_recreated_once_that_is_accepted(
    kills: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of it is deleted in parts, between which workers may be killed."""
    monkeypatch.setattr("streams.worker.recovery._DELETED_AT_ONCE", 1)
    world, deleted = world_of_two(), list[int]()

    def passing(process: Process, point: str) -> None:
        if accepted and point == "commit.end!":
            keys = {entry.record.key: entry.record.value for entry in world.broker.logs[STATE].committed(0)}
            deleted.append(sum(value is None for value in keys.values()))
            if len(deleted) <= kills:
                assert not deleted[-1] or keys[b"head/0"] is None
                world.workers[-1].kill()
                world.add_worker()

    accepted: list[int] = []

    async def go() -> None:
        world.passing = passing  # type: ignore[method-assign]  # kills workers on the way
        await one_is_killed(world)
        stored = world.broker.logs[STATE].committed(0)
        world.broker.logs[STATE] = Log()
        for entry in stored:
            if not entry.record.key.startswith(b"f"):  # all except the panes, as if retention had deleted them
                world.broker.append(STATE, entry.record)
        with pytest.raises(PermanentError, match=r"callwarden\.state-0 is incomplete: its head counts \d+ entries"):
            await export(operator_of(world), NAMES, tmp_path / "state.zst", NOON)
        _, reason = await refused_by_new_worker(world)
        assert "its state is lost: callwarden.state has an incomplete state (its head counts " in reason
        offset = end_of_decisions(world)
        assert await no_loss(world, "lost_state", offset) is None
        accepted.append(offset)
        command(world, type="accept", what="lost_state", offset=offset, reason="a test")
        await until(world, NOON + 30 * MINUTE)
        assert phase(world.workers[-1])[0] is OwnedPhase.RUNNING
        assert len(set(deleted)) >= 3, "in several transactions"
        assert await no_loss(world, "lost_state", offset) == "partition 0 has its state: nothing is lost"
        ids = judge.ids(world.broker, 0)
        assert len(ids) == len(set(ids)) == 2

    play(world, go)


def test_a_log_of_the_state_that_is_recreated_while_a_worker_is_at_work_is_noticed() -> None:
    world = world_of_two()

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 10 * MINUTE)
        world.broker.logs[STATE] = Log()
        await until(world, NOON + 30 * MINUTE)
        stands, reason = phase(worker)
        assert stands is OwnedPhase.REFUSED
        assert "its state is lost: callwarden.state has an incomplete state (its head counts " in reason

    play(world, go)


def test_a_foreign_event_from_the_far_future_does_not_prevent_recreating_a_state() -> None:
    world = world_of(speed=60.0)
    enforcement = TP(NAMES.output("enforcement"), 0)
    an_hour_of_calls(world)

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        worker.kill()
        foreign = {"id": "foreign", "subject": "t", "data": {"decided_ms": NOON + 3_000 * 24 * HOUR}}
        world.broker.append(enforcement, Record(b"t", json.dumps(foreign).encode()))
        lose_state(world)
        worker = world.add_worker()
        await until(world, NOON + 8 * 60 * MINUTE)
        assert phase(worker) == (OwnedPhase.RUNNING, "")
        assert worker.consumer_loop is not None
        partition = worker.consumer_loop.owners[0].partition
        assert partition is not None
        assert not partition.published.rebuilding
        ids = judge.ids(world.broker, 0)
        assert len(ids) == len(set(ids)) > 1, "and what was put out is not put out again"

    play(world, go)


@pytest.mark.parametrize("decides", thorough([True, False], 1))
def test_a_rebuilt_state_writes_no_measures_again_though_it_has_fewer_records(decides: bool) -> None:
    world = world_of(grace_ms=0, speed=20.0)
    for n in range(3):
        at_ms = NOON + n * 30 * MINUTE + MINUTE
        if decides:
            world.produce(three_calls(at_ms, f"{n}-"))
        else:
            world.produce([Arrival(at_ms, CDR, long_call(at_ms, f"{n}"))])

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 70 * MINUTE)
        worker.kill()
        (written,) = hours_measured(world)
        assert written["hour_ms"] == NOON
        world.broker.logs[CDR].trim(2)  # retention has deleted them
        lose_state(world)
        worker = world.add_worker()
        await until(world, NOON + 75 * MINUTE)
        worker.kill()  # while the state is being rebuilt, or soon after
        worker = world.add_worker()
        await until(world, NOON + 3 * HOUR)
        assert phase(worker) == (OwnedPhase.RUNNING, "")
        hours = hours_measured(world)
        assert [one["hour_ms"] for one in hours] == [NOON, NOON + HOUR]
        assert hours[0] == written
        assert bool(judge.ids(world.broker, 0)) == decides

    play(world, go)


def hours_measured(world: World) -> list[dict[str, Any]]:
    """The records of the topic of measures."""
    entries = world.broker.logs[TP(NAMES.output("measures"), 0)].committed(0)
    return [json.loads(entry.record.value or b"") for entry in entries if entry.record is not None]


def test_records_that_retention_has_deleted_before_they_were_read_again_are_missed() -> None:
    world = world_of(grace_ms=4 * HOUR)
    world.produce([*three_calls(NOON + MINUTE, "a"), *three_calls(NOON + 2 * MINUTE, "b")])
    world.produce([Arrival(NOON + 90 * SECOND, CDR, Record(b"t", b"{"))])

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 3 * MINUTE)
        worker.kill()
        world.broker.logs[CDR].trim(5)
        worker, reason = await refused_by_new_worker(world)
        assert "from offset 0 on, but it begins at 5" in reason
        command(world, type="accept", what="lost_input", topic=CDR.topic, offset=4, reason="of another loss")
        await asyncio.sleep(30)
        assert phase(worker)[0] is OwnedPhase.REFUSED
        assert (await no_loss(world, "lost_input", 4, CDR.topic) or "").startswith(
            "--offset: expected 5, got 4: callwarden.cdr-0 begins there now"
        )
        assert await no_loss(world, "lost_input", 5, CDR.topic) is None
        command(world, type="accept", what="lost_input", topic=CDR.topic, offset=5, reason="a test", by="ann", at_ms=7)
        await until(world, NOON + 20 * MINUTE)
        assert phase(worker)[0] is OwnedPhase.RUNNING
        assert await no_loss(world, "lost_input", 5, CDR.topic) == (
            "callwarden.cdr-0 begins at offset 5, and is needed from 5 on: nothing is lost"
        )
        losses = [one for one in journal_entries(world) if isinstance(one[1], LostInput)]
        assert losses == [(0, LostInput(5, 0, recreated=False, reason="a test", by="ann", at_ms=7))]
        command(world, type="accept", what="lost_input", topic=CDR.topic, offset=5, reason="once more")
        await asyncio.sleep(30)
        assert len([one for one in journal_entries(world) if isinstance(one[1], LostInput)]) == 1

    refused = [line for line in play(world, go) if line["event"] == "command refused"]
    assert [line["why"].partition(":")[0] for line in refused] == [
        "lost_input at offset 4",
        "lost_input at offset 5",
    ]
