"""No port delays an answer until the client acknowledges the one before."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import pytest
from prometheus_client import CollectorRegistry
from served_app import until
from starlette.applications import Starlette

from helpers.patience import PATIENCE_S
from streams.consumers.notify.webhook_receiver import listening
from streams.consumers.service import host, pages_app
from streams.dev.kafka_node import free_ports
from streams.runtime.http_connection import Connection
from streams.worker.app import PagesService


@asynccontextmanager
async def consumers_pages(port: int) -> AsyncIterator[None]:
    registry = CollectorRegistry()
    app = pages_app(registry, lambda: None)
    task = asyncio.create_task(host([], app, ("127.0.0.1", port), "X", 20, registry))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def workers_pages(port: int) -> AsyncIterator[None]:
    service = PagesService(Starlette(), "127.0.0.1", port, CollectorRegistry())
    await service.start()
    try:
        yield
    finally:
        await service.stop()


@asynccontextmanager
async def webhooks_receiver(port: int) -> AsyncIterator[None]:
    async with listening(port, "a secret of ours", lambda _: None):
        yield


@pytest.mark.parametrize("pages", [consumers_pages, workers_pages, webhooks_receiver])
async def test_no_answer_waits_for_a_delayed_acknowledgement(
    pages: Callable[[int], AbstractAsyncContextManager[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nagle's algorithm would cause it: 44 ms for each answer on a keep-alive connection."""
    accepted: list[socket.socket] = []
    made = Connection.connection_made

    def noted(self: Connection, transport: asyncio.Transport) -> None:
        accepted.append(transport.get_extra_info("socket"))
        made(self, transport)

    monkeypatch.setattr(Connection, "connection_made", noted)
    [port] = free_ports(1)
    async with pages(port):
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                await asyncio.sleep(0.01)
        await until(lambda: bool(accepted))
        assert accepted[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()
        await writer.wait_closed()
