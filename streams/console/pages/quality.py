"""The quality of the deciders: rules, reviewers, what is about to lapse, and a sample for a second look."""

from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Request
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from streams.console.cases import second_looks
from streams.console.cases.claims import CaseRefused
from streams.console.context import ConsoleContext, context_of
from streams.console.identity.permissions import Permission, needs
from streams.console.identity.users import User
from streams.console.pages.render import render
from streams.console.queries.quality import lapsing_cases, reviewer_quality, rule_quality

router = APIRouter(include_in_schema=False)

_PERIODS: Final = (7, 30, 90)
_DAY_MS: Final = 86_400_000
_REFUSALS: Final = frozenset({"look_without_note", "look_too_long", "not_in_sample", "looked_at", "no_answer"})


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
            "sample": second_looks.sample(connection, now_ms, user.subject),
        }

    refused = request.query_params.get("refused", "")
    return render(
        request,
        "quality.html.j2",
        days=days,
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
