"""Workers that start, stop and return: which state they trust, hand over and leave behind."""

import asyncio
import gc
import random
import weakref

import pytest

from crash import judge
from crash.broken import OLD_MEMORY_KEPT, broken
from crash.memory import MemoryCluster
from crash.memory_writer import MemoryWriter
from crash.scenarios import (
    HOUR,
    MINUTE,
    NOON,
    POLICY,
    SECOND,
    STATE,
    count,
    play,
    three_calls,
    until,
    world_of,
    wrong,
)
from crash.worker_app import make_app
from crash.world import Worker, World
from helpers.thorough import thorough
from monitor.decoding.input_topics import INPUTS
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from streams.kafka.api import TP
from streams.kafka.outputs import OutputRecord


def a_quick_return() -> list[str]:
    """A partition moves to another worker, which decides something, and returns to a worker that still has it in
    memory.
    """
    world = world_of(grace_ms=0)
    for n in range(10):
        world.produce(three_calls(NOON + n * MINUTE + 10 * SECOND, f"{n}-"))
    seen: list[str] = []

    async def go() -> None:
        first = world.add_worker()
        await until(world, NOON + 5 * MINUTE + 20 * SECOND)
        other = world.add_worker()
        other.link.rank = "!"
        first.link.slow_share = other.link.slow_share = 0.0
        await asyncio.sleep(10)
        assert (first.owned(), other.owned()) == ([], [0])
        before = count(world, STATE)
        await until(world, NOON + 6 * MINUTE + 25 * SECOND)
        assert count(world, STATE) > before, "the other one has decided"
        other.terminate()
        await until(world, NOON + 20 * MINUTE)
        assert first.owned() == [0]
        seen.extend(wrong(world))

    play(world, go)
    return seen


def test_what_is_in_memory_is_not_trusted_when_another_has_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crash.memory_consumer.HEARTBEAT_S", 0.5)  # no member is expelled, so none discards its memory
    assert a_quick_return() == []
    with broken(OLD_MEMORY_KEPT):
        assert a_quick_return() != []


def test_a_worker_that_is_stopped_before_it_could_join_ends_and_was_never_ready() -> None:
    world = world_of()
    world.broker.up = False

    async def go() -> None:
        worker = world.add_worker()
        _, consumer_loop = make_app(world.context(MemoryCluster(worker.link)))
        assert consumer_loop.not_ready, "nothing is wrong that it knows of, but it does not belong to the group"
        await asyncio.sleep(20)
        assert worker.consumer_loop is not None
        assert worker.consumer_loop.not_ready
        worker.terminate()
        await asyncio.sleep(20)
        assert worker.over

    logs = play(world, go)
    assert [line["event"] for line in logs].count("the broker is away; waiting for it") == 1


def test_gauges_of_a_revoked_partition_are_removed() -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + 10 * SECOND, "a"))

    async def go() -> None:
        first = world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        assert named(first) == {
            "callwarden_clock_timestamp_seconds",
            "callwarden_lag_records",
            "callwarden_owner_bans",
            "callwarden_partition",
            "callwarden_review_keys",
            "callwarden_watermark_timestamp_seconds",
        }
        other = world.add_worker()
        other.link.rank = "!"
        await asyncio.sleep(20)
        assert (first.owned(), other.owned()) == ([], [0])
        assert named(first) == set()

    def named(worker: Worker) -> set[str]:
        assert worker.consumer_loop is not None
        metrics = list(worker.telemetry.registry.collect())
        topics = {sample.labels.get("topic", "cdr") for metric in metrics for sample in metric.samples}
        assert topics == set(INPUTS)
        return {metric.name for metric in metrics for sample in metric.samples if sample.labels.get("partition") == "0"}

    play(world, go)


@pytest.mark.parametrize("orderly", [True, False])
def test_a_worker_that_ends_in_order_spares_the_next_one_reading_again(
    orderly: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of(grace_ms=0)
    world.produce([*three_calls(NOON + 10 * SECOND, "a"), *three_calls(NOON + MINUTE, "b")])
    world.produce(three_calls(NOON + 3 * MINUTE, "c"))
    fed: list[int] = []
    feed = StreamTask.feed

    def recording(self: StreamTask, source: int, rows: RecordBatch) -> None:
        if source == 0:
            fed.extend(rows.offsets.tolist())
        feed(self, source, rows)

    monkeypatch.setattr(StreamTask, "feed", recording)

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 2 * MINUTE)
        assert fed == [0, 1, 2, 3, 4, 5]
        fed.clear()
        worker.terminate() if orderly else worker.kill()
        await asyncio.sleep(5)
        world.add_worker()
        await until(world, NOON + 12 * MINUTE)
        again = [offset for offset in fed if offset < 6]
        assert again == ([] if orderly else [0, 1, 2, 3, 4, 5])
        (event,) = judge.ids(world.broker, 0)
        assert event
        assert not wrong(world)

    play(world, go)


@pytest.mark.parametrize("seeds", thorough([range(3), range(3, 10)], 1), ids=str)
def test_a_rebalance_while_a_worker_ends_does_not_disturb_what_it_hands_over(
    seeds: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker leaves meanwhile: the group asks the first one to revoke partitions that it is
    already revoking.
    """
    committing: set[MemoryWriter] = set()
    disturbed: list[MemoryWriter] = []
    commit, stop = MemoryWriter.commit, MemoryWriter.stop

    async def recording(self: MemoryWriter, records: list[OutputRecord], offsets: dict[TP, int]) -> int:
        committing.add(self)
        try:
            return await commit(self, records, offsets)
        finally:
            committing.remove(self)

    async def stopped(self: MemoryWriter) -> None:
        disturbed.extend(committing & {self})
        await stop(self)

    monkeypatch.setattr(MemoryWriter, "commit", recording)
    monkeypatch.setattr(MemoryWriter, "stop", stopped)
    for seed in seeds:
        world = World(random.Random(seed), POLICY, DecidingSettings(outage_grace_ms=0), 4, NOON)

        async def go(world: World = world) -> None:
            workers = [world.add_worker() for _ in range(3)]
            await until(world, NOON + 2 * MINUTE)
            for worker in workers:
                worker.link.slow_share = 0.5
            workers[1].terminate()
            await asyncio.sleep(0.5)
            workers[2].terminate()
            await asyncio.sleep(30)
            assert workers[1].over
            assert workers[2].over

        play(world, go)
    assert not disturbed


def test_a_stored_pane_is_deleted_when_it_has_left_every_window() -> None:
    """The size of a partition's state depends on the length of its windows, not on its age."""
    world = world_of(speed=60.0, grace_ms=HOUR)
    world.produce([one for n in range(180) for one in three_calls(NOON + n * MINUTE, f"{n}-")])
    written: set[bytes] = set()
    stored: set[bytes] = set()

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 6 * HOUR)
        for entry in world.broker.logs[STATE].committed(0):
            assert entry.record is not None
            key, value = entry.record.key or b"", entry.record.value
            (stored.discard if value is None else stored.add)(key)
            written.add(key)
        assert not wrong(world)

    play(world, go)
    panes = {key for key in written if key.startswith(b"f")}
    assert len(panes) > 30
    assert len(panes & stored) < 3


def test_the_memory_of_a_partition_that_is_forgotten_is_freed_at_once() -> None:
    """The garbage collector rarely visits old objects: neither a cycle nor a Faust stream may hold the partition."""
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + 10 * SECOND, "a"))
    alive: list[object] = []

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 5 * MINUTE)
        assert worker.consumer_loop is not None
        owner = worker.consumer_loop.owners[0]
        assert owner.partition is not None
        left = [weakref.ref(owner.partition), weakref.ref(owner.partition.shard)]
        gc.collect()
        gc.disable()
        try:
            await owner.give_up()
            owner.forget()
            alive.extend(one() for one in left)
        finally:
            gc.enable()

    play(world, go)
    assert alive == [None, None]
