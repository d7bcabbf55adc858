"""`/events`: tells open pages what has changed, as server-sent events."""

from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from streams.console.changes import ChangeWatch
from streams.console.identity.permissions import Permission, needs
from streams.console.identity.users import User
from streams.console.pages.render import render
from streams.runtime.monotonic import steady_s

router = APIRouter(include_in_schema=False)

LASTS_S: Final = 25.0
"""How long a stream lasts; the server closes responses that take longer than 30 s, and browsers connect again."""
_RETRY_MS: Final = 1_000


@router.get("/notice")
async def notice(request: Request, user: Annotated[User, Depends(needs(Permission.VIEW_CASES))]) -> Response:
    """What each page says above everything else, for pages that are open."""
    return render(request, "notice.html.j2")


@router.get("/events")
async def events(request: Request, user: Annotated[User, Depends(needs(Permission.VIEW_CASES))]) -> Response:
    """The events of the queue: `changed` with the name of what has changed. The id of an event is a version."""
    watch: ChangeWatch = request.app.state.changes
    last = request.headers.get("last-event-id", "")
    seen = int(last) if last.isascii() and last.isdigit() and len(last) < 10 else watch.version
    return _Events(watch, user.subject, seen)


class _Events(EventSourceResponse):
    """The stream, for as long as the page is open; 503 if too many are."""

    def __init__(self, watch: ChangeWatch, subject: str, seen: int) -> None:
        super().__init__(_stream(watch, seen), ping=0)
        self._watch, self._subject = watch, subject

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._watch.stream_of(self._subject) as taken:
            refused = PlainTextResponse("too many pages are open\n", 503, {"Retry-After": "30"})
            await (super().__call__ if taken else refused)(scope, receive, send)


async def _stream(watch: ChangeWatch, seen: int) -> AsyncIterator[ServerSentEvent]:
    until_s = steady_s() + LASTS_S
    yield ServerSentEvent(event="hello", data="queue", id=str(seen), retry=_RETRY_MS)
    while (left_s := until_s - steady_s()) > 0 and not watch.closed:
        if await watch.changed_since(seen, left_s):
            seen = watch.version
            yield ServerSentEvent(event="changed", data="queue", id=str(seen))
