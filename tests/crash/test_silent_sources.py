"""Clocks of sources that are silent or away: quiet nights, outages, and what survives a crash."""

import pytest

from crash import judge
from crash.broken import FAILED_OBSERVATIONS_IGNORED, MOVES_NOT_IN_THE_HEAD, broken
from crash.memory import MemoryCluster
from crash.memory_link import Link
from crash.scenarios import (
    HOUR,
    LATE,
    MINUTE,
    NOON,
    POLICY,
    SECOND,
    call,
    command,
    count,
    journal_entries,
    play,
    three_calls,
    until,
    world_of,
    wrong,
)
from crash.traffic import NAMES
from crash.virtual import Process
from helpers.thorough import thorough
from monitor.decoding.source import NO_CLOCK_MS
from monitor.partition.journal import OutageEnded
from streams.ops.topic_replay import TopicReplayOptions, replay_topics


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


@pytest.mark.parametrize(("grace_ms", "late"), thorough([(4 * HOUR, 0), (HOUR, 3)], 1))
def test_a_feed_that_was_away_for_three_hours_finds_no_call_late(grace_ms: int, late: int) -> None:
    """An alarm reports the outage meanwhile. A grace period that is too short shows that the test can fail."""
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
    assert any("no calls arrive in any partition" in line["event"] for line in logs)


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

    reported = [line["event"] for line in play(world, go)]
    assert any("the broker is away" in line for line in reported)
    assert any("the broker is back" in line for line in reported)


def a_late_call_after_a_move() -> list[str]:
    """The clock of a silent source has advanced, a late call arrives, and the worker is killed: the call must stay
    late.
    """
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


def clocks_after_an_outage() -> tuple[list[int], list[int]]:
    """A check for silent sources fails because the broker is away. Returns the clocks soon after its
    return, and later.
    """
    world = world_of(grace_ms=0)
    seen: list[list[int]] = []

    async def go() -> None:
        worker = world.add_worker()
        worker.link.slow_share = 0.0
        await until(world, NOON + 22 * SECOND)
        world.broker.up = False
        await until(world, NOON + 28 * SECOND)
        world.broker.up = True
        for at_ms in (NOON + 50 * SECOND, NOON + 90 * SECOND):
            await until(world, at_ms)
            assert worker.consumer_loop is not None
            partition = worker.consumer_loop.owners[0].partition
            assert partition is not None
            seen.append(partition.sources.clocks_ms)

    play(world, go)
    soon, later = seen
    return soon, later


def test_the_wait_for_silence_begins_again_after_a_failed_observation() -> None:
    """Records that a producer could not write during the outage must have time to arrive."""
    soon, later = clocks_after_an_outage()
    assert set(soon) == {NO_CLOCK_MS}
    assert min(later) > NOON
    with broken(FAILED_OBSERVATIONS_IGNORED):
        soon, _ = clocks_after_an_outage()
        assert min(soon) > NOON


def test_a_replay_beside_a_running_worker_may_lack_what_is_not_recorded_yet() -> None:
    """The command warns in this case. Once the clock entries are written, the replay equals the worker."""
    world = world_of(grace_ms=0)
    at_ms, late_ms = NOON + 3 * MINUTE, NOON + 4 * MINUTE + 35 * SECOND
    world.produce([call(at_ms, "a"), call(at_ms + 10, "b", late_ms)])
    auditor = MemoryCluster(Link(world.broker, Process(world.loop, "auditor"), world.rng))

    async def late() -> int:
        judged = await replay_topics(
            auditor, NAMES, POLICY, TopicReplayOptions(b"secret", world.live, to_watermark=True)
        )
        assert judged.summary.read == 2
        return len(judged.late)

    async def go() -> None:
        world.add_worker().link.slow_share = 0.0
        await until(world, late_ms + 200)
        assert await late() == 0, "the clock that makes it late has moved, and is in the worker's memory"
        await until(world, late_ms + 10 * SECOND)
        assert await late() == count(world, LATE) == 1

    play(world, go)


def test_an_ended_outage_survives_a_crash_and_lasts_until_the_next_call() -> None:
    world = world_of(grace_ms=4 * HOUR)
    world.produce(three_calls(NOON + MINUTE, "a"))
    back_ms = NOON + 40 * MINUTE
    world.produce(three_calls(back_ms, "b"))

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + MINUTE + 5 * SECOND)
        command(world, type="end_outage", reason="it is a holiday", by="ann", at_ms=NOON)
        await until(world, NOON + MINUTE + 20 * SECOND)
        assert (0, OutageEnded(3, "it is a holiday", "ann", NOON)) in journal_entries(world)
        worker.kill()  # before the source could be found silent
        world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        assert len(judge.ids(world.broker, 0)) == 1
        await until(world, back_ms + 20 * MINUTE)
        assert len(judge.ids(world.broker, 0)) == 1, "calls have come again, and may be away again"
        assert not wrong(world)

    play(world, go)
