"""The texts for reasons of verdicts, for administrators."""

from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import RedirectResponse, Response

from streams.console.cases import reason_texts
from streams.console.cases.claims import CaseRefused
from streams.console.cases.reason_texts import LONGEST_TEXT, VERDICTS_OF_TEXTS, NewText
from streams.console.context import ConsoleContext, context_of
from streams.console.identity.permissions import Permission, needs
from streams.console.identity.users import User
from streams.console.pages.accounts.forms import form_of
from streams.console.pages.render import render

router = APIRouter(include_in_schema=False)

PAGE: Final = "/admin/reasons"
Editor = Annotated[User, Depends(needs(Permission.MANAGE_REASON_TEXTS))]
Context = Annotated[ConsoleContext, Depends(context_of)]


@router.get(PAGE)
async def texts(request: Request, user: Editor, context: Context) -> Response:
    """The page."""
    return await _page(request, context)


@router.post(PAGE)
async def add(request: Request, user: Editor, context: Context) -> Response:
    """Add a text."""
    new = _text(await form_of(request))
    try:
        await context.write(partial(reason_texts.add, new=new, by=user, now_ms=context.clock()))
    except CaseRefused as refused:
        return await _page(request, context, refused, new)
    return RedirectResponse(PAGE, 303)


@router.post(PAGE + "/{number}")
async def change(
    request: Request, number: Annotated[int, Path(ge=0, lt=2**63)], user: Editor, context: Context
) -> Response:
    """Replace or remove a text."""
    given, now_ms = await form_of(request), context.clock()
    if given.get("change") == "remove":
        await context.write(partial(reason_texts.remove, number=number, by=user, now_ms=now_ms))
        return RedirectResponse(PAGE, 303)
    try:
        await context.write(partial(reason_texts.change, number=number, new=_text(given), by=user, now_ms=now_ms))
    except CaseRefused as refused:
        return await _page(request, context, refused)
    return RedirectResponse(PAGE, 303)


def _text(given: dict[str, str]) -> NewText:
    return NewText(given.get("verdict", ""), given.get("zh", ""), given.get("en", ""))


async def _page(
    request: Request,
    context: ConsoleContext,
    refused: CaseRefused | None = None,
    given: NewText | None = None,
) -> Response:
    return render(
        request,
        "accounts/reason_texts.html.j2",
        200 if refused is None else 422,
        texts=await context.read(reason_texts.reason_texts),
        verdicts=VERDICTS_OF_TEXTS,
        longest=LONGEST_TEXT,
        refused=refused,
        given=given or NewText("uphold", "", ""),
    )
