"""A console's database, a clock, passwords that cost little, and the whole application with its identity."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher

from helpers.console_identity import Clock
from streams.console.app import make
from streams.console.context import ConsoleContext
from streams.console.identity.components import Identity
from streams.console.identity.passwords import PasswordChecks
from streams.console.security_headers import with_security_headers
from streams.console.telemetry import ConsoleMetrics
from streams.consumers.database import Database
from streams.consumers.follower import FollowerProgress
from streams.settings.load import load


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'console.db'}", "console", package="streams.console")
    await made.migrate()
    yield made
    made.close()


@pytest.fixture
def passwords() -> Iterator[PasswordChecks]:
    made = PasswordChecks(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    yield made
    made.close()


Browsers = Callable[..., httpx.AsyncClient]


@pytest.fixture
async def browsers(database: Database, clock: Clock, passwords: PasswordChecks) -> AsyncIterator[Browsers]:
    """Makes browsers of one console; its settings are those of the first."""
    apps: list[Any] = []
    made: list[httpx.AsyncClient] = []

    async def prepared(identity: Identity) -> None:
        await identity.prepare()

    def make_one(address: str = "192.0.2.1", **settings: Any) -> httpx.AsyncClient:
        if not apps:
            read = load(settings)
            identity = Identity(read, database, clock, passwords)
            context = ConsoleContext(read, database, ConsoleMetrics(), lambda: FollowerProgress(None, {}), clock)
            apps.append((with_security_headers(make(context, (), identity)), identity))
        app, identity = apps[0]
        started = False

        async def call(scope: Any, receive: Any, send: Any) -> None:
            nonlocal started
            if not started:
                started = True
                await prepared(identity)
            await app(scope, receive, send)

        transport = httpx.ASGITransport(app=call, client=(address, 4711))
        base = settings.get("console_url") or "http://127.0.0.1:6071"
        browser = httpx.AsyncClient(transport=transport, base_url=base, headers={"origin": base})
        made.append(browser)
        return browser

    yield make_one
    for each in made:
        await each.aclose()
    for _, identity in apps:
        if identity._provider is not None:
            await identity._provider.close()
