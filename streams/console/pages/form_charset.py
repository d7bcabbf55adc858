"""Refuses forms in an encoding other than UTF-8: some, such as UTF-7, give texts that no table can hold."""

from collections.abc import Callable
from typing import Final

from python_multipart.multipart import parse_options_header
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

_UTF_8: Final = frozenset({b"utf-8", b"utf8"})


class FormCharset:
    """A form may name no other charset. Browsers name none; a urlencoded form is UTF-8 whatever it names."""

    def __init__(self, app: ASGIApp, respond: Callable[[Request], Response]) -> None:
        self._app, self._respond = app, respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope, receive)
            _, options = parse_options_header(request.headers.get("content-type"))
            if options.get(b"charset", b"utf-8").lower() not in _UTF_8:
                await self._respond(request)(scope, receive, send)
                return
        await self._app(scope, receive, send)
