"""The broker becomes unavailable while an operator's command is sent: a command that was sent is never reported as
unsent.
"""

import asyncio

import pytest
import typer

from crash.memory import MemoryCluster
from crash.scenarios import MINUTE, NOON, journal_entries, play, steady_link, three_calls, until, world_of
from crash.traffic import NAMES
from crash.virtual import Process
from crash.world import World
from monitor.partition.journal import OutageEnded
from streams.cli.cluster_session import answers
from streams.kafka.api import TransientError
from streams.ops.control_client import CommandAnswers, Unconfirmed, send_command
from streams.topics.control_topic import EndOutageCommand

COMMAND = EndOutageCommand("a test", "ann", NOON)


def operator_that_loses(world: World, point: str, times: int) -> MemoryCluster:
    """An operator who loses the network at that point, for that many requests or responses."""
    link = steady_link(world.broker, world.loop, world.rng)
    left: list[int] = []

    def passing(process: Process, at: str) -> None:
        if at == point and not left:
            left.extend(range(times))
        if left and left.pop() is not None:
            raise TransientError(f"as if the network had failed at {at}")

    link.passing = passing
    return MemoryCluster(link)


async def give(world: World, point: str, times: int = 1, within_s: float = 30.0) -> CommandAnswers:
    return await send_command(operator_that_loses(world, point, times), NAMES, "callwarden", [0], COMMAND, within_s)


def world_at_work() -> World:
    world = world_of()
    world.produce(three_calls(NOON + MINUTE, "a"))
    return world


@pytest.mark.parametrize("point", ["ends?", "writer.start?"])
def test_before_the_write_nothing_was_sent(point: str) -> None:
    world = world_at_work()

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 2 * MINUTE)
        with pytest.raises(TransientError) as error:
            await give(world, point)
        assert not isinstance(error.value, Unconfirmed)
        await asyncio.sleep(10)
        assert [entry for _, entry in journal_entries(world) if isinstance(entry, OutageEnded)] == []

    play(world, go)


@pytest.mark.parametrize(
    ("point", "written"), [("commit.begin?", False), ("commit.end?", False), ("commit.end!", True)]
)
def test_once_the_write_was_tried_it_is_sent_and_not_confirmed_and_may_be_repeated(point: str, written: bool) -> None:
    world = world_at_work()

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 2 * MINUTE)
        with pytest.raises(Unconfirmed) as error:
            await give(world, point)
        assert "command taken" in error.value.look
        await asyncio.sleep(10)
        ended = [entry for _, entry in journal_entries(world) if isinstance(entry, OutageEnded)]
        assert len(ended) == written
        said = await send_command(MemoryCluster(steady_link(world.broker, world.loop, world.rng)), *AGAIN)
        assert said.done == [0]
        assert worker.owned() == [0]

    play(world, go)


AGAIN = (NAMES, "callwarden", [0], COMMAND, 30.0)


@pytest.mark.parametrize(("times", "done"), [(5, [0]), (10_000, [])])
def test_a_broker_that_goes_away_before_the_answer_is_waited_for(times: int, done: list[int]) -> None:
    world = world_at_work()

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 2 * MINUTE)
        link = steady_link(world.broker, world.loop, world.rng)
        sent, left = [], times

        def passing(process: Process, at: str) -> None:
            nonlocal left
            sent.extend([at] * (at == "commit.end!"))
            if sent and at != "commit.end!" and left:
                left -= 1
                raise TransientError("as if the network had failed")

        link.passing = passing
        said = await send_command(MemoryCluster(link), NAMES, "callwarden", [0], COMMAND, 30.0)
        assert said.done == done
        assert said.away == ("" if done else "as if the network had failed")
        assert len([entry for _, entry in journal_entries(world) if isinstance(entry, OutageEnded)]) == 1

    play(world, go)


def test_sent_and_not_confirmed_is_status_1_and_says_how_to_look(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, answers("policy apply"):
        raise Unconfirmed("no answer in time", "`callwarden policy status` shows it")
    assert ended.value.exit_code == 1
    error = "callwarden policy apply: sent, not confirmed: no answer in time. `callwarden policy status` shows it\n"
    assert capsys.readouterr().err == error
