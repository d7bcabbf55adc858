"""Early alerts of a worker: when it evaluates early, and what a crash, a handover or silence changes."""

import asyncio

import pytest

from crash import judge
from crash.scenarios import (
    CDR,
    MINUTE,
    NOON,
    SECOND,
    alerts,
    call,
    long_call,
    play,
    three_calls,
    until,
    world_of,
    wrong,
)
from crash.traffic import Arrival
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask


def test_an_alert_fires_within_a_second_of_the_call_that_crosses_the_threshold_and_a_crash_keeps_it() -> None:
    """The alert fires minutes before the window can close, and long before the watermark allows a decision."""
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
        reported = alerts(world)
        worker.kill()
        world.add_worker()
        await until(world, NOON + 12 * MINUTE)
        more = [one for one in alerts(world) if one not in reported]
        assert more, "calls that came last brought it about again"
        assert firing["alert_id"] not in {one["alert_id"] for one in more}, "what was taken back is not opened again"
        assert not wrong(world)

    play(world, go, as_often=True)


def test_to_wait_for_its_turn_does_not_delay_the_next_early_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its own duration does: with many large partitions, alerts would be minutes late."""
    monkeypatch.setattr("streams.worker.running.running_partition._LARGE", -1)
    world = world_of(grace_ms=0)
    at_ms = NOON + MINUTE
    world.produce([Arrival(at_ms, CDR, long_call(at_ms, "a"))])
    world.produce(three_calls(at_ms + 30 * SECOND, "b"))

    async def go() -> None:
        worker = world.add_worker()
        worker.link.slow_share = 0.0
        await until(world, at_ms - SECOND)
        assert worker.consumer_loop is not None
        async with worker.consumer_loop._context.turns.of_thread():
            await until(world, at_ms + 20 * SECOND)
        await until(world, at_ms + 32 * SECOND)
        assert [one["state"] for one in alerts(world)] == ["firing"]

    play(world, go)


def test_a_backlog_is_evaluated_early_once_it_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no early evaluation between polls that returned other partitions: its alerts would
    concern past windows.
    """
    fed_s: dict[StreamTask, float] = {}
    quiet_s: list[float] = []
    feed = StreamTask.feed

    def now_s() -> float:
        return asyncio.get_running_loop().time()

    def recording(self: StreamTask, source: int, rows: RecordBatch) -> None:
        fed_s[self] = now_s()
        feed(self, source, rows)

    def looked(self: StreamTask) -> None:
        if self in fed_s:
            quiet_s.append(now_s() - fed_s[self])

    monkeypatch.setattr(StreamTask, "feed", recording)
    monkeypatch.setattr(StreamTask, "early", looked)
    monkeypatch.setattr(
        "crash.memory_fetched.some_entries", lambda _, some, most, stop: (some[:6], some[:6][-1].offset + 1)
    )
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


def test_what_is_handed_over_is_evaluated_early_though_nothing_more_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))

    async def go() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(StreamTask, "early", lambda _: None)  # the worker had no time for it
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
        # Again, to name the decision.
        assert [one["state"] for one in alerts(world)] == ["firing", "firing", "resolved"]
        assert len({one["alert_id"] for one in alerts(world)}) == 1
        assert not wrong(world)

    play(world, go)


def test_an_evaluation_just_before_records_come_does_not_delay_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one comes when it may, however long the worker would wait for more records (here a second)."""
    monkeypatch.setattr("streams.worker.running.running_partition._LOOK_S", 0.6)  # beyond the 0.3 s of a fetch
    world = world_of()
    world.produce([call(NOON + MINUTE, "a")])
    world.produce([call(NOON + MINUTE + n, f"b{n}", NOON + MINUTE + 1) for n in range(3)])

    async def go() -> None:
        worker = world.add_worker()
        worker.link.slow_share = 0.0
        await until(world, NOON + MINUTE + 500)
        assert alerts(world) == []
        await until(world, NOON + MINUTE + 680)  # before the fetch after the next ends
        assert [one["state"] for one in alerts(world)] == ["firing"]

    play(world, go)
