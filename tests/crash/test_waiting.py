"""The worker's page, and `policy status` from its ticks, report what decisions wait for."""

import asyncio
import re

from crash.scenarios import (
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    call,
    command,
    complaint,
    operator_of,
    play,
    three_calls,
    until,
    world_of,
)
from crash.test_input_transactions import write
from crash.traffic import NAMES
from crash.world import Worker, World
from streams.topics.reported_waits import TickReader


def notices(worker: Worker) -> list[str]:
    assert worker.consumer_loop is not None
    assert worker.consumer_loop.not_ready == [], "to wait is not to be unready"
    return worker.consumer_loop.notices


async def status(world: World) -> dict[int, list[str]]:
    return dict((await TickReader(NAMES, range(1)).read(operator_of(world))).waits)


def test_a_wait_for_the_outages_grace_is_reported_until_it_is_ended() -> None:
    world = world_of(grace_ms=4 * HOUR)
    world.produce(three_calls(NOON + 10 * SECOND, "a"))

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 35 * SECOND)
        assert notices(worker) == [], "calls may be on their way"
        await until(world, NOON + 90 * SECOND)
        (notice,) = notices(worker)
        assert notice == (
            "partition 0: no calls arrive in any partition, and decisions wait for calls that may be missing: windows "
            "with the newest calls are evaluated at 2026-03-02T16:06:00.000Z, if no more calls come; if no calls are "
            "missing: callwarden end-outage --reason WHY"
        )
        assert await status(world) == {0: [notice]}
        command(world, type="end_outage", reason="it is a holiday", by="ann", at_ms=NOON)
        await until(world, NOON + 8 * MINUTE)
        assert notices(worker) == []
        assert await status(world) == {}

    play(world, go)


def test_ending_an_outage_is_not_suggested_while_the_broker_is_away() -> None:
    """Before the outage, the report said that no call had arrived in any partition, and named the command that ends the
    wait.
    """
    world = world_of(grace_ms=4 * HOUR)
    world.produce(three_calls(NOON + 10 * SECOND, "a"))

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 5 * MINUTE)
        assert len(notices(worker)) == 1
        worker.cut()
        await until(world, NOON + 7 * MINUTE)
        assert worker.consumer_loop is not None
        assert worker.consumer_loop.not_ready == ["the broker is away"]
        assert worker.consumer_loop.notices == []
        worker.reconnect()
        await until(world, NOON + 10 * MINUTE)
        assert len(notices(worker)) == 1

    play(world, go)


def test_a_source_that_holds_everything_back_is_named() -> None:
    world = world_of(grace_ms=0)
    world.produce([complaint(NOON + 10 * SECOND, "fraud")])
    for n, at_ms in enumerate(range(NOON + SECOND, NOON + 5 * MINUTE, 20 * SECOND)):
        world.produce([call(NOON - HOUR + n, f"late{n}", at_ms)])

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 4 * MINUTE)
        (notice,) = notices(worker)
        assert notice.startswith(
            "partition 0: callwarden.cdr holds decisions back: its clock is at 2026-03-02T11:00:00"
        )
        (told,) = (await status(world))[0]
        # The tick may be older than the newest call, and each call moves the clock by a millisecond.
        assert re.sub(r"\.\d+Z, and", "Z, and", told) == re.sub(r"\.\d+Z, and", "Z, and", notice)
        await until(world, NOON + 7 * MINUTE)
        assert notices(worker) == []

    play(world, go)


def test_a_transaction_that_stays_open_is_named_with_the_command_that_ends_it() -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + 10 * SECOND, "a"))

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 20 * SECOND)
        await write(world, "hotline", [complaint(NOON + 20 * SECOND, "c")])
        await until(world, NOON + 2 * MINUTE)
        (notice,) = notices(worker)
        assert notice.startswith(
            "partition 0: a producer's transaction in callwarden.complaints has been open since 2026-03-02T12:00"
        )
        assert notice.endswith("abort --topic callwarden.complaints --partition 0 --start-offset 0")
        world.broker.fence("hotline")
        await until(world, NOON + 3 * MINUTE)
        assert notices(worker) == []

    play(world, go)


def test_a_broker_that_freezes_is_noticed_before_any_request_has_timed_out() -> None:
    world = world_of(grace_ms=0)
    said: list[str] = []

    async def go() -> None:
        worker = world.add_worker()
        worker.link.slow_share = 0.0
        await until(world, NOON + MINUTE)
        assert worker.consumer_loop is not None
        assert worker.consumer_loop.not_ready == []
        worker.consumer_loop._consumer.unanswered_s = 3.0  # type: ignore[misc]
        await asyncio.sleep(1)
        said.extend(worker.consumer_loop.not_ready)
        worker.consumer_loop._consumer.unanswered_s = 7.2  # type: ignore[misc]
        await asyncio.sleep(1)
        said.extend(worker.consumer_loop.not_ready)
        worker.consumer_loop._consumer.unanswered_s = 0.0  # type: ignore[misc]
        await asyncio.sleep(1)
        assert worker.consumer_loop.not_ready == []

    from crash.memory_consumer import MemoryConsumer

    kept, MemoryConsumer.unanswered_s = MemoryConsumer.unanswered_s, 0.0  # type: ignore[assignment, misc]
    try:
        play(world, go, as_often=True)
    finally:
        MemoryConsumer.unanswered_s = kept  # type: ignore[method-assign]
    assert said == ["the broker has not answered for 7 s"]
