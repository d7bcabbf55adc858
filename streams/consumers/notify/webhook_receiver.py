"""Receives the notifier's webhook on this machine, for display in a terminal."""

import asyncio
import hmac
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streams.consumers.notify.channels.webhook import key, signature
from streams.consumers.notify.messages.message import Message
from streams.runtime.http_server import HttpServer, listen, usual_limits

_PATH: Final = "/notices"
_MOST_BYTES: Final = 1 << 20
_TIMESTAMP: Final = re.compile("[0-9]{1,15}")


def address(port: int) -> str:
    """The webhook's URL."""
    return f"http://127.0.0.1:{port}{_PATH}"


@asynccontextmanager
async def listening(port: int, secret: str, on_message: Callable[[Message], None]) -> AsyncIterator[None]:
    """Receive messages on ``port``. Rejects those not signed with ``secret``; passes each to ``on_message`` once."""
    known: set[str] = set()

    async def take(request: Request) -> Response:
        id_, at, given = (request.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
        body = await request.body()
        if not _TIMESTAMP.fullmatch(at):
            return Response(status_code=400)
        signed = f"v1,{signature(key(secret), id_, int(at), body)}"
        if not hmac.compare_digest(signed.encode(), given.encode()):
            return Response(status_code=401)
        if id_ not in known:
            known.add(id_)
            on_message(msgspec.json.decode(body, type=Message))
        return Response(status_code=204)

    limits = replace(usual_limits(), body_bytes=_MOST_BYTES)
    server = HttpServer(Starlette(routes=[Route(_PATH, take, methods=["POST"])]), limits)
    serving = asyncio.create_task(server.serve([listen("127.0.0.1", port)]))
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.wait([serving])
