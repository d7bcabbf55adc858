"""Times the answers of an ASGI application."""

import time
from typing import Final

from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_TIMED: Final = "/v1/"


def timed(app: ASGIApp, seconds: Histogram) -> ASGIApp:
    """The application with its answers under ``/v1/`` timed in ``seconds``, by status; 500 if it raises first."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if not scope.get("path", "").startswith(_TIMED):
            return await app(scope, receive, send)
        began_s, status = time.perf_counter(), "500"

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await app(scope, receive, sending)
        finally:
            seconds.labels(status).observe(time.perf_counter() - began_s)

    return call
