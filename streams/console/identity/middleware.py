"""Finds the session of each request, and refuses what comes from other hosts' pages: no route can forget either."""

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar
from urllib.parse import parse_qsl

import structlog
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.console.identity import api_tokens, sessions
from streams.console.identity.sessions import Client, Lifetime, Session, Stage, csrf_token
from streams.console.identity.site import Site
from streams.console.identity.users import User
from streams.consumers.database import Database
from streams.kafka.api import TransientError

log = structlog.get_logger("callwarden")

T = TypeVar("T")

CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "x-csrf-token"
_OPEN: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Pages of the process for machines that know it by any host name; they have no session."""
_STATIC: Final = ("/static/", "/favicon.ico")
_API: Final = "/v1"
_SIGN_IN: Final = "/sign-in"
_EVENTS: Final = "/events"
PASSIVE_HEADER: Final = "x-passive"
"""The header of a request that a page makes by itself: a session does not last longer for it, nor for the events."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM: Final = "application/x-www-form-urlencoded"
_FORM_BYTES: Final = 1 << 20
_FIELDS: Final = 1_000
_RETRY_AFTER_S: Final = "2"


@dataclass(frozen=True, slots=True)
class RequestRefused(Exception):
    """A request that is not handled. ``key`` is the end of its text's key."""

    status: int
    key: str


Respond = Callable[[Request, RequestRefused], Response]
"""The answer to a refused request."""


class IdentityMiddleware:
    """Sets `callwarden.user`, `.session`, `.csrf` and `.client` of the scope; refuses forged requests before any route.

    Each request with another method than GET, HEAD or OPTIONS needs the `Origin` of our own pages, and the token of its
    session as the header `X-CSRF-Token` or as the field `csrf` of a urlencoded form.
    """

    def __init__(
        self,
        app: ASGIApp,
        database: Database,
        site: Site,
        life: Lifetime,
        clock: Callable[[], int],
        respond: Respond,
    ) -> None:
        self._app, self._database, self._site = app, database, site
        self._life, self._clock, self._respond = life, clock, respond
        self._touching: dict[str, asyncio.Task[None]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _OPEN:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        found = _Found(_client(request))
        try:
            if not self._site.answers(request.headers.get("host", "")):
                raise RequestRefused(400, "host")
            await self._identify(request, found)
            if scope["method"] not in _SAFE and not found.by_token:
                receive = await self._check(request, found.csrf)
        except RequestRefused as refused:
            _tell(scope, _Found(found.client))
            response = self._respond(request, refused)
            if refused.status == 503:
                response.headers["retry-after"] = _RETRY_AFTER_S
            await response(scope, receive, send)
            return
        _tell(scope, found)
        await self._app(scope, receive, self._with_form_cookie(send, found.form_cookie))

    async def _identify(self, request: Request, found: "_Found") -> None:
        """Find the session, or the user of an API token; the sign-in page without one gets a form cookie."""
        path = request.scope["path"]
        if path.startswith(_STATIC):
            return
        if path.startswith(_API) and (token := _bearer(request)) is not None:
            found.by_token = True
            if request.method in _SAFE:
                found.user = await self._read(partial(api_tokens.user_of, token=token, now_ms=self._clock()))
            return
        token = request.cookies.get(self._site.session_cookie)
        if token:
            session = await self._read(partial(sessions.find, token=token, now_ms=self._clock(), life=self._life))
            if session is not None:
                found.session, found.csrf = session, csrf_token(token)
                found.user = session.user if session.stage is Stage.FULL else None
                if path != _EVENTS and PASSIVE_HEADER not in request.headers:
                    self._note_request(session)
                return
        if path.startswith(_SIGN_IN):
            # No session yet: the form of the sign-in is bound to a random cookie instead.
            given = request.cookies.get(self._site.form_cookie)
            found.form_cookie = None if given else sessions.new_token()
            found.csrf = csrf_token(given or found.form_cookie or "")

    def _note_request(self, session: Session) -> None:
        if sessions.is_stale(session, self._clock()) and session.hash not in self._touching:
            # Not awaited: a page must not wait for the database's writer.
            task = asyncio.create_task(self._touch(session.hash))
            self._touching[session.hash] = task
            task.add_done_callback(lambda _: self._touching.pop(session.hash, None))

    async def _touch(self, session_hash: str) -> None:
        try:
            await self._database.run(partial(sessions.touch, session_hash=session_hash, now_ms=self._clock()))
        except TransientError as error:
            log.warning("a session's last request was not stored", why=str(error))

    async def _check(self, request: Request, expected: str) -> Receive:
        """Refuse a request that is not from our own page; returns what gives the body to the route."""
        if not self._site.is_ours(request):
            raise RequestRefused(403, "origin")
        receive, given = request.receive, request.headers.get(CSRF_HEADER)
        if given is None:
            if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
                raise RequestRefused(403, "csrf")
            body = await _body(request)
            given = _field(body)
            receive = _again(body, request.receive)
        if not expected or not hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass")):
            raise RequestRefused(403, "csrf")
        return receive

    def _with_form_cookie(self, send: Send, value: str | None) -> Send:
        if value is None:
            return send

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                carrier = Response()
                self._site.set_cookie(carrier, self._site.form_cookie, value)
                MutableHeaders(scope=message).append("set-cookie", carrier.headers["set-cookie"])
            await send(message)

        return sending

    async def _read(self, query: Callable[[Connection], T]) -> T:
        def run() -> T:
            with self._database.reading() as connection:
                return query(connection)

        try:
            return await run_in_threadpool(run)
        except TransientError as error:
            log.warning("a session cannot be looked up", why=str(error))
            raise RequestRefused(503, "database") from None


@dataclass(slots=True)
class _Found:
    """What is known of a request."""

    client: Client
    user: User | None = None
    session: Session | None = None
    csrf: str = ""
    by_token: bool = False
    form_cookie: str | None = None


def _tell(scope: Scope, found: _Found) -> None:
    scope["callwarden.user"], scope["callwarden.session"] = found.user, found.session
    scope["callwarden.csrf"], scope["callwarden.client"] = found.csrf, found.client


def session_of(request: Request) -> Session | None:
    """The request's session, which may allow only the next step of the sign-in."""
    session = request.scope.get("callwarden.session")
    return session if isinstance(session, Session) else None


def client_of(request: Request) -> Client:
    """Where the request comes from."""
    client = request.scope.get("callwarden.client")
    return client if isinstance(client, Client) else _client(request)


def _client(request: Request) -> Client:
    return Client(request.client.host if request.client else "", request.headers.get("user-agent", "")[:200])


def _bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > _FORM_BYTES:
            raise RequestRefused(413, "large")
        parts.append(part)
    return b"".join(parts)


def _field(body: bytes) -> str:
    try:
        fields = parse_qsl(body.decode("ascii", "replace"), keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError:
        raise RequestRefused(413, "large") from None
    return next((value for name, value in fields if name == CSRF_FIELD), "")


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read once more, then what comes after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
