"""A request as the intake reads it, and the part of its target that nothing may print."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote

from starlette.types import ASGIApp, Receive, Scope, Send

PREFIX: Final = "/v1/in/"
_KEY: Final = "callwarden.target"


class HiddenTarget:
    """The target of a request as it came. ``token``: what is behind the source's name; None if nothing is."""

    __slots__ = ("target", "token")

    def __init__(self, target: str, token: str | None) -> None:
        self.target, self.token = target, token


class IngestRequest(NamedTuple):
    """``source`` is the name in the path; None for plain records."""

    headers: Mapping[str, str]
    stream: AsyncIterator[bytes]
    source: str | None = None
    hidden: HiddenTarget | None = None

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the target."""
        target = self.hidden.target if self.hidden is not None else ""
        return dict(parse_qsl(target.partition("?")[2], keep_blank_values=True))


def hidden_target(scope: Mapping[str, Any]) -> HiddenTarget | None:
    """The target that `TokenHider` took off a scope."""
    found = scope.get(_KEY)
    return found if isinstance(found, HiddenTarget) else None


class TokenHider:
    """Takes the token off the path before anything else reads the path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.startswith(PREFIX):
            name, slash, token = path[len(PREFIX) :].partition("/")
            raw = scope.get("raw_path") or quote(path).encode()
            query = scope.get("query_string", b"")
            target = (raw + b"?" + query if query else raw).decode("latin-1")
            short = PREFIX + name
            scope = {**scope, "path": short, "raw_path": quote(short).encode()}
            scope[_KEY] = HiddenTarget(target, token if slash else None)
        await self._app(scope, receive, send)
