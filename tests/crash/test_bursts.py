"""Bursts of records other than calls are decided exactly, outside the event loop and in several transactions."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from crash import judge
from crash.log import Record
from crash.scenarios import (
    COMPLAINTS,
    CONTROL,
    MINUTE,
    NOON,
    POLICY,
    SECOND,
    against_contract,
    alerts,
    complaint,
    dead_letters,
    play,
    three_calls,
    until,
    world_of,
    wrong,
)
from crash.traffic import Arrival
from crash.world import World
from monitor.partition.task import StreamTask
from monitor.policy.load import loads, to_plain
from streams.topics.control_topic import PolicyCommand
from streams.worker.running.running_partition import RunningPartition
from streams.worker.running.transaction import Transaction

BURST, MOST = 120, 20


def burst(world: World) -> None:
    """Complaints of one instant, which are decided at once, among calls."""
    world.produce(three_calls(NOON + MINUTE, "a"))
    world.produce([complaint(NOON + 2 * MINUTE, f"p{n * 37 % BURST:03}") for n in range(BURST)])
    world.produce(three_calls(NOON + 9 * MINUTE, "b"))


def calls_of_many_tenants(world: World, at_ms: int) -> None:
    """Three calls of each tenant, at one time."""
    for n in range(BURST):
        tenant = f"t{n * 37 % BURST:03}"
        for arrival in three_calls(at_ms, f"{at_ms}{tenant}"):
            value = (arrival.record.value or b"").replace(b'"t"', f'"{tenant}"'.encode())
            world.produce([replace(arrival, record=Record(tenant.encode(), value))])


def bound_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions hold few decisions and alerts, and a window end is evaluated in small slices of tenants."""
    monkeypatch.setattr("streams.worker.running.transaction.MOST_AT_ONCE", MOST)
    monkeypatch.setattr("streams.worker.running.running_partition.MOST_AT_ONCE", MOST)
    monkeypatch.setattr("monitor.core.rules.evaluator.SLICE", 5)
    monkeypatch.setattr("monitor.core.alerts.early_alerts.MOST_ALERTS", MOST)


class Steps:
    """Records what each transaction decided, and whether it ran in the event loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decisions: list[int] = []
        self.alerts: list[int] = []
        self.in_the_loop: list[int] = []
        decide = RunningPartition._decide

        def watched(running: RunningPartition, task: StreamTask, hand_over: bool) -> Transaction:
            transaction = decide(running, task, hand_over)
            decided = sum(out.topic.endswith("enforcement") for out in transaction.records)
            self.decisions.append(decided)
            self.alerts.append(sum(out.topic.endswith("alerts") for out in transaction.records))
            if not running.busy:
                self.in_the_loop.append(decided)
            return transaction

        monkeypatch.setattr(RunningPartition, "_decide", watched)


@pytest.mark.parametrize("killed", [False, True])
def test_a_burst_of_one_instant_is_decided_in_transactions_of_bounded_size(
    killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a worker is killed between two of the transactions, another one continues."""
    bound_transactions(monkeypatch)
    steps = Steps(monkeypatch)
    world = world_of(grace_ms=0)
    burst(world)

    async def go() -> None:
        worker = world.add_worker()
        if killed:
            await until(world, NOON + 2 * MINUTE)
            while sum(steps.decisions) < BURST // 3:
                await asyncio.sleep(0.01)
            worker.kill()
            world.add_worker()
        await until(world, NOON + 30 * MINUTE)
        assert not wrong(world)
        assert len(judge.ids(world.broker, 0)) == BURST

    play(world, go)
    assert max(steps.decisions) <= MOST
    assert len([decided for decided in steps.decisions if decided]) >= BURST / MOST


@pytest.mark.parametrize("killed", [False, True])
def test_decisions_of_one_window_end_are_made_in_transactions_of_bounded_size(
    killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a worker is killed between two of the transactions, another one continues."""
    bound_transactions(monkeypatch)
    steps = Steps(monkeypatch)
    world = world_of(grace_ms=0)
    for at_ms in (NOON + MINUTE, NOON + 9 * MINUTE):
        calls_of_many_tenants(world, at_ms)

    async def go() -> None:
        worker = world.add_worker()
        if killed:
            await until(world, NOON + 5 * MINUTE)
            while not 0 < sum(steps.decisions) < BURST:
                await asyncio.sleep(0.01)
            worker.kill()
            worker = world.add_worker()
        await until(world, NOON + 30 * MINUTE)
        assert not wrong(world)
        assert not against_contract(world)
        assert len(judge.ids(world.broker, 0)) == 2 * BURST

    play(world, go)
    assert max(steps.decisions) <= MOST
    assert max(steps.alerts) <= 2 * MOST
    assert len([decided for decided in steps.decisions if decided]) >= BURST / MOST


@pytest.mark.parametrize("killed", [False, True])
def test_alerts_that_end_with_a_policy_end_in_transactions_of_bounded_size(
    killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a worker is killed between two of the transactions, another one continues; meanwhile no alert fires early."""
    bound_transactions(monkeypatch)
    steps = Steps(monkeypatch)
    world = world_of(grace_ms=0)
    calls_of_many_tenants(world, NOON + MINUTE)
    world.produce([complaint(NOON + 14 * MINUTE, "p")])  # the clocks reach the change
    plain = to_plain(POLICY)
    rules = [rule | {"id": f"other-{rule['id']}"} for rule in plain["rules"]]
    later = loads(json.dumps(plain | {"version": "2", "rules": rules, "escalations": []}), "policy.json")

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 3 * MINUTE)
        command = PolicyCommand(to_plain(later), later.sha256, NOON + 10 * MINUTE, "for the test", "ops-1", 1)
        world.broker.append(CONTROL, Record(b"0", msgspec.json.encode(command)))
        await until(world, NOON + 9 * MINUTE)
        before = sum(steps.alerts)
        while killed and not 0 < sum(steps.alerts) - before < BURST:
            await asyncio.sleep(0.01)
        if killed:
            worker.kill()
            world.add_worker()
        await until(world, NOON + 30 * MINUTE)
        assert not wrong(world)

    play(world, go)
    assert max(steps.alerts) <= 2 * MOST
    resolved = [alert["alert_id"] for alert in alerts(world) if alert["state"] == "resolved"]
    assert len(resolved) == len(set(resolved)) == BURST


def test_no_more_than_a_few_records_are_decided_in_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.worker.running.running_partition._LARGE", 1_000)  # ten records
    steps = Steps(monkeypatch)
    world = world_of(grace_ms=0)
    burst(world)

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 30 * MINUTE)
        assert not wrong(world)

    play(world, go)
    assert sum(steps.decisions) == BURST
    assert max(steps.in_the_loop) <= 10


def test_many_complaints_are_evaluated_early_outside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that arrive during the evaluation are fed afterwards."""
    monkeypatch.setattr("streams.worker.running.running_partition._LARGE", 1_000)
    looks: list[int] = []
    to_thread = asyncio.to_thread

    async def slowly(work: Callable[..., Any], *arguments: Any) -> Any:
        if work is StreamTask.early:
            partition = arguments[0]
            before = partition.sources.offsets
            await asyncio.sleep(0.7)
            assert partition.sources.offsets == before, "the partition was fed while the thread had it"
            looks.append(1)
        return await to_thread(work, *arguments)

    monkeypatch.setattr("asyncio.to_thread", slowly)
    world = world_of(grace_ms=0)
    burst(world)
    world.produce([complaint(NOON + 2 * MINUTE + n * SECOND // 50, f"q{n:03}") for n in range(BURST)])

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 30 * MINUTE)
        assert not wrong(world)
        assert len(judge.ids(world.broker, 0)) == 2 * BURST

    play(world, go)
    assert looks


def test_thousands_of_waiting_records_are_not_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handing them over would let a tenant choose the size of the transaction in which a partition is revoked."""
    monkeypatch.setattr("monitor.partition.task._MOST_WAITING", BURST - 1)
    world = world_of(grace_ms=0)
    burst(world)
    handed: list[bool] = []
    snapshot = StreamTask.snapshot

    def watched(partition: StreamTask, hand_over: bool = False) -> Any:
        records = snapshot(partition, hand_over)
        if hand_over:
            handed.append(any(key.startswith("handover/") and value for key, value in records))
        return records

    monkeypatch.setattr(StreamTask, "snapshot", watched)

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 2 * MINUTE + 2 * SECOND)
        worker.terminate()
        world.add_worker()
        await until(world, NOON + 15 * MINUTE)
        assert not wrong(world)

    play(world, go, as_often=True)
    assert handed
    assert not any(handed)


@pytest.mark.parametrize("killed", [False, True])
def test_a_flood_of_garbage_is_rejected_in_transactions_of_bounded_size(
    killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of 131,072 tiny records used to write as many dead letters in one transaction. Each is written once, in
    order.
    """
    at_once = 5
    monkeypatch.setattr("monitor.partition.processing.task_output._MOST_PASSED_ON", MOST)
    monkeypatch.setattr("streams.worker.running.input_delivery.OTHER_ROWS", at_once)
    letters: list[int] = []
    decide = RunningPartition._decide

    def watched(running: RunningPartition, task: StreamTask, hand_over: bool) -> Transaction:
        transaction = decide(running, task, hand_over)
        letters.append(sum(out.topic.endswith("dead-letter") for out in transaction.records))
        return transaction

    monkeypatch.setattr(RunningPartition, "_decide", watched)
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))
    world.produce([Arrival(NOON + 2 * MINUTE, COMPLAINTS, Record(b"t", b"ping")) for _ in range(BURST)])
    world.produce([complaint(NOON + 2 * MINUTE + SECOND, "behind-them")])
    world.produce(three_calls(NOON + 9 * MINUTE, "b"))

    async def go() -> None:
        worker = world.add_worker()
        if killed:
            while sum(letters) < BURST // 3:
                await asyncio.sleep(0.01)
            worker.kill()
            world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        assert not wrong(world)
        assert [int(offset) for offset, _ in dead_letters(world)] == list(range(BURST))

    play(world, go)
    assert max(letters) < MOST + at_once
    assert len([count for count in letters if count]) >= BURST // (MOST + at_once)


def test_what_a_transaction_passes_on_is_bounded_by_its_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few records of a megabyte each cost as much as thousands of small ones."""
    monkeypatch.setattr("monitor.partition.processing.task_output._PASSED_ON_BYTES", 1)
    monkeypatch.setattr("monitor.partition.processing.task_output._MOST_PASSED_ON", 1_000)
    monkeypatch.setattr("streams.worker.running.input_delivery.OTHER_ROWS", 1)
    sizes: list[int] = []
    decide = RunningPartition._decide

    def watched(running: RunningPartition, task: StreamTask, hand_over: bool) -> Transaction:
        transaction = decide(running, task, hand_over)
        sizes.append(sum(len(out.value or b"") for out in transaction.records if out.topic.endswith("dead-letter")))
        return transaction

    monkeypatch.setattr(RunningPartition, "_decide", watched)
    world = world_of(grace_ms=0)
    world.produce([Arrival(NOON + MINUTE, COMPLAINTS, Record(b"t", b"x" * 400)) for _ in range(30)])

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 10 * MINUTE)
        assert not wrong(world)

    play(world, go)
    assert sum(sizes) == 30 * 400
    assert max(sizes) <= 1_000 + 400
