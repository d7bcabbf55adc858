"""The billing service on topics in memory: its follower, its database, and its API on a local port."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from helpers.fake_topics import FakeTopics
from helpers.hosting import hosted
from helpers.patience import PATIENCE_S
from streams.consumers.billing.main import Accepted, Billing
from streams.consumers.billing.tables import POSITIONS
from streams.consumers.billing.tokens import Tokens
from streams.consumers.database import Database
from streams.kafka.api import TP
from streams.settings.load import load

TOPIC = "callwarden.enforcement"
TOKEN = "a-token-of-the-tests"


class Served:
    """One process of billing, which lasts as long as ``running``. ``topics.now_ms`` is the broker's time of its
    answers.
    """

    running: asyncio.Task[None]

    def __init__(self, topics: FakeTopics, port: int, database: Database) -> None:
        self.topics, self.port, self.database = topics, port, database

    async def ask(self, target: str, token: str | None = TOKEN, method: str = "GET") -> tuple[int, dict[str, str], Any]:
        """Status, headers and body of the answer to exactly this target."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            login = f"Authorization: Bearer {token}\r\n" if token is not None else ""
            head = f"{method} {target} HTTP/1.1\r\nHost: billing\r\n{login}Connection: close\r\n\r\n"
            writer.write(head.encode("utf-8"))
            head_bytes, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
            await writer.wait_closed()
        status, *lines = head_bytes.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        text = body.decode()
        return int(status.split()[1]), headers, json.loads(text) if "json" in headers["content-type"] else text

    async def refunds(self, tenant_id: str) -> dict[str, Any]:
        """The answer for a tenant, which must exist."""
        status, _, body = await self.ask(f"/v1/refunds?tenant_id={quote(tenant_id, safe='')}")
        assert status == 200, body
        return dict(body)

    async def put(self, *values: bytes | None, partition: int = 0, key: bytes | None = None) -> None:
        """Append records, and wait until they are handled."""
        self.topics.put(TOPIC, partition, *values, key=key)
        await self.caught_up()

    async def caught_up(self) -> None:
        """Wait until every record of the topic is handled."""
        ends = {tp: self.topics.end(tp) for tp in self.topics.logs}
        async with asyncio.timeout(PATIENCE_S):
            while not (self._handled.items() >= ends.items()):
                await asyncio.sleep(0.001)

    @property
    def _handled(self) -> dict[TP, int]:
        with self.database.reading() as connection:
            return POSITIONS.known(connection)


@asynccontextmanager
async def serving(
    folder: Path,
    partitions: int = 1,
    tokens: Callable[[], Tokens | None] = lambda: Tokens([TOKEN]),
    topics: FakeTopics | None = None,
    url: str | None = None,
    accepted: list[Accepted] | None = None,
    caught_up: bool = True,
) -> AsyncIterator[Served]:
    """Run billing, caught up with the topic; an error that ends it fails the test."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    topics = topics or FakeTopics(**{TOPIC: partitions})
    topics.now_ms = max(topics.now_ms, time.time_ns() // 1_000_000 + 3_600_000)
    database = Database(url or f"sqlite:///{folder / 'billing.db'}", "billing")
    # Independent of the machine's speed: the permitted age of an answer has tests of its own.
    billing = Billing(load({"billing_port": port, "billing_stale_after_ms": "1h"}), topics, database)
    served = Served(topics, port, database)
    with closing(database):
        ready = partial(_reached, served, caught_up)
        async with hosted(billing.host(tokens(), accepted or []), ready) as served.running:
            yield served


async def _reached(served: Served, caught_up: bool) -> bool:
    try:
        status, _, _ = await served.ask("/readyz" if caught_up else "/healthz")
    except OSError:
        return False
    return status == 200
