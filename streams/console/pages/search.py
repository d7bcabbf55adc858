"""Search: one field for everything that has a name, and the decisions of a time."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from monitor.core.decisions.proposals import REPEATED
from monitor.policy.describe import rule_names
from monitor.report.labels import BEHAVIOURS
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
    """Tenants and decisions for ``q``; without it the decisions of ``from`` to ``to``, days in the reader's zone, by
    ``rule``, ``tier`` and ``status``."""
    given = {
        name: request.query_params.get(name, "").strip()
        for name in ("q", "from", "to", "status", "tier", "rule", "after")
    }
    words, zone = given["q"][:_LONGEST], ZoneInfo(formats_of(request).zone)
    rule, now_ms = given["rule"][:_LONGEST], context.clock()
    wanted = CaseFilter(
        rule_id=rule or None,
        status=given["status"] or None,
        tier=given["tier"] or None,
        from_ms=_day_ms(given["from"], zone),
        until_ms=_day_ms(given["to"], zone, days=1),
    )

    def read(connection: Connection) -> dict[str, Any]:
        names, found = rule_names(context.policies.now(connection, now_ms)), found_cases(connection)
        return found | {"rule_names": names, "rules": _choices(names, rule if found["cases"] else "")}

    def found_cases(connection: Connection) -> dict[str, Any]:
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


def _choices(names: Iterable[str], chosen: str) -> list[str]:
    """What decides, for a choice: the rules and escalations of the policy, records, and what is chosen now if it is the
    rule of a decision: any other text is not shown."""
    known = [*names, *(behaviour for behaviour in BEHAVIOURS if behaviour != REPEATED)]
    return known if not chosen or chosen in known else [chosen, *known]


def _day_ms(text: str, zone: ZoneInfo, days: int = 0) -> int | None:
    """The beginning of a day in the zone, so many days later; None if the text is no day of the calendar."""
    try:
        day = date.fromisoformat(text) + timedelta(days=days)
        return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
