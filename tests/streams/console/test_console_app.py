"""The console's application: security headers on every answer, health pages, and the answer while it cannot read."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from starlette.types import Receive, Scope, Send

from streams.console.app import make
from streams.console.context import ConsoleContext
from streams.console.identity.users import Role, User
from streams.console.main import NAME, PACKAGE
from streams.console.security_headers import CONTENT_SECURITY_POLICY, with_security_headers
from streams.console.tables import METADATA
from streams.console.telemetry import ConsoleMetrics
from streams.consumers.database import Database
from streams.consumers.follower import FollowerProgress
from streams.consumers.service import pages
from streams.settings.load import Settings


@pytest.fixture
async def context(tmp_path: Path) -> AsyncIterator[ConsoleContext]:
    database = Database(f"sqlite:///{tmp_path}/console.db", NAME, package=PACKAGE)
    await database.migrate()
    yield ConsoleContext(Settings(), database, ConsoleMetrics(), lambda: FollowerProgress(None, {}), lambda: 0)
    database.close()


@pytest.fixture
async def client(context: ConsoleContext) -> AsyncIterator[httpx.AsyncClient]:
    app = with_security_headers(make(context, pages(context.telemetry.registry, lambda: "not yet")))
    reviewer = User("local:li", "Li", frozenset({Role.REVIEWER}))

    async def signed_in(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "callwarden.user": reviewer}, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=signed_in), base_url="http://console") as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/queue", "/healthz", "/readyz", "/metrics", "/no-such-page"])
async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"


async def test_the_start_is_the_queue(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/queue")
    assert (await client.get("/queue")).status_code == 200


async def test_readiness_says_why_not(client: httpx.AsyncClient) -> None:
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "not yet\n")


async def test_migrations_make_the_tables_of_the_metadata(context: ConsoleContext) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with context.database.reading() as connection:
        found = compare_metadata(MigrationContext.configure(connection), METADATA)
    assert [each for each in found if "version" not in str(each)] == []


async def test_the_migration_makes_the_tables_that_the_code_knows(context: ConsoleContext) -> None:
    def differences(connection: Connection) -> list[Any]:
        made = MigrationContext.configure(connection, opts={"include_name": lambda name, *_: name != "console_version"})
        return list(compare_metadata(made, METADATA))

    assert await context.write(differences) == []


@pytest.mark.parametrize("charset", ["utf-7", "unicode_escape", "raw_unicode_escape", "utf-16", "no-such"])
async def test_a_form_in_another_encoding_is_refused(client: httpx.AsyncClient, charset: str) -> None:
    part = b'--X\r\ncontent-disposition: form-data; name="ids"\r\n\r\n%b\r\n--X--\r\n'
    usual = "multipart/form-data; boundary=X"

    async def sent(value: bytes, kind: str) -> httpx.Response:
        return await client.post("/queue/claim", content=part % value, headers={"content-type": kind})

    for value in (b"+2AA-", rb"\ud800"):
        answer = await sent(value, f"{usual}; charset={charset}")
        assert answer.status_code == 422
        assert "<h1" in answer.text
    for kind in (usual, f"{usual}; charset=UTF-8"):
        assert (await sent(b"a", kind)).status_code < 400
