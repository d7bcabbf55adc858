"""Health: how far the console has read each partition, and what it could not read or send."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from streams.console.context import ConsoleContext, context_of
from streams.console.identity.permissions import Permission, needs
from streams.console.identity.users import User
from streams.console.pages.render import render
from streams.console.queries.health import stored_health

router = APIRouter(include_in_schema=False)


@router.get("/health")
async def health(
    request: Request,
    user: Annotated[User, Depends(needs(Permission.VIEW_HEALTH))],
    context: Annotated[ConsoleContext, Depends(context_of)],
) -> Response:
    """The page."""
    progress, now_ms = context.progress(), context.clock()
    stored = await context.read(lambda connection: stored_health(connection, now_ms))
    behind = sorted(progress.behind.items())
    return render(request, "health.html.j2", progress=progress, behind=behind, stored=stored)
