"""The agents of the worker app: a topic without its agent is not read."""

import asyncio
from typing import Any

import pytest

from crash.scenarios import (
    COMPLAINTS,
    MINUTE,
    NOON,
    SECOND,
    complaint,
    count,
    play,
    three_calls,
    until,
    world_of,
    wrong,
)
from crash.traffic import NAMES
from crash.worker_app import make_app
from monitor.decoding.input_topics import INPUTS
from streams.kafka.api import TP
from streams.worker.context import WorkerContext

ENFORCEMENT = TP(NAMES.output("enforcement"), 0)


def test_each_input_topic_has_an_agent_of_its_name() -> None:
    world = world_of()
    found: list[str] = []

    async def go() -> None:
        worker = world.add_worker()
        await asyncio.sleep(1)
        found.extend(worker._app.agents)

    play(world, go)
    assert found == list(INPUTS)


@pytest.mark.parametrize("missing", [None, "complaints"])
def test_records_of_a_topic_without_an_agent_are_not_judged(
    missing: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(context: WorkerContext) -> Any:
        app, consumer_loop = make_app(context)
        if missing:
            del app.agents[missing]
        return app, consumer_loop

    monkeypatch.setattr("crash.world.make_app", without)
    world = world_of(grace_ms=0)
    world.produce([complaint(NOON + 10 * SECOND, "c1")])
    decided: list[int] = []
    read: list[int] = []

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 10 * MINUTE)
        assert worker.consumer_loop is not None
        read.append(worker.consumer_loop.owners[0].next_offset(COMPLAINTS))
        decided.append(count(world, ENFORCEMENT))

    play(world, go)
    assert (read, decided) == (([0], [0]) if missing else ([1], [1]))


def test_topics_with_an_agent_are_judged_while_one_without_has_no_records(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(context: WorkerContext) -> Any:
        app, consumer_loop = make_app(context)
        del app.agents["complaints"]
        return app, consumer_loop

    monkeypatch.setattr("crash.world.make_app", without)
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + 10 * SECOND, "a"))

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        assert count(world, ENFORCEMENT) == 1
        assert not wrong(world)

    play(world, go)
