"""Only the broker's clock counts: a worker whose host clock is off by hours makes the same decisions at
the same time.
"""

import pytest

from crash import judge
from crash.memory import MemoryCluster
from crash.scenarios import (
    HOUR,
    LATE,
    MINUTE,
    NOON,
    SECOND,
    complaint,
    count,
    journal_entries,
    phase,
    play,
    three_calls,
    until,
    world_of,
    wrong,
)
from monitor.partition.journal import ClockAdvance
from streams.kafka.api import TP, PermanentError, TransientError
from streams.kafka.outputs import OutputRecord
from streams.worker.context import OwnedPhase

CLOCK = TP("callwarden.clock", 0)


@pytest.mark.parametrize("ahead_ms", [3 * HOUR, -3 * HOUR])
def test_a_host_hours_off_finds_no_call_late_and_decides_in_time(ahead_ms: int) -> None:
    world = world_of(grace_ms=0)
    world.host_ahead_ms = ahead_ms
    world.produce([*three_calls(NOON + 10 * SECOND, "a"), *three_calls(NOON + 2 * MINUTE, "b")])
    world.produce(three_calls(NOON + 5 * MINUTE + 10 * SECOND, "c"))

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 5 * MINUTE)
        assert all(
            entry.clock_ms <= NOON + 5 * MINUTE
            for _, entry in journal_entries(world)
            if isinstance(entry, ClockAdvance)
        )
        await until(world, NOON + 8 * MINUTE)
        assert len(judge.ids(world.broker, 0)) == 1
        assert count(world, LATE) == 0
        assert not wrong(world)
        assert worker.consumer_loop is not None
        (notice,) = worker.consumer_loop.notices
        assert f"10800.0 s {'ahead of' if ahead_ms > 0 else 'behind'} the broker's" in notice
        value = worker.telemetry.registry.get_sample_value("callwarden_host_clock_ahead_seconds")
        assert round(value or 0.0) == ahead_ms // 1000

    logs = play(world, go)
    reported = [line for line in logs if line["event"] == "the clock of this host differs from the broker's"]
    assert len(reported) == 1, "said once an hour, not with each tick"
    assert reported[0]["log_level"] == "warning"


def test_a_host_that_is_hours_ahead_once_stops_nothing() -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + 10 * SECOND, "a"))
    world.produce(three_calls(NOON + 6 * MINUTE, "b"))

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 90 * SECOND)
        world.host_ahead_ms = 10 * HOUR
        await until(world, NOON + 3 * MINUTE)
        world.host_ahead_ms = 0
        await until(world, NOON + 13 * MINUTE)
        assert len(judge.ids(world.broker, 0)) == 2
        assert count(world, LATE) == 0
        assert not wrong(world)
        assert worker.consumer_loop is not None
        assert worker.consumer_loop.notices == []

    play(world, go)


def test_a_tick_before_there_is_any_state_is_not_taken_for_a_lost_state() -> None:
    world = world_of(grace_ms=0)

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + MINUTE)
        worker.kill()
        assert count(world, CLOCK) > 0
        assert not journal_entries(world)
        worker = world.add_worker()
        await until(world, NOON + 2 * MINUTE)
        assert phase(worker)[0] is OwnedPhase.RUNNING

    play(world, go)


def test_ticks_are_few() -> None:
    world = world_of(grace_ms=0)

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 12 * MINUTE)
        assert 3 <= count(world, CLOCK) <= 6

    play(world, go)


@pytest.mark.parametrize("error", [TransientError, PermanentError])
def test_a_tick_that_is_not_acknowledged_is_named_and_no_clock_moves(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of(grace_ms=0)
    world.produce([complaint(NOON + 10 * SECOND, "fraud")])

    async def fails(self: MemoryCluster, out: OutputRecord) -> int:
        raise error("not enough replicas")

    async def go() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(MemoryCluster, "stamp", fails)
            worker = world.add_worker()
            await until(world, NOON + 4 * MINUTE)
            assert judge.ids(world.broker, 0) == []
            assert worker.consumer_loop is not None
            (notice,) = worker.consumer_loop.notices
            assert notice.startswith("no tick in callwarden.clock has been acknowledged since 2026-03-02T12:00:")
            assert "(not enough replicas)" in notice
            assert not worker.over
        await until(world, NOON + 6 * MINUTE)
        assert len(judge.ids(world.broker, 0)) == 1
        assert worker.consumer_loop.notices == []
        assert not wrong(world)

    play(world, go)
