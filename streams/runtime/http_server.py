"""The HTTP server of all programs: their pages, billing's API, and the receiver of the webhook."""

import asyncio
import contextlib
import resource
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import uvicorn
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.runtime.http_connection import Connection, ConnectionLimits, Connections, Refusals
from streams.runtime.http_problem import PROBLEM_TYPE, problem_body
from streams.runtime.http_tls import Handshake
from streams.runtime.log_limiter import LogLimiter
from streams.runtime.monotonic import steady_s

_STOP_S: Final = 5
_SWEEP_S: Final = 1.0
# The number of connections that the system accepts before our limits apply.
_BACKLOG: Final = 128
_MOST: Final = 512
_LEAST: Final = 16
# Descriptors for the broker, the database, files, and connections that were just accepted.
_KEPT_FREE: Final = 256
_ACCEPT_FAILED: Final = "socket.accept() out of system resource"


class ServerOptions(NamedTuple):
    """How a server differs from the others; ``limits``: None is `usual_limits`, ``tls``: None is HTTP without TLS."""

    limits: ConnectionLimits | None = None
    tls: ssl.SSLContext | None = None


USUAL: Final = ServerOptions()
"""A server like the others."""


def usual_limits() -> ConnectionLimits:
    """The limits of a server in this process: connections take at most half of the available descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = _MOST if soft == resource.RLIM_INFINITY else (soft - _KEPT_FREE) // 2
    return ConnectionLimits(connections=max(_LEAST, min(_MOST, free)))


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at the address. Raises OSError.

    It is created with its protocol, which connections inherit: asyncio sets TCP_NODELAY only on sockets that have one,
    and without it a response in two pieces waits for the client's delayed acknowledgement, 40 ms.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


class HttpServer(uvicorn.Server):
    """Serves an ASGI application until ``should_exit`` is set.

    It does not capture signals: uvicorn's handlers would end the program before its database is closed.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: ConnectionLimits | None = None,
        *,
        refused: Refusals = lambda reason: None,
        tls: ssl.SSLContext | None = None,
        sweep_s: float = _SWEEP_S,
        now_s: Callable[[], float] = steady_s,
    ) -> None:
        """``refused`` is called for each connection that is closed unserved. ``tls``: None is HTTP without TLS.

        Deadlines are checked every ``sweep_s`` seconds, by the clock ``now_s``.
        """
        limits = limits or usual_limits()
        self._log, self._sweep_s = LogLimiter(now_s), sweep_s
        self.guarded = Connections(limits, now_s, self._log, refused)

        def connection(**given: Any) -> Connection | Handshake:
            make = partial(Connection, self.guarded, **given)
            return make() if tls is None else Handshake(self.guarded, tls, make, lambda: self.should_exit)

        config = uvicorn.Config(
            _within(app, limits, lambda: self.should_exit),
            http=connection,  # type: ignore[arg-type]  # its code accepts any callable that returns a protocol
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            backlog=_BACKLOG,
            timeout_keep_alive=max(1, round(limits.idle_s)),
            timeout_graceful_shutdown=_STOP_S,
            h11_max_incomplete_event_size=limits.header_bytes,
        )
        super().__init__(config)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve at these sockets, and close them afterwards."""
        loop = asyncio.get_running_loop()
        former = loop.get_exception_handler()
        loop.set_exception_handler(self._heard)
        sweeping = asyncio.create_task(self._sweep(), name="http-deadlines")
        try:
            await super().serve(sockets)
        finally:
            sweeping.cancel()
            loop.set_exception_handler(former)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the connections. uvicorn does not know of handshakes, and would wait for them from Python 3.12 on."""
        for each in self.guarded:
            if isinstance(each, Handshake):
                each.abort()
        await super().shutdown(sockets)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_s)
            self.guarded.sweep()

    def _heard(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Limit asyncio's report of missing descriptors, which comes a hundred times a second with a traceback."""
        if context.get("message") == _ACCEPT_FAILED:
            self._log.warn("no HTTP connection can be accepted", why=str(context.get("exception")))
        else:
            loop.default_exception_handler(context)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _within(app: ASGIApp, limits: ConnectionLimits, stopping: Callable[[], bool]) -> ASGIApp:
    """Wrap ``app``: answers requests with a larger body with 413, and treats a disconnect of the client as no error.

    A request that is still not answered when the server ends, because its body does not come or what it waits for, is
    answered with 503. uvicorn would answer 500 and log a traceback for each.
    """

    async def within(scope: Scope, receive: Receive, send: Send) -> None:
        scope = _origin_form(scope)
        come, begun = 0, False
        most_bytes = limits.larger_bodies.get((scope["method"], scope["path"]), limits.body_bytes)

        async def counted() -> Message:
            nonlocal come
            message = await receive()
            come += len(message.get("body", b""))
            return message if come <= most_bytes else {"type": "http.disconnect"}

        async def sending(message: Message) -> None:
            nonlocal begun
            if come <= most_bytes:
                begun = True
                await send(message)

        announced = [int(value) for name, value in scope["headers"] if name == b"content-length"]
        if max(announced, default=0) <= most_bytes:
            try:
                await app(scope, counted, sending)
            except ClientDisconnect:
                pass
            except asyncio.CancelledError:
                if begun or not stopping():
                    raise
                why = "the server stops; send the request again"
                await _refuse(scope, send, 503, "Service Unavailable", why)
                return
            if begun or come <= most_bytes:
                return
        why = f"expected a body of at most {most_bytes:,} bytes"
        await _refuse(scope, send, 413, "Content Too Large", why)

    return within


def _origin_form(scope: Scope) -> Scope:
    """The scope with the path alone where the target is a whole URL, which a server must accept (RFC 9112, 3.2.2)."""
    if not scope["path"].lower().startswith(("http://", "https://")):
        return scope
    path, raw = scope["path"].split("/", 3), scope["raw_path"].split(b"/", 3)
    return {**scope, "path": "/" + "".join(path[3:]), "raw_path": b"/" + b"".join(raw[3:])}


async def _refuse(scope: Scope, send: Send, status: int, phrase: str, why: str) -> None:
    """Answer with ``status``, and close the connection."""
    if any(name == b"accept" and b"text/html" in value for name, value in scope["headers"]):
        kind, body = b"text/plain", f"{status} {phrase}: {why}\n".encode()
    else:
        kind, body = PROBLEM_TYPE.encode(), problem_body(status, phrase, why)
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
