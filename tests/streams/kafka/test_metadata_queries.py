"""Requests that share connections: one that fails ends its own, and no other's."""

import asyncio
import gc
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from streams.kafka.api import TransientError
from streams.kafka.clients import Clients
from streams.kafka.metadata.queries import MetadataQueries
from streams.settings.load import load


class Connection:
    """Stands for either client."""

    def __init__(self) -> None:
        self.open = False

    async def start(self) -> None:
        self.open = True

    async def stop(self) -> None:
        self.open = False

    close = stop


class Wires(Clients):
    """Creates such connections, and cannot say why one fails."""

    def asker(self, **more: Any) -> Connection:
        return Connection()

    async def why(self, error: BaseException, doing: str) -> Exception:
        return TransientError(doing)


async def test_a_question_that_fails_on_an_old_connection_leaves_the_new_one_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.kafka.metadata.queries.AIOKafkaAdminClient", lambda **_: Connection())
    questions = MetadataQueries(Wires(load({"bootstrap_servers": "nowhere:1"})))
    on: dict[str, Connection] = {}
    ends: dict[str, asyncio.Future[str]] = {}

    async def asked(name: str) -> asyncio.Task[str]:
        async def question(reader: Any, _: Any) -> str:
            on[name] = reader
            return await ends[name]

        ends[name] = asyncio.get_running_loop().create_future()
        asking = asyncio.create_task(questions.ask(name, question))
        while name not in on:
            await asyncio.sleep(0)
        return asking

    first, second = await asked("first"), await asked("second")
    assert on["first"] is on["second"]
    ends["first"].set_exception(KafkaConnectionError())
    with pytest.raises(TransientError, match="first"):
        await first
    assert not on["first"].open

    third = await asked("third")
    ends["second"].set_exception(KafkaConnectionError())
    with pytest.raises(TransientError, match="second"):
        await second
    assert on["third"].open
    ends["third"].set_result("an answer")
    assert await third == "an answer"
    fourth = await asked("fourth")
    assert on["fourth"] is on["third"]
    ends["fourth"].set_exception(KafkaConnectionError())
    with pytest.raises(TransientError, match="fourth"):
        await fourth
    assert not on["fourth"].open


async def test_an_interrupt_while_connections_are_closed_leaves_no_coroutine_unawaited(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    class Slow(Connection):
        async def stop(self) -> None:
            await asyncio.sleep(0.2)

    closed: list[str] = []

    class Admin(Connection):
        async def close(self) -> None:
            closed.append("admin")

    class Away(Wires):
        def asker(self, **more: Any) -> Connection:
            return Slow()

    monkeypatch.setattr("streams.kafka.metadata.queries.AIOKafkaAdminClient", lambda **_: Admin())
    questions = MetadataQueries(Away(load({"bootstrap_servers": "nowhere:1"})))

    async def question(*_: Any) -> str:
        return "an answer"

    await questions.ask("asking", question)
    stopping = asyncio.create_task(questions.stop())
    await asyncio.sleep(0.05)
    stopping.cancel()
    await asyncio.wait([stopping])
    gc.collect()
    assert [str(one.message) for one in recwarn] == []
    assert closed == ["admin"]
