"""Single courses of events, to which random schedules are blind or which have an end of their own."""

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from crash import judge
from crash.broken import MOVES_NOT_IN_THE_HEAD, OLD_MEMORY_KEPT, broken
from crash.courses import (
    CDR,
    HOUR,
    LATE,
    MINUTE,
    NOON,
    POLICY,
    SECOND,
    STATE,
    alerts,
    call,
    command,
    complaint,
    count,
    long_call,
    noted,
    play,
    three_calls,
    until,
    world_of,
    wrong,
)
from crash.log import Record
from crash.memory import Link, MemoryCluster, MemoryWriter
from crash.traffic import NAMES, Arrival
from crash.virtual import Process
from crash.world import Worker, World
from monitor.head import Live
from monitor.keying import partition_of
from monitor.notes import OutageEnded
from monitor.partition import Partition
from monitor.rows import Rows
from monitor.topics import INPUTS
from streams.app import make_app
from streams.cluster import TP, Out
from streams.owner import Owner
from streams.topicreplay import replay_topics


def test_the_last_windows_of_a_quiet_night_are_judged_after_the_grace() -> None:
    world = world_of(speed=60.0, grace_ms=HOUR)
    world.produce(three_calls(NOON + MINUTE, "a"))

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 55 * MINUTE)
        assert judge.ids(world.broker, 0) == [], "the feed of calls may be away"
        await until(world, NOON + 80 * MINUTE)
        assert len(judge.ids(world.broker, 0)) == 1
        assert not wrong(world)

    play(world, go)


@pytest.mark.parametrize(("grace_ms", "late"), [(4 * HOUR, 0), (HOUR, 3)])
def test_a_feed_that_was_away_for_three_hours_finds_no_call_late(grace_ms: int, late: int) -> None:
    """And an alarm says so meanwhile. A grace that is too short shows that the test can fail."""
    world = world_of(speed=60.0, grace_ms=grace_ms)
    back_ms = NOON + 3 * HOUR
    world.produce([*three_calls(NOON + MINUTE, "a"), *three_calls(NOON + 11 * MINUTE, "b", back_ms)])
    world.produce(three_calls(back_ms + 20 * MINUTE, "c"))

    async def go() -> None:
        world.add_worker()
        await until(world, back_ms + 6 * HOUR)
        assert count(world, LATE) == late
        assert not wrong(world)

    logs = play(world, go)
    assert any("no call comes in any partition" in line["event"] for line in logs)


def test_a_broker_that_was_away_for_three_hours_makes_no_call_late() -> None:
    world = world_of(speed=60.0, grace_ms=HOUR)
    world.produce(three_calls(NOON + MINUTE, "a"))
    world.produce([one for n in range(1, 18) for one in three_calls(NOON + n * 10 * MINUTE, f"b{n}-")])

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 5 * MINUTE)
        world.broker.up = False
        await until(world, NOON + 185 * MINUTE)
        world.broker.up = True
        await until(world, NOON + 6 * HOUR)
        assert count(world, LATE) == 0
        assert judge.ids(world.broker, 0)
        assert not wrong(world)

    told = [line["event"] for line in play(world, go)]
    assert any("the broker is away" in line for line in told)
    assert any("the broker is back" in line for line in told)


def a_late_call_after_a_move() -> list[str]:
    """The clock of a silent source has moved on, a late call comes, and the worker dies: the call must stay late."""
    world = world_of(grace_ms=0)
    at_ms = NOON + 3 * MINUTE
    world.produce([call(at_ms, "a1"), call(at_ms, "a2"), call(at_ms + 10, "b", NOON + 4 * MINUTE + 35 * SECOND)])
    seen: list[str] = []

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 4 * MINUTE + 45 * SECOND)
        assert count(world, LATE) == 1, "the state is written with it, while its window is open"
        worker.kill()
        world.add_worker()
        await until(world, NOON + 12 * MINUTE)
        seen.extend(wrong(world))
        seen.extend(judge.ids(world.broker, 0))

    play(world, go)
    return seen


def test_a_clock_that_has_moved_is_where_it_was_after_a_crash() -> None:
    assert a_late_call_after_a_move() == []
    with broken(MOVES_NOT_IN_THE_HEAD):
        assert a_late_call_after_a_move() != []


def test_a_replay_while_a_worker_is_at_work_may_lack_what_it_has_not_noted_yet() -> None:
    """Which is why the command warns then. Once it is noted, the replay says what the worker says."""
    world = world_of(grace_ms=0)
    at_ms, late_ms = NOON + 3 * MINUTE, NOON + 4 * MINUTE + 35 * SECOND
    world.produce([call(at_ms, "a"), call(at_ms + 10, "b", late_ms)])
    auditor = MemoryCluster(Link(world.broker, Process(world.loop, "auditor"), world.rng))

    async def late() -> int:
        judged = await replay_topics(auditor, NAMES, POLICY, secret=b"secret", live=world.live, to_watermark=True)
        assert judged.summary.read == 2
        return len(judged.late)

    async def go() -> None:
        world.add_worker().link.slow_share = 0.0
        await until(world, late_ms + 200)
        assert await late() == 0, "the clock that makes it late has moved, and is in the worker's memory"
        await until(world, late_ms + 10 * SECOND)
        assert await late() == count(world, LATE) == 1

    play(world, go)


def a_quick_return() -> list[str]:
    """A partition goes to another worker, which decides something, and comes back to where it is still in memory."""
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
    monkeypatch.setattr("crash.memory.HEARTBEAT_S", 0.5)  # nobody is thrown out, and forgets what it has
    assert a_quick_return() == []
    with broken(OLD_MEMORY_KEPT):
        assert a_quick_return() != []


def test_an_alert_fires_within_a_second_of_the_call_that_crosses_the_threshold_and_a_crash_keeps_it() -> None:
    """Minutes before the window can close, and long before the watermark lets it be judged."""
    world = world_of(grace_ms=0)
    at_ms = NOON + MINUTE
    world.produce(three_calls(at_ms, "a"))
    world.produce(
        [Arrival(at_ms + n * SECOND, CDR, long_call(at_ms + n * SECOND, f"b{n}")) for n in (60, 61, 62, 63, 241)]
    )
    world.produce(three_calls(NOON + 4 * MINUTE + 50 * SECOND, "c", NOON + 5 * MINUTE + 30 * SECOND))

    async def go() -> None:
        worker = world.add_worker()
        worker.link.slow_share = 0.0
        await until(world, at_ms)
        assert alerts(world) == []
        await until(world, at_ms + SECOND)
        (firing,) = alerts(world)
        assert (firing["state"], firing["tenant_id"], firing["measure"]["numerator"]) == ("firing", "t", 3)
        assert firing["since_ms"] > world.clock.now_ms(), "the window is open"
        worker.kill()
        worker = world.add_worker()
        await until(world, at_ms + 59 * SECOND)
        assert {one["alert_id"] for one in alerts(world)} == {firing["alert_id"]}
        await until(world, NOON + 5 * MINUTE)
        assert alerts(world)[-1]["state"] == "firing", "within its window an alert does not come and go"
        await until(world, NOON + 5 * MINUTE + 2 * SECOND)
        assert alerts(world)[-1]["state"] == "resolved", "the next window has begun well"
        assert alerts(world)[-1]["alert_id"] == firing["alert_id"]
        assert judge.ids(world.broker, 0) == [], "only the watermark decides"
        told = alerts(world)
        worker.kill()
        world.add_worker()
        await until(world, NOON + 12 * MINUTE)
        more = [one for one in alerts(world) if one not in told]
        assert more, "calls that came last brought it about again"
        assert firing["alert_id"] not in {one["alert_id"] for one in more}, "what was taken back is not opened again"
        assert not wrong(world)

    play(world, go)


def test_a_backlog_is_looked_ahead_of_once_it_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in between, when what a poll has brought was of other partitions: that would tell of what is long past."""
    fed_s: dict[Partition, float] = {}
    quiet_s: list[float] = []
    feed = Partition.feed

    def now_s() -> float:
        return asyncio.get_running_loop().time()

    def noted(self: Partition, source: int, rows: Rows) -> None:
        fed_s[self] = now_s()
        feed(self, source, rows)

    def looked(self: Partition) -> None:
        if self in fed_s:
            quiet_s.append(now_s() - fed_s[self])

    monkeypatch.setattr(Partition, "feed", noted)
    monkeypatch.setattr(Partition, "early", looked)
    monkeypatch.setattr("crash.memory._some", lambda _, some, most, stop: (some[:6], some[:6][-1].offset + 1))
    world = world_of(grace_ms=0)
    for n in range(100):
        world.produce(three_calls(NOON + n * SECOND // 4, f"{n}-"))

    async def go() -> None:
        await until(world, NOON + 4 * MINUTE)
        world.add_worker()
        await until(world, NOON + 9 * MINUTE)

    play(world, go)
    assert quiet_s
    assert min(quiet_s) >= 1.0


def test_what_is_handed_over_is_looked_at_though_nothing_more_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))

    async def go() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(Partition, "early", lambda _: None)  # it had not the time
            worker = world.add_worker()
            await until(world, NOON + MINUTE + 2 * SECOND)
            worker.terminate()
            await asyncio.sleep(5)
        assert worker.over
        assert alerts(world) == []
        world.add_worker()
        await asyncio.sleep(10)
        assert [one["state"] for one in alerts(world)] == ["firing"]

    play(world, go)


def test_the_alert_of_a_tenant_that_has_fallen_silent_is_resolved() -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 5 * MINUTE)
        assert [one["state"] for one in alerts(world)] == ["firing"]
        await until(world, NOON + 20 * MINUTE)
        # Once more to name the decision.
        assert [one["state"] for one in alerts(world)] == ["firing", "firing", "resolved"]
        assert len({one["alert_id"] for one in alerts(world)}) == 1
        assert not wrong(world)

    play(world, go)


def test_the_operators_word_that_no_calls_are_away_outlives_a_crash_and_ends_with_the_next_call() -> None:
    world = world_of(grace_ms=4 * HOUR)
    world.produce(three_calls(NOON + MINUTE, "a"))
    back_ms = NOON + 40 * MINUTE
    world.produce(three_calls(back_ms, "b"))

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + MINUTE + 5 * SECOND)
        command(world, type="end_outage", reason="it is a holiday", by="ann", at_ms=NOON)
        await until(world, NOON + MINUTE + 20 * SECOND)
        assert (0, OutageEnded(3, "it is a holiday", "ann", NOON)) in noted(world)
        worker.kill()  # before the source could be seen to be silent
        world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        assert len(judge.ids(world.broker, 0)) == 1
        await until(world, back_ms + 20 * MINUTE)
        assert len(judge.ids(world.broker, 0)) == 1, "calls have come again, and may be away again"
        assert not wrong(world)

    play(world, go)


def test_a_large_pane_is_sealed_in_a_thread_while_the_partition_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread's work is a step of the virtual loop: what else runs between its begin and its end must keep off."""
    monkeypatch.setattr("streams.owner._LARGE", 0)
    handed: list[int] = []
    to_thread = asyncio.to_thread

    async def slowly(decide: Callable[..., Any], *arguments: Any) -> Any:
        before = arguments[0].sources.offsets
        await asyncio.sleep(0.7)
        assert arguments[0].sources.offsets == before, "the partition was fed while the thread had it"
        handed.append(1)
        return await to_thread(decide, *arguments)

    monkeypatch.setattr("asyncio.to_thread", slowly)
    world = world_of(grace_ms=0)
    for n in range(800):
        world.produce(three_calls(NOON + n * SECOND // 2, f"{n}-"))

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        assert len(judge.ids(world.broker, 0)) > 0
        assert not wrong(world)

    play(world, go)
    assert handed


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_record_that_comes_while_a_pane_is_sealed_in_a_thread_is_not_passed_over(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other follows it that could show it to be missing; as long as it is, the watermark stands."""
    monkeypatch.setattr("streams.owner._LARGE", 0)
    to_thread = asyncio.to_thread

    async def slowly(decide: Callable[..., Any], *arguments: Any) -> Any:
        await asyncio.sleep(0.7)
        return await to_thread(decide, *arguments)

    monkeypatch.setattr("asyncio.to_thread", slowly)
    world = world_of(seed, grace_ms=0)
    for n in range(800):
        world.produce(three_calls(NOON + n * SECOND // 2, f"{n}-"))

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 3 * MINUTE)
        assert worker.engine is not None
        owner = worker.engine.owners[0]
        while not owner.busy:
            await asyncio.sleep(0.005)
        sent = complaint(world.clock.now_ms(), "c")
        world.broker.append(sent.tp, sent.record)
        command(world, type="end_outage", reason="a test")
        await until(world, NOON + 20 * MINUTE)
        assert owner.partition is not None
        assert owner.partition.sources.offsets[1] == 1
        assert owner.control_next == 1
        assert not wrong(world)

    play(world, go)


def calls_of_two_partitions() -> World:
    """Each partition has a tenant with many."""
    world = World(random.Random(1), POLICY, Live(outage_grace_ms=0), 2, NOON)
    tenants = {partition_of(name.encode(), 2, "murmur2"): name for name in map(str, range(10))}
    for number, tenant in tenants.items():
        for n in range(400):
            for one in three_calls(NOON + n * SECOND, f"{n}-"):
                value = json.dumps({**json.loads(one.record.value or b""), "tenant_id": tenant}).encode()
                world.produce([Arrival(one.at_ms, TP(CDR.topic, number), Record(tenant.encode(), value))])
    return world


def test_large_panes_of_several_partitions_are_sealed_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes much memory for as long as it lasts, and they are due at the same time."""
    monkeypatch.setattr("streams.owner._LARGE", 0)
    to_thread, at_work, most, sealed = asyncio.to_thread, 0, 0, set[int]()

    async def slowly(decide: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        sealed.add(arguments[0].place.number)
        await asyncio.sleep(0.7)
        try:
            return await to_thread(decide, *arguments)
        finally:
            at_work -= 1

    monkeypatch.setattr("asyncio.to_thread", slowly)
    world = calls_of_two_partitions()

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        assert not list(judge.wrong(world.broker, POLICY, world.live, 2))

    play(world, go)
    assert sealed == {0, 1}
    assert most == 1


def test_what_was_forgotten_while_it_waited_for_its_turn_is_not_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory may be half of what was read."""
    monkeypatch.setattr("streams.owner._LARGE", 0)
    to_thread, forgotten, too_late = asyncio.to_thread, list[Partition](), list[bool]()

    async def slowly(decide: Callable[..., Any], *arguments: Any) -> Any:
        too_late.append(arguments[0] in forgotten)
        await asyncio.sleep(0.7)
        return await to_thread(decide, *arguments)

    monkeypatch.setattr("asyncio.to_thread", slowly)
    world = calls_of_two_partitions()

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 3 * MINUTE)
        assert worker.engine is not None
        one, other = worker.engine.owners[0], worker.engine.owners[1]

        def waits(owner: Owner) -> bool:
            return owner._committing is not None and not owner._committing.done() and not owner.busy

        while not ((one.busy and waits(other)) or (other.busy and waits(one))):
            await asyncio.sleep(0.005)
        waiting = other if one.busy else one
        assert waiting.partition is not None
        forgotten.append(waiting.partition)
        waiting.forget()
        waiting.begin()
        await until(world, NOON + 20 * MINUTE)
        assert not list(judge.wrong(world.broker, POLICY, world.live, 2))

    play(world, go)
    assert forgotten
    assert not any(too_late)


def test_calls_are_left_unread_while_others_hold_the_watermark_far_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, and once the others have caught up, or are silent, all is decided as ever."""
    monkeypatch.setattr("monitor.partition._MANY_CALLS", 60)
    monkeypatch.setattr("crash.memory._some", lambda _, some, most, stop: (some[:20], some[:20][-1].offset + 1))
    world = world_of(grace_ms=0)
    world.produce([complaint(NOON, "c")])
    for n in range(400):
        world.produce(three_calls(NOON + n * 5 * SECOND, f"{n}-"))
    open_calls: list[int] = []

    async def go() -> None:
        await until(world, NOON + 34 * MINUTE)
        worker = world.add_worker()
        while world.clock.now_ms() < NOON + 50 * MINUTE:
            await asyncio.sleep(0.5)
            assert worker.engine is not None
            if 0 in worker.engine.owners and (partition := worker.engine.owners[0].partition) is not None:
                open_calls.append(partition.open_calls)
        assert not wrong(world)
        assert judge.ids(world.broker, 0)

    play(world, go)
    assert open_calls.count(80) > 20, "it waited, when it had a bit more than may be"


def test_a_worker_that_is_stopped_before_it_could_join_ends_and_was_never_ready() -> None:
    world = world_of()
    world.broker.up = False

    async def go() -> None:
        worker = world.add_worker()
        _, engine = make_app(world.setup(MemoryCluster(worker.link)))
        assert engine.not_ready, "nothing is wrong that it knows of, but it does not belong to the group"
        await asyncio.sleep(20)
        assert worker.engine is not None
        assert worker.engine.not_ready
        worker.terminate()
        await asyncio.sleep(20)
        assert worker.over

    logs = play(world, go)
    assert [line["event"] for line in logs].count("the broker is away; waiting for it") == 1


def test_gauges_of_a_partition_that_went_elsewhere_are_gone() -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + 10 * SECOND, "a"))

    async def go() -> None:
        first = world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        assert named(first) == {
            "callwarden_clock_timestamp_seconds",
            "callwarden_lag_records",
            "callwarden_partition",
            "callwarden_watermark_timestamp_seconds",
        }
        other = world.add_worker()
        other.link.rank = "!"
        await asyncio.sleep(20)
        assert (first.owned(), other.owned()) == ([], [0])
        assert named(first) == set()

    def named(worker: Worker) -> set[str]:
        assert worker.engine is not None
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
    feed = Partition.feed

    def noted(self: Partition, source: int, rows: Rows) -> None:
        if source == 0:
            fed.extend(rows.offsets.tolist())
        feed(self, source, rows)

    monkeypatch.setattr(Partition, "feed", noted)

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


def test_a_rebalance_while_a_worker_ends_does_not_disturb_what_it_hands_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one leaves meanwhile: the group asks it to give up what it is giving up already."""
    committing: set[MemoryWriter] = set()
    disturbed: list[MemoryWriter] = []
    commit, stop = MemoryWriter.commit, MemoryWriter.stop

    async def noted(self: MemoryWriter, records: list[Out], offsets: dict[TP, int]) -> int:
        committing.add(self)
        try:
            return await commit(self, records, offsets)
        finally:
            committing.remove(self)

    async def stopped(self: MemoryWriter) -> None:
        disturbed.extend(committing & {self})
        await stop(self)

    monkeypatch.setattr(MemoryWriter, "commit", noted)
    monkeypatch.setattr(MemoryWriter, "stop", stopped)
    for seed in range(10):
        world = World(random.Random(seed), POLICY, Live(outage_grace_ms=0), 4, NOON)

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


def test_a_stored_pane_goes_when_it_has_left_every_window() -> None:
    """The state of a partition is as large as its windows are long, however long it has been at work."""
    world = world_of(speed=60.0, grace_ms=HOUR)
    world.produce([one for n in range(180) for one in three_calls(NOON + n * MINUTE, f"{n}-")])
    written: set[bytes] = set()
    standing: set[bytes] = set()

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 6 * HOUR)
        for entry in world.broker.logs[STATE].committed(0):
            assert entry.record is not None
            key, value = entry.record.key or b"", entry.record.value
            (standing.discard if value is None else standing.add)(key)
            written.add(key)
        assert not wrong(world)

    play(world, go)
    panes = {key for key in written if key.startswith(b"f")}
    assert len(panes) > 30
    assert len(panes & standing) < 3
