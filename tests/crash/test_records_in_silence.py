"""Records in silence: rejected, aborted and old ones hold back no decision, late ones that advance end the silence."""

import json
import random
from collections.abc import Callable

import pytest

from crash import judge
from crash.log import Record
from crash.scenarios import (
    CDR,
    HOUR,
    LATE,
    MINUTE,
    NOON,
    POLICY,
    SECOND,
    against_contract,
    call,
    command,
    complaint,
    count,
    journal_entries,
    play,
    three_calls,
    until,
    world_of,
    wrong,
)
from crash.traffic import Arrival
from crash.world import World
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.journal import ClockAdvance
from monitor.partition.log_tail import LogTail
from monitor.partition.partitioner import partition_of
from monitor.partition.record_batch import RecordBatch
from streams.kafka.api import TP
from streams.worker.running.running_partition import RunningPartition


def pings(tp: TP, until_ms: int, every_ms: int = 29 * SECOND, record: Record | None = None) -> list[Arrival]:
    """Garbage, or copies of a record that is rejected, from noon on."""
    ping = record or GARBAGE
    return [Arrival(at_ms, tp, ping) for at_ms in range(NOON, until_ms, every_ms)]


GARBAGE = Record(b"t", b"ping")
MISKEYED = Record(b"somebody else", call(NOON, "x").record.value)
OF_ANOTHER_TOPIC = complaint(NOON, "x").record
AHEAD = call(NOON + 10 * HOUR, "x").record


@pytest.mark.parametrize(("topic", "every_ms"), [("cdr", 29 * SECOND), ("cdr", 300), ("complaints", 29 * SECOND)])
def test_garbage_in_a_quiet_topic_holds_back_no_decision(topic: str, every_ms: int) -> None:
    """One ping every 29 s, or so many that every check sees one."""
    world = world_of(grace_ms=0)
    stop_ms = NOON + 3 * MINUTE
    world.produce([complaint(NOON + 10 * SECOND, "fraud"), *pings(TP(f"callwarden.{topic}", 0), stop_ms, every_ms)])

    async def go() -> None:
        worker = world.add_worker()
        await until(world, stop_ms - 30 * SECOND)
        assert len(judge.ids(world.broker, 0)) == 1
        worker.kill()
        world.add_worker()
        await until(world, stop_ms + MINUTE)
        assert len(judge.ids(world.broker, 0)) == 1
        moves = [entry for _, entry in journal_entries(world) if isinstance(entry, ClockAdvance)]
        assert 0 < len(moves) < 5 * 12 * 5, "at most one a look and source"
        assert not wrong(world)

    play(world, go)


def test_rejected_records_alone_wait_three_seconds_for_a_transaction() -> None:
    world = world_of(grace_ms=0)
    first_ms = NOON + MINUTE
    world.produce(three_calls(NOON, "a"))
    world.produce(Arrival(first_ms + later_ms, CDR, GARBAGE) for later_ms in (0, 2 * SECOND))

    async def go() -> None:
        world.add_worker()
        await until(world, first_ms + 10 * SECOND)

    play(world, go)
    entries = world.broker.logs[TP("callwarden.dead-letter", 0)].committed(0)
    first, second = (entry.timestamp_ms for entry in entries if entry.record)
    assert 2_500 <= first - first_ms <= 4_500
    assert second == first


@pytest.mark.parametrize(("rejected", "at_once"), [(0, 30), (2, 30), (40, 10)])
def test_fewer_rows_are_fed_at_once_after_many_that_were_rejected(
    rejected: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They cost several times as much as calls, and the event loop must not wait for thousands of them."""
    monkeypatch.setattr("streams.worker.running.input_delivery.SLICE_ROWS", 30)
    monkeypatch.setattr("streams.worker.running.input_delivery.OTHER_ROWS", 10)
    monkeypatch.setattr("streams.worker.running.running_partition._COSTLY_ROWS", 2)
    sizes, feed = [], RunningPartition.feed

    def noted(self: RunningPartition, source: int, rows: RecordBatch) -> None:
        sizes.append(len(rows))
        feed(self, source, rows)

    monkeypatch.setattr(RunningPartition, "feed", noted)
    world = world_of(grace_ms=0)
    burst_ms = NOON + 20 * SECOND
    world.produce(Arrival(NOON, CDR, GARBAGE) for _ in range(rejected))
    world.produce(call(NOON, f"first {n}") for n in range(60 - rejected))
    world.produce(call(burst_ms, f"later {n}") for n in range(60))
    most = list[int]()

    async def go() -> None:
        world.add_worker()
        await until(world, burst_ms - SECOND)
        sizes.clear()
        await until(world, burst_ms + 10 * SECOND)
        most.append(max(sizes))

    play(world, go)
    assert most == [at_once]


def test_records_of_any_form_that_are_rejected_are_silence() -> None:
    world = world_of(grace_ms=0)
    every_ms, forms = 10 * SECOND, [MISKEYED, OF_ANOTHER_TOPIC, AHEAD, Record(None, None)]
    world.produce([complaint(NOON + 10 * SECOND, "fraud")])
    for n, form in enumerate(forms):
        world.produce(pings(CDR, NOON + 2 * MINUTE, every_ms + n, form))

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 2 * MINUTE)
        assert len(judge.ids(world.broker, 0)) == 1
        assert not wrong(world)

    play(world, go)


def test_aborted_transactions_are_silence() -> None:
    world = world_of(grace_ms=0)
    world.produce([complaint(NOON + MINUTE, "fraud")])

    async def go() -> None:
        world.add_worker()
        for n in range(5):
            await until(world, NOON + n * 29 * SECOND)
            txn = world.broker.begin("platform", world.broker.fence("platform"), timeout_s=1e6)
            world.broker.produce("platform", txn, CDR, [call(NOON + MINUTE, f"a{n}").record])
            world.broker.fence("platform")
        await until(world, NOON + 140 * SECOND)
        assert len(judge.ids(world.broker, 0)) == 1
        assert not wrong(world)

    play(world, go)


def tenant(updated_ms: int, arrives_ms: int) -> Arrival:
    record = {"type": "tenant", "tenant_id": "t", "declared_businesses": [], "numbers": [], "updated_ms": updated_ms}
    return Arrival(arrives_ms, TP("callwarden.tenants", 0), Record(b"t", json.dumps(record).encode()))


WEEK = 7 * 24 * HOUR
OLD: dict[str, Callable[[int], Arrival]] = {
    "late calls": lambda at_ms: call(at_ms - WEEK, f"late{at_ms}", at_ms),
    "tenant records": lambda at_ms: tenant(NOON - WEEK, at_ms),
    "a tenant record again": lambda at_ms: tenant(NOON, at_ms),
}


@pytest.mark.parametrize("old", OLD)
def test_old_records_in_a_quiet_topic_hold_back_no_decision(old: str) -> None:
    """Late calls and other records that are not newer than their predecessors, one every 29 s, do not advance the
    clock.
    """
    world = world_of(grace_ms=0)
    stop_ms = NOON + 4 * MINUTE
    world.produce([call(NOON, "first"), tenant(NOON, NOON), complaint(NOON + 10 * SECOND, "fraud")])
    world.produce([OLD[old](at_ms) for at_ms in range(NOON + SECOND, stop_ms, 29 * SECOND)])

    async def go() -> None:
        worker = world.add_worker()
        await until(world, stop_ms - MINUTE)
        assert judge.ids(world.broker, 0)
        worker.kill()
        world.add_worker()
        await until(world, stop_ms + MINUTE)
        assert not wrong(world)
        assert not against_contract(world)

    play(world, go)


def test_a_source_whose_records_come_an_hour_late_and_in_order_is_not_silent() -> None:
    """All decisions wait for it, and none of its calls is late: a source that catches up does not count
    as old records.
    """
    world = world_of(grace_ms=0)
    stop_ms = NOON + 3 * MINUTE
    world.produce([complaint(NOON + 10 * SECOND, "fraud")])
    world.produce([call(at_ms - HOUR, f"c{at_ms}", at_ms) for at_ms in range(NOON + SECOND, stop_ms, 20 * SECOND)])

    async def go() -> None:
        world.add_worker()
        await until(world, stop_ms)
        assert judge.ids(world.broker, 0) == []
        assert count(world, LATE) == 0
        await until(world, stop_ms + 2 * MINUTE)
        assert judge.ids(world.broker, 0)
        assert not wrong(world)
        assert not against_contract(world)

    play(world, go)


def test_a_feed_that_is_an_hour_behind_and_out_of_order_is_not_silent() -> None:
    """Minutes may pass without a call that is newer than all before; all calls are within the lateness."""
    world = world_of(grace_ms=0)
    stop_ms = NOON + 5 * MINUTE
    world.produce([complaint(NOON + 10 * SECOND, "fraud"), call(NOON - HOUR + 55 * SECOND, "first", NOON + SECOND)])
    for n, at_ms in enumerate(range(NOON + 2 * SECOND, stop_ms, 10 * SECOND)):
        world.produce([call(NOON - HOUR + n * SECOND, f"c{n}", at_ms)])

    async def go() -> None:
        world.add_worker()
        await until(world, stop_ms)
        assert count(world, LATE) == 0
        assert judge.ids(world.broker, 0) == []
        await until(world, stop_ms + 2 * MINUTE)
        assert judge.ids(world.broker, 0)
        assert not wrong(world)
        assert not against_contract(world)

    play(world, go)


def test_a_feed_that_comes_back_a_little_late_ends_the_silence() -> None:
    """Otherwise its clock would be advanced by checks for ever, with a journal entry for each."""
    world = world_of(grace_ms=0)
    back_ms, stop_ms = NOON + 2 * MINUTE, NOON + 5 * MINUTE
    world.produce([call(NOON, "first")])
    world.produce([call(at_ms - 5 * SECOND, f"c{at_ms}", at_ms) for at_ms in range(back_ms, stop_ms, SECOND)])

    async def go() -> None:
        world.add_worker()
        await until(world, stop_ms)
        moves = [
            entry.offset for source, entry in journal_entries(world) if isinstance(entry, ClockAdvance) and source == 0
        ]
        assert moves
        assert max(moves) == 1, "it was silent before the second of its records only"
        assert not against_contract(world)

    play(world, go)


def test_garbage_does_not_cancel_an_ended_outage() -> None:
    world = world_of(grace_ms=4 * HOUR)
    world.produce([*three_calls(NOON + MINUTE, "a"), *pings(CDR, NOON + 20 * MINUTE)])

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 2 * MINUTE)
        command(world, type="end_outage", reason="it is a holiday", by="ann", at_ms=NOON)
        await until(world, NOON + 8 * MINUTE)
        assert len(judge.ids(world.broker, 0)) == 1
        assert not wrong(world)

    play(world, go)


def of(number: int, arrivals: list[Arrival]) -> list[Arrival]:
    """The same record for a tenant of another partition."""
    key = tenant_of(number).encode()
    return [
        Arrival(
            one.at_ms,
            TP(one.tp.topic, number),
            Record(key, (one.record.value or b"").replace(b'"tenant_id": "t"', b'"tenant_id": "%s"' % key)),
        )
        for one in arrivals
    ]


def tenant_of(number: int) -> str:
    return next(name for name in (f"t{n}" for n in range(100)) if partition_of(name.encode(), 3, "murmur2") == number)


@pytest.mark.parametrize("workers", [1, 3])
def test_garbage_in_one_partition_of_the_calls_holds_back_no_other(workers: int) -> None:
    """Partition 0 is silent, 1 has garbage, 2 has current calls; each has its own worker, or one worker has all."""
    world = three_partitions()
    for n in range(25):
        world.produce(of(2, three_calls(NOON + n * 20 * SECOND, f"{n}-")))
    world.produce(of(0, three_calls(NOON + 10 * SECOND, "a")))
    world.produce(pings(TP(CDR.topic, 1), NOON + 7 * MINUTE - 10 * SECOND))
    world.produce(pings(TP(CDR.topic, 1), NOON + 7 * MINUTE - 10 * SECOND, 23 * SECOND, MISKEYED))

    async def go() -> None:
        for _ in range(workers):
            world.add_worker()
        await until(world, NOON + 7 * MINUTE)
        assert len(judge.ids(world.broker, 0)) == 1
        assert not list(judge.wrong(world.broker, POLICY, world.live, 3))

    play(world, go)


@pytest.mark.parametrize("workers", [1, 3])
def test_garbage_makes_no_feed_of_calls_look_current(workers: int) -> None:
    """No calls arrive at all; a record in one partition looks like a call and is rejected."""
    world = three_partitions()
    world.produce([one for n in range(3) for one in of(n, three_calls(NOON + 5 * SECOND, "a"))])
    back_ms = NOON + 5 * MINUTE
    world.produce([Arrival(back_ms, one.tp, one.record) for one in of(0, three_calls(NOON + MINUTE, "b"))])
    for at_ms in range(NOON, back_ms, 23 * SECOND):
        world.produce([Arrival(at_ms, TP(CDR.topic, 1), Record(b"somebody else", call(at_ms, "x").record.value))])

    async def go() -> None:
        for _ in range(workers):
            world.add_worker()
        await until(world, back_ms + 30 * SECOND)
        assert count(world, LATE) == 0
        assert judge.ids(world.broker, 0) == []

    play(world, go)


def three_partitions() -> World:
    return World(
        random.Random(1), POLICY, DecidingSettings(idle_after_ms=30 * SECOND, outage_grace_ms=4 * HOUR), 3, NOON
    )


def test_an_error_in_what_another_worker_reads_stops_none_but_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each worker looks at the ends of the others' partitions: what it cannot read there must not end it."""
    failed: list[int] = []

    def read(self: LogTail, rows: RecordBatch) -> None:
        failed.append(rows.start)
        raise LookupError("none foresaw it")

    monkeypatch.setattr(LogTail, "read", read)
    world = three_partitions()
    for n in range(25):
        world.produce(of(2, three_calls(NOON + n * 20 * SECOND, f"{n}-")))
    world.produce(of(0, three_calls(NOON + 10 * SECOND, "a")))

    async def go() -> None:
        workers = [world.add_worker() for _ in range(3)]
        await until(world, NOON + 7 * MINUTE)
        assert failed, "no worker looked at another's partition"
        assert world.running() == workers
        assert not list(judge.wrong(world.broker, POLICY, world.live, 3))

    play(world, go)
