"""A server on a free port, and what its application received; a test moves its time."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from helpers.patience import PATIENCE_S
from streams.runtime.http_connection import Connection, ConnectionLimits
from streams.runtime.http_server import HttpServer, listen

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
MUCH_S = 1_000.0


class Served:
    """A server, and the requests that its application received."""

    def __init__(self, limits: ConnectionLimits, tls: ssl.SSLContext | None = None) -> None:
        self.now_s = 0.0
        self.hold = asyncio.Event()
        self.under_way = 0
        self.refused: list[str] = []
        routes = [
            Route("/healthz", self._healthz),
            Route("/held", self._held),
            Route("/body", self._body, methods=["POST"]),
            Route("/large", self._large),
        ]
        self.server = HttpServer(
            Starlette(routes=routes),
            limits,
            refused=self.refused.append,
            tls=tls,
            sweep_s=0.005,
            now_s=lambda: self.now_s,
        )
        self.listening = listen("127.0.0.1", 0)
        self.address = self.listening.getsockname()

    async def _healthz(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _held(self, _: Request) -> Response:
        self.under_way += 1
        await self.hold.wait()
        return PlainTextResponse("held\n")

    async def _body(self, request: Request) -> Response:
        return PlainTextResponse(f"{len(await request.body())}\n")

    async def _large(self, _: Request) -> Response:
        self.under_way += 1
        return Response(b"x" * 50_000_000)

    async def said(self, sent: bytes = b"", late: Callable[[Connection], bool] | None = None) -> bytes:
        """The whole answer to these bytes, until the server closes the connection. Time jumps once a connection is as
        ``late`` says.
        """
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            writer.write(sent)
            async with asyncio.timeout(PATIENCE_S):
                if late is not None:
                    await until(lambda: any(late(each) for each in self.connections()))
                    self.now_s += MUCH_S
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    def connections(self) -> list[Connection]:
        return [each for each in self.server.guarded if isinstance(each, Connection)]

    async def healthy(self) -> bool:
        return (await self.said(HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))).endswith(b"ok\n")


@asynccontextmanager
async def serving(connections: int = 100, tls: ssl.SSLContext | None = None) -> AsyncIterator[Served]:
    served = Served(ConnectionLimits(connections=connections), tls)
    task = asyncio.create_task(served.server.serve([served.listening]))
    try:
        yield served
    finally:
        served.hold.set()
        served.server.should_exit = True
        await task


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.005)
