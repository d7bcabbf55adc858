"""Open pages: how many of one user and of all are told what changes."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from starlette.types import Message

from helpers.console_harness import ConsoleHarness, console_at
from streams.console import changes
from streams.console.app import make
from streams.console.identity.users import Role, User


class OpenPages:
    """Pages that are open at the same time."""

    def __init__(self, console: ConsoleHarness) -> None:
        self._app = make(console.context)
        self.watch: changes.ChangeWatch = self._app.state.changes
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, subject: str, many: int) -> Counter[int]:
        """Open pages of a user at once; the answers by status."""
        answers = [asyncio.get_running_loop().create_future() for _ in range(many)]
        self._tasks += [asyncio.create_task(self._open(subject, answer)) for answer in answers]
        return Counter(await asyncio.gather(*answers))

    async def _open(self, subject: str, answer: "asyncio.Future[int]") -> None:
        async def receive() -> Message:
            return await asyncio.get_running_loop().create_future()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.set_result(message["status"])

        user = User(subject, subject, frozenset({Role.VIEWER}))
        scope = {"type": "http", "method": "GET", "path": "/events", "query_string": b"", "headers": []}
        await self._app({**scope, "callwarden.user": user}, receive, send)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)


async def test_one_user_leaves_room_for_others(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        pages = OpenPages(console)
        assert await pages.open("local:greedy", 300) == {200: 20, 503: 280}
        assert await pages.open("local:li", 3) == {200: 3}
        assert pages.watch.streams == 23
        await pages.close()
        assert pages.watch.streams == 0
        assert await pages.open("local:greedy", 1) == {200: 1}
        await pages.close()


async def test_all_users_together_have_a_limit_also_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_MOST_STREAMS", 5)
    async with console_at(tmp_path) as console:
        pages = OpenPages(console)
        answers = await asyncio.gather(*(pages.open(f"local:{n}", 1) for n in range(8)))
        assert sum(answers, Counter[int]()) == {200: 5, 503: 3}
        await pages.close()
