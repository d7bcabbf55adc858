"""The quality of the deciders: rules, reviewers, what is about to lapse, and a sample for a second look."""

from datetime import datetime, time, timedelta
from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Request
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from monitor.policy.describe import rule_names
from streams.console.cases import second_looks
from streams.console.cases.claims import CaseRefused
from streams.console.context import ConsoleContext, context_of
from streams.console.identity.permissions import Permission, needs
from streams.console.identity.users import User
from streams.console.pages.render import formats_of, render
from streams.console.queries.quality import lapsing_cases, reviewer_quality, rule_quality

router = APIRouter(include_in_schema=False)

_PERIODS: Final = (7, 30, 90)
_REFUSALS: Final = frozenset({"look_without_note", "look_too_long", "not_in_sample", "looked_at", "no_answer"})


@router.get("/quality")
async def quality(
    request: Request,
    user: Annotated[User, Depends(needs(Permission.VIEW_QUALITY))],
    context: Annotated[ConsoleContext, Depends(context_of)],
) -> Response:
    """The page, for the last ``days``: 7, 30 or 90, and today."""
    given = request.query_params.get("days", "")
    days = int(given) if given in map(str, _PERIODS) else 30
    now_ms, zone = context.clock(), ZoneInfo(formats_of(request).zone)
    # From the beginning of a day: the search that lists the decisions of a count goes by days.
    first_day = datetime.fromtimestamp(now_ms / 1000, zone).date() - timedelta(days=days)
    since_ms = int(datetime.combine(first_day, time(), zone).timestamp() * 1000)

    def read(connection: Connection) -> dict[str, Any]:
        return {
            "rule_names": rule_names(context.policies.now(connection, now_ms)),
            "rules": rule_quality(connection, since_ms),
            "reviewers": reviewer_quality(connection, since_ms),
            "lapsing": lapsing_cases(connection, now_ms),
            "sample": second_looks.sample(connection, now_ms, user.subject),
        }

    refused = request.query_params.get("refused", "")
    return render(
        request,
        "quality.html.j2",
        days=days,
        first_day=first_day.isoformat(),
        periods=_PERIODS,
        refused=refused if refused in _REFUSALS else "",
        answered=request.query_params.get("done") == "answered",
        longest_note=second_looks.LONGEST_NOTE,
        **await context.read(read),
    )


@router.post("/quality/second-looks")
async def answer_second_look(
    user: Annotated[User, Depends(needs(Permission.LOOK_AGAIN))],
    context: Annotated[ConsoleContext, Depends(context_of)],
    case_id: Annotated[str, Form()] = "",
    answer: Annotated[str, Form()] = "",
    note: Annotated[str, Form()] = "",
) -> Response:
    """Record whether the user agrees with an upheld decision of its sample."""
    try:
        if answer not in ("agrees", "would_overturn"):
            raise CaseRefused("no_answer")
        given = second_looks.GivenAnswer(answer == "agrees", note)
        await context.write(partial(second_looks.answer, case_id=case_id, given=given, by=user, now_ms=context.clock()))
    except CaseRefused as refused:
        return RedirectResponse(f"/quality?{urlencode({'refused': refused.key})}#second-look", 303)
    return RedirectResponse("/quality?done=answered#second-look", 303)
