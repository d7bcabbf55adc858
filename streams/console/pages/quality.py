"""The quality of the deciders: rules, reviewers, what is about to lapse, and a sample for a second look."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection
from starlette.responses import Response

from streams.console.context import ConsoleContext, context_of
from streams.console.identity.permissions import Permission, needs
from streams.console.identity.users import User
from streams.console.pages.render import render
from streams.console.queries.quality import lapsing_cases, reviewer_quality, rule_quality, second_look

router = APIRouter(include_in_schema=False)

_PERIODS: Final = (7, 30, 90)
_DAY_MS: Final = 86_400_000


@router.get("/quality")
async def quality(
    request: Request,
    user: Annotated[User, Depends(needs(Permission.VIEW_QUALITY))],
    context: Annotated[ConsoleContext, Depends(context_of)],
) -> Response:
    """The page, for the last ``days``: 7, 30 or 90."""
    given = request.query_params.get("days", "")
    days = int(given) if given in map(str, _PERIODS) else 30
    now_ms = context.clock()

    def read(connection: Connection) -> dict[str, Any]:
        return {
            "rules": rule_quality(connection, now_ms - days * _DAY_MS),
            "reviewers": reviewer_quality(connection, now_ms - days * _DAY_MS),
            "lapsing": lapsing_cases(connection, now_ms),
            "sample": second_look(connection, now_ms, user.subject),
        }

    return render(request, "quality.html.j2", days=days, periods=_PERIODS, **await context.read(read))
