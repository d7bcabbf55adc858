"""Inputs that are written in transactions: undecided records are not read yet, and aborted records are never read."""

import asyncio
from collections.abc import Sequence

import pytest

from crash import judge
from crash.broken import Change, broken
from crash.log import Txn
from crash.memory import MemoryCluster
from crash.scenarios import CDR, HOUR, LATE, MINUTE, NOON, complaint, count, play, three_calls, until, world_of, wrong
from crash.traffic import Arrival
from crash.world import World
from helpers.thorough import thorough

HIGH_WATERMARK = [Change(MemoryCluster, "ends", "self._logs[tp].last_stable", "self._logs[tp].end")]


async def write(world: World, producer: str, arrivals: Sequence[Arrival]) -> Txn:
    """Write the records in a transaction, which stays open. A transaction that is already open is aborted."""
    epoch = world.broker.fence(producer)
    while world.broker.busy(producer):
        await asyncio.sleep(0.01)
    txn = world.broker.begin(producer, epoch, timeout_s=1e6)
    for one in arrivals:
        world.broker.produce(producer, txn, one.tp, [one.record])
    return txn


def a_complaint_in_an_open_transaction() -> list[str]:
    """Windows are decided while the transaction is open; the complaint counts after the commit. Returns the
    differences.
    """
    world = world_of()
    for n in range(15):
        world.produce(three_calls(NOON + n * MINUTE + 10_000, f"{n}-"))
    seen: list[str] = []

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + MINUTE)
        txn = await write(world, "hotline", [complaint(NOON + MINUTE, "c")])
        await until(world, NOON + 8 * MINUTE)
        if len(judge.ids(world.broker, 0)) != 1:
            seen.append("the open transaction holds back the windows")
        world.broker.commit("hotline", txn)
        await until(world, NOON + 10 * MINUTE)
        if len(judge.ids(world.broker, 0)) != 2:
            seen.append("the complaint decides nothing")
        seen.extend(wrong(world))

    play(world, go)
    return seen


def test_a_source_was_read_to_its_end_where_an_open_transaction_begins() -> None:
    assert a_complaint_in_an_open_transaction() == []
    with broken(HIGH_WATERMARK):
        assert "the open transaction holds back the windows" in a_complaint_in_an_open_transaction()


@pytest.mark.parametrize(("grace_ms", "late"), thorough([(4 * HOUR, 0), (HOUR, 3)], 1))
def test_calls_of_a_transaction_that_was_open_for_three_hours_are_not_late(grace_ms: int, late: int) -> None:
    """For a reader this equals a source that was away. A grace period that is too short shows that the
    test can fail.
    """
    world = world_of(speed=60.0, grace_ms=grace_ms)
    world.produce(three_calls(NOON + MINUTE, "a"))
    world.produce(three_calls(NOON + 3 * HOUR + 20 * MINUTE, "c"))

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 11 * MINUTE)
        txn = await write(world, "platform", three_calls(NOON + 11 * MINUTE, "b"))
        await until(world, NOON + 3 * HOUR)
        world.broker.commit("platform", txn)
        await until(world, NOON + 9 * HOUR)
        assert count(world, LATE) == late
        assert not wrong(world)

    play(world, go)


def test_calls_that_were_aborted_are_no_calls_and_may_come_again() -> None:
    world = world_of(grace_ms=0)
    calls = three_calls(NOON + 2 * MINUTE, "a")

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 2 * MINUTE)
        await write(world, "platform", calls)
        await until(world, NOON + 2 * MINUTE + 20_000)
        again = await write(world, "platform", calls)
        assert count(world, CDR) == 0, "what was first is aborted"
        world.broker.commit("platform", again)
        await until(world, NOON + 14 * MINUTE)
        assert count(world, CDR) == 3
        assert worker.telemetry.registry.get_sample_value("callwarden_duplicates_total") == 0
        assert len(judge.ids(world.broker, 0)) == 1
        assert not wrong(world)

    play(world, go)
