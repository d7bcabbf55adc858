"""Takes the notifier's webhook on this machine, for somebody who looks at a terminal."""

import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from aiohttp import web

from streams.consumers.notify.channels.webhook import key, signature
from streams.consumers.notify.message import Message

_PATH: Final = "/notices"


def address(port: int) -> str:
    """Where the webhook is to be sent."""
    return f"http://127.0.0.1:{port}{_PATH}"


@asynccontextmanager
async def listening(port: int, secret: str, heard: Callable[[Message], None]) -> AsyncIterator[None]:
    """Take messages there; one that is not signed with that secret is refused, one that comes again is not heard."""
    known: set[str] = set()

    async def take(request: web.Request) -> web.Response:
        body, id_, at = await request.read(), request.headers["webhook-id"], request.headers["webhook-timestamp"]
        signed = f"v1,{signature(key(secret), id_, int(at), body)}"
        if not hmac.compare_digest(signed, request.headers["webhook-signature"]):
            return web.Response(status=401)
        if id_ not in known:
            known.add(id_)
            heard(msgspec.json.decode(body, type=Message))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post(_PATH, take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield
    finally:
        await runner.cleanup()
