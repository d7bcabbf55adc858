"""Search: one field for everything that has a name, and the decisions of a time."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from streams.console.context import ConsoleContext, context_of
from streams.console.identity.permissions import Permission, needs
from streams.console.identity.users import User
from streams.console.pages.render import formats_of, render
from streams.console.queries.cursors import LIMIT, InvalidCursor
from streams.console.queries.search import CaseFilter, find_cases, find_tenants, list_cases

router = APIRouter(include_in_schema=False)

_LONGEST: Final = 256


@router.get("/search")
async def search(
    request: Request,
    user: Annotated[User, Depends(needs(Permission.SEARCH))],
    context: Annotated[ConsoleContext, Depends(context_of)],
) -> Response:
    """Tenants and decisions for ``q``; without it the decisions of ``from`` to ``to``, days in the reader's zone."""
    given = {
        name: request.query_params.get(name, "").strip() for name in ("q", "from", "to", "status", "tier", "after")
    }
    words, zone = given["q"][:_LONGEST], ZoneInfo(formats_of(request).zone)
    wanted = CaseFilter(
        status=given["status"] or None,
        tier=given["tier"] or None,
        from_ms=_day_ms(given["from"], zone),
        until_ms=_day_ms(given["to"], zone, days=1),
    )

    def read(connection: Connection) -> dict[str, Any]:
        if words:
            tenants = find_tenants(connection, words)
            cases = find_cases(connection, words, [identity.tenant_id for identity, _ in tenants])
            return {"tenants": tenants, "cases": cases, "following": None, "is_cut": len(cases) == LIMIT}
        cases, following = list_cases(connection, wanted, given["after"])
        return {"tenants": [], "cases": cases, "following": following, "is_cut": False}

    try:
        found = await context.read(read)
    except InvalidCursor:
        raise HTTPException(400, "the cursor is not valid") from None
    return render(request, "search.html.j2", words=words, given=given, **found)


def _day_ms(text: str, zone: ZoneInfo, days: int = 0) -> int | None:
    """The beginning of a day in the zone, so many days later; None if the text is no day of the calendar."""
    try:
        day = date.fromisoformat(text) + timedelta(days=days)
        return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
