"""A worker with a backlog: how often it commits, how much it takes until then, and that live traffic does not wait."""

import asyncio
import itertools
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from crash import judge
from crash.log import Record
from crash.scenarios import CDR, HOUR, MINUTE, NOON, POLICY, STATE, count, play, three_calls, until, world_of, wrong
from crash.traffic import NAMES
from crash.virtual import Process
from crash.world import World
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.partitioner import partition_of
from streams.kafka.api import TP
from streams.worker.running import running_partition

AFTER_MS = 5 * HOUR  # the worker starts so long after the first call


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times at which transactions of the worker in `read_backlog` begin."""
    monkeypatch.setattr(
        "crash.memory_fetched.some_entries", lambda _, some, most, stop: (some[:20], some[:20][-1].offset + 1)
    )
    return []


def backlog(world: World, number: int = 0, tenant: str = "t") -> int:
    """Append calls of four hours, three each minute, and records that move the other clocks past them."""
    calls = [one.record for n in range(4 * 60) for one in three_calls(NOON + n * MINUTE, f"{n}-")]
    for topic, fields in zip(NAMES.inputs[1:], last_records(NOON + 4 * HOUR), strict=True):
        world.broker.append(TP(topic, number), record_of(tenant, fields))
    world.broker.append(TP(CDR.topic, number), *(record_of(tenant, json.loads(one.value or b"")) for one in calls))
    return len(calls)


def record_of(tenant: str, fields: dict[str, Any]) -> Record:
    return Record(tenant.encode(), json.dumps(fields | {"tenant_id": tenant}).encode())


def last_records(at_ms: int) -> Iterator[dict[str, Any]]:
    times = {"updated_ms": at_ms}
    kept = {"category": "other", "status": "received", "reported_ms": at_ms}
    yield {"type": "complaint", "complaint_id": "c", **kept, **times}
    yield {"type": "finding", "finding_id": "f", "behaviour": "no_consent", "status": "suspected", **times}
    yield {"type": "tenant", "declared_businesses": [], "numbers": [], **times}
    asked = {"enforcement_id": "none", "verdict": "uphold", "reviewer": "r", "reason": "r"}
    yield {"type": "review", "review_id": "r", **asked, **times}


def read_backlog(world: World, transactions: list[float]) -> float:
    """Let a worker read the backlog and decide; return how long the reading of all calls took, in seconds."""

    def passing(process: Process, point: str) -> None:
        if point == "commit.begin?":
            transactions.append(world.loop.time())

    took_s = 0.0

    async def go() -> None:
        nonlocal took_s
        await until(world, NOON + AFTER_MS - MINUTE)
        read = backlog(world)
        await until(world, NOON + AFTER_MS)
        world.passing = passing  # type: ignore[method-assign]
        worker = world.add_worker()
        worker.link.slow_share = 0.0
        began_s = world.loop.time()
        while worker.consumer_loop is None or offset_of(worker.consumer_loop.owners.get(0)) < read:
            await asyncio.sleep(0.01)
        took_s = world.loop.time() - began_s
        transactions[:] = [at_s for at_s in transactions if at_s <= world.loop.time()]
        await until(world, NOON + AFTER_MS + 2 * MINUTE)
        assert not wrong(world)
        assert judge.ids(world.broker, 0)

    play(world, go)
    return took_s


def offset_of(owner: Any) -> int:
    return 0 if owner is None or owner.partition is None else int(owner.partition.sources.offsets[0])


def test_a_backlog_is_committed_once_a_second(transactions: list[float]) -> None:
    took_s = read_backlog(world_of(grace_ms=0), transactions)
    assert took_s > 3, "there were rounds enough to commit in each"
    assert 1 < len(transactions) <= took_s + 2
    gaps = [later - earlier for earlier, later in itertools.pairwise(transactions)]
    assert min(gaps) >= 1.0


def test_a_backlog_is_committed_after_so_many_rows(transactions: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_partition, "_BACKLOG_S", 1e9)
    monkeypatch.setattr(running_partition, "_BACKLOG_ROWS", 100)
    read_backlog(world_of(grace_ms=0), transactions)
    assert 4 * 60 * 3 // 120 - 1 <= len(transactions) <= 4 * 60 * 3 // 100 + 2


def test_what_one_transaction_leaves_undecided_the_next_decides_at_once(
    transactions: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_partition, "_BACKLOG_S", 1e9)
    monkeypatch.setattr(running_partition, "_BACKLOG_ROWS", 300)
    monkeypatch.setattr("streams.worker.running.transaction.MOST_AT_ONCE", 1)
    monkeypatch.setattr("monitor.core.rules.evaluator.SLICE", 1)
    read_backlog(world_of(grace_ms=0), transactions)
    assert len(transactions) > 10, "there were more decisions than transactions of 300 rows"


def test_live_traffic_does_not_wait_for_a_backlog_to_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_partition, "_BACKLOG_S", 1e9)
    monkeypatch.setattr(running_partition, "_BACKLOG_ROWS", 1 << 60)
    world = world_of(grace_ms=0)
    for n in range(20):
        world.produce(three_calls(NOON + n * MINUTE, f"{n}-"))

    async def go() -> None:
        worker = world.add_worker()
        worker.link.slow_share = 0.0
        await until(world, NOON + 7 * MINUTE)
        heads = count(world, STATE)
        await until(world, NOON + 12 * MINUTE)
        assert count(world, STATE) > heads
        assert not wrong(world)
        assert judge.ids(world.broker, 0)

    play(world, go)


def test_a_partition_that_waits_for_its_turn_takes_only_so_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions of all partitions are due at the same time, and large ones are decided one after the other."""
    monkeypatch.setattr(
        "crash.memory_fetched.some_entries", lambda _, some, most, stop: (some[:20], some[:20][-1].offset + 1)
    )
    monkeypatch.setattr(running_partition, "_LARGE", 0)
    monkeypatch.setattr(running_partition, "_BACKLOG_ROWS", 60)
    to_thread, taken = asyncio.to_thread, list[int]()

    async def slowly(decide: Callable[..., Any], *arguments: Any) -> Any:
        taken.append(len(arguments[0].shard.open_panes))
        await asyncio.sleep(3.0)
        return await to_thread(decide, *arguments)

    monkeypatch.setattr("asyncio.to_thread", slowly)
    world = World(random.Random(1), POLICY, DecidingSettings(idle_after_ms=30_000, outage_grace_ms=0), 2, NOON)
    homes = {partition_of(name.encode(), 2, "murmur2"): name for name in map(str, range(10))}

    async def go() -> None:
        await until(world, NOON + AFTER_MS - MINUTE)
        for number, tenant in homes.items():
            backlog(world, number=number, tenant=tenant)
        await until(world, NOON + AFTER_MS)
        world.add_worker().link.slow_share = 0.0
        await until(world, NOON + AFTER_MS + 3 * MINUTE)
        assert not list(judge.wrong(world.broker, POLICY, world.live, 2))

    play(world, go)
    pane = 6 * 3  # what a pane and lateness leave open
    assert 60 < max(taken) <= 2 * 60 + 2 * 20 + pane, taken
