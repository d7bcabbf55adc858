"""Times the answers of an ASGI application."""

import time
from collections.abc import Callable

from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def of_api(path: str) -> bool:
    """Whether a path is below ``/v1/``."""
    return path.startswith("/v1/")


def timed(app: ASGIApp, seconds: Histogram, counts: Callable[[str], bool] = of_api) -> ASGIApp:
    """The application with its answers timed in ``seconds``, by status; 500 if it raises first.

    ``counts``: which paths are timed.
    """

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if not counts(scope.get("path", "")):
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
