"""A reserved verdict is sent once, wherever its command and the ledger service are killed or stalled."""

import asyncio
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, suppress
from copy import deepcopy
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from review_broker import NOW, WANG, Broker, context_of, service_of

from helpers.ledger_samples import address, filled, put, topics
from helpers.patience import PATIENCE_S
from helpers.thorough import thorough
from oracle.ledger import DAY, T0, event, pending
from streams.consumers.database import Database
from streams.consumers.ledger import journal
from streams.kafka.api import TransientError
from streams.reviews import interrupted_reservations as module
from streams.reviews import sender_context
from streams.reviews.interrupted_reservations import InterruptedReservations
from streams.reviews.sender_context import Write
from streams.reviews.service import ReviewService

STEPS = range(40)
"""More steps than a command or the service has: at the later ones nothing happens."""


class Killed(BaseException):
    """Acts as kill -9: no cleanup runs."""


@pytest.fixture(autouse=True)
def _the_present(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(NOW, NOW + 10**6))
    monkeypatch.setattr(time, "time_ns", lambda: next(now) * 1_000_000)
    monkeypatch.setattr(sender_context.random, "uniform", lambda *_: 0.0)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with one pending decision."""
    folder = tmp_path_factory.mktemp("ledger")
    held = topics(2)
    put(held, 0, pending("cwe-p"))
    asyncio.run(filled(address(folder), held)).close()
    return folder / "ledger.db"


def at_step(stop: Callable[[int], Awaitable[None]]) -> Callable[[Any], Any]:
    """Wraps an awaitable: ``stop`` is called with the number of each step, before and after it."""
    steps = count()

    def wrap(do: Any) -> Any:
        async def done(*args: Any) -> Any:
            await stop(next(steps))
            result = await do(*args)
            await stop(next(steps))
            return result

        return done

    return wrap


class Process:
    """A process with its own database connection that can be stopped at each step."""

    def __init__(self, folder: Path, broker: Broker, stop: Callable[[int], Awaitable[None]]) -> None:
        self.database = Database(address(folder), "ledger")
        wrap = at_step(stop)
        self.database.run = wrap(self.database.run)  # type: ignore[method-assign]
        self.broker = broker

        @asynccontextmanager
        async def writing() -> AsyncIterator[Write]:
            async with broker.writing() as write:
                await wrap(asyncio.sleep)(0)
                yield wrap(write)

        self.writing = writing

    async def uphold(self) -> None:
        service = ReviewService(context_of(self.database, self.broker, self.writing))
        await service.begin()
        await service.give(["cwe-p"], "uphold", WANG)

    def service(self) -> InterruptedReservations:
        return service_of(self.database, self.broker, self.writing)

    async def finish(self) -> None:
        service = self.service()
        await service.finish(0)
        await service.finish(module._INTERRUPTED_S)


def new_broker() -> Broker:
    broker = Broker()
    put(broker.held, 0, pending("cwe-p"))
    return broker


async def killed(folder: Path, broker: Broker, do: Callable[[Process], Awaitable[None]], at: int) -> bool:
    """Whether the process was killed at that step: it may have ended before."""

    async def stop(step: int) -> None:
        if step == at:
            raise Killed

    process = Process(folder, broker, stop)
    try:
        await do(process)
    except Killed:
        return True
    finally:
        process.database.close()
    return False


def assert_sent_once(folder: Path, broker: Broker) -> None:
    assert [(one.enforcement_id, one.verdict) for one in broker.reviews()] == [("cwe-p", "uphold")]
    database = Database(address(folder), "ledger")
    with database.reading() as connection:
        assert list(journal.differences(connection)) == []
        assert module.all_unsent(connection) == []
    database.close()


def folders(tmp_path: Path, ledger: Path) -> Iterator[Path]:
    for number in count():
        folder = tmp_path / str(number)
        folder.mkdir()
        shutil.copy(ledger, folder / "ledger.db")
        yield folder


@pytest.mark.parametrize("every", thorough([8, 4, 1], 1))
async def test_a_verdict_is_sent_once_wherever_its_command_and_then_the_service_are_killed(
    every: int, tmp_path: Path, ledger: Path
) -> None:
    """``every``: the command is killed at each so many-th step."""
    tried, interrupted = 0, 0
    for before, first in zip(folders(tmp_path, ledger), STEPS[::every], strict=False):
        held = new_broker()
        was_killed = await killed(before, held, Process.uphold, first)
        with_claim = reserved(before)
        for second in STEPS:  # of the service, each with what the command has left
            folder, broker = tmp_path / "after", deepcopy(held)
            shutil.copytree(before, folder)
            interrupted += was_killed and with_claim
            service_was_killed = await killed(folder, broker, Process.finish, second)
            await killed(folder, broker, Process.finish, -1)
            if with_claim:
                assert_sent_once(folder, broker)
            else:
                assert broker.written == []
            tried += 1
            shutil.rmtree(folder)
            if not service_was_killed or not with_claim:
                break
        if not was_killed:
            break
    assert not was_killed, "every step of a command was tried"
    print(f"{interrupted} interrupted, {tried} tried")
    assert interrupted > 10
    assert tried > 30 / every


def reserved(folder: Path) -> bool:
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        return bool(connection.execute("SELECT count(*) FROM ledger_claim").fetchone()[0])


async def test_a_verdict_is_sent_once_when_its_command_stalls_until_the_service_has_sent_it(
    tmp_path: Path, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_context, "_TURN_S", 0.0)
    new = folders(tmp_path, ledger)
    for at in STEPS:
        folder, broker = next(new), new_broker()
        stalled, go_on = asyncio.Event(), asyncio.Event()

        async def stop(step: int, at: int = at, stalled: asyncio.Event = stalled, go: asyncio.Event = go_on) -> None:
            if step == at:
                stalled.set()
                await go.wait()

        command = Process(folder, broker, stop)
        running = asyncio.create_task(command.uphold())
        waiting = asyncio.create_task(stalled.wait())
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        with suppress(TransientError):
            await killed(folder, broker, Process.finish, -1)
        go_on.set()
        await running
        command.database.close()
        assert_sent_once(folder, broker)
        if not stalled.is_set():
            waiting.cancel()
            return
    pytest.fail("more steps than were tried")


async def interrupted(folder: Path, *fail: str) -> Process:
    """A process whose command has reserved its verdict when the broker becomes unavailable; ``fail`` as
    for `Broker`.
    """
    broker = new_broker()
    broker.fail = iter(fail)
    process = Process(folder, broker, lambda step: asyncio.sleep(0))
    with pytest.raises(TransientError):
        await process.uphold()
    return process


async def test_the_service_leaves_a_command_the_time_to_send(tmp_path: Path, ledger: Path) -> None:
    process = await interrupted(next(folders(tmp_path, ledger)), "before")
    broker = process.broker
    service = process.service()
    await service.finish(100.0)
    await service.finish(100.0 + module._INTERRUPTED_S - 0.1)
    assert broker.written == []
    [sent] = (await service.finish(100.0 + module._INTERRUPTED_S)).claims
    assert (sent.enforcement_id, sent.reviewer, len(broker.written)) == ("cwe-p", "wang", 1)
    assert (await service.finish(200.0)).claims == []
    process.database.close()


async def test_what_was_decided_otherwise_before_it_was_sent_is_withdrawn(tmp_path: Path, ledger: Path) -> None:
    process = await interrupted(next(folders(tmp_path, ledger)), "before")
    broker = process.broker
    put(broker.held, 0, event("cwe-l", kind="lapse", reverses="cwe-p", decided_ms=T0 + 7 * DAY))
    service = process.service()
    await service.finish(0)
    finished = await service.finish(100)
    assert [(claim.enforcement_id, claim.withdrawn) for claim in finished.withdrawn] == [
        ("cwe-p", "cwe-p lapsed at 2026-03-09 00:00 UTC; there is nothing to change")
    ]
    assert (await service.finish(200)).withdrawn == []
    assert broker.written == []
    process.database.close()


async def test_a_broker_that_is_away_is_logged_and_tried_again(
    tmp_path: Path, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 0.001)
    monkeypatch.setattr(module, "_INTERRUPTED_S", 0.0)
    folder = next(folders(tmp_path, ledger))
    process = await interrupted(folder, "before", "before", "before", "after")
    running = asyncio.create_task(process.service().run())
    async with asyncio.timeout(PATIENCE_S):
        while await unsent(process.database):
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.wait([running])
    process.database.close()
    assert_sent_once(folder, process.broker)


async def unsent(database: Database) -> bool:
    with database.reading() as connection:
        return bool(module.all_unsent(connection))
