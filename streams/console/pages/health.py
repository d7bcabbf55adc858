"""Health: how far the console has read each partition, and what it could not read or send."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from streams.console import actions
from streams.console.context import ConsoleContext, context_of
from streams.console.identity.permissions import Permission, needs
from streams.console.identity.users import User
from streams.console.pages.render import render
from streams.console.program_pages import ProgramState
from streams.console.queries.health import stored_health
from streams.kafka.api import PermanentError, TransientError

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
    values: dict[str, Any] = {
        "progress": progress,
        "behind": behind,
        "stored": stored,
        "has_kafka": context.reports is not None,
        "is_replay": not context.has_kafka,
        "has_programs": bool(context.settings.console_programs),
    }
    return render(request, "health.html.j2", done=request.query_params.get("done", ""), **values)


@router.get("/health/cluster")
async def cluster(
    request: Request,
    user: Annotated[User, Depends(needs(Permission.VIEW_HEALTH))],
    context: Annotated[ConsoleContext, Depends(context_of)],
) -> Response:
    """The part of the page that is read from Kafka, which may take seconds or be impossible."""
    report, why = None, ""
    try:
        report = await context.reports.report() if context.reports is not None else None
    except (TransientError, PermanentError) as error:
        why = str(error)
    return render(request, "health_cluster.html.j2", report=report, why=why)


@router.get("/health/programs")
async def programs(
    request: Request,
    user: Annotated[User, Depends(needs(Permission.VIEW_HEALTH))],
    context: Annotated[ConsoleContext, Depends(context_of)],
) -> Response:
    """The part of the page that is read from the other programs; each may be unreachable."""
    found: list[ProgramState] = await request.app.state.programs.states()
    return render(request, "health_programs.html.j2", programs=found)


@router.post("/health/dead-letters/{letter_id}/retry")
async def retry_letter(
    letter_id: str,
    user: Annotated[User, Depends(needs(Permission.RETRY_DEAD_LETTERS))],
    context: Annotated[ConsoleContext, Depends(context_of)],
) -> Response:
    """Write a dead letter back to the topic that it came from."""
    done = context.reports is not None and await context.reports.retry(letter_id)
    if done:
        about = actions.About(details={"letter": letter_id})
        await context.write(
            lambda connection: actions.record(connection, user, "dead_letter_retried", context.clock(), about)
        )
    return RedirectResponse(f"/health?done={'retried' if done else 'not_retried'}", 303)
