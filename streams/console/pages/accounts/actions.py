"""The log of actions: what people did, the newest first, by person, tenant, decision or kind; and its export."""

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Final, get_args

import msgspec
from fastapi import APIRouter, Depends, Request
from sqlalchemy import ColumnElement, Connection, and_, or_, select
from starlette.responses import Response, StreamingResponse

from schemas.actions import Action, ActionName
from streams.console import actions
from streams.console.actions import About
from streams.console.context import ConsoleContext, context_of
from streams.console.identity.permissions import Permission, needs
from streams.console.identity.users import Role, User
from streams.console.pages.accounts.forms import form_of
from streams.console.pages.render import render
from streams.console.pages.texts import catalogue
from streams.console.tables import ACTIONS

router = APIRouter(include_in_schema=False)

Context = Annotated[ConsoleContext, Depends(context_of)]
PAGE: Final = "/admin/actions"
_PAGE_OF: Final = 50
_EXPORTED: Final = 100_000
_AT_ONCE: Final = 1_000
_LONGEST: Final = 600
_FILTERS: Final = ("who", "tenant", "decision", "action")


@router.get(PAGE)
async def log(
    request: Request, _: Annotated[User, Depends(needs(Permission.VIEW_ACTIONS))], context: Context, after: str = ""
) -> Response:
    """A page of the log."""
    given = {name: request.query_params.get(name, "").strip()[:_LONGEST] for name in _FILTERS}
    found = await context.read(partial(_find, given=given, after=after, most=_PAGE_OF + 1))
    shown = found[:_PAGE_OF]
    more = _cursor(shown[-1]) if len(found) > _PAGE_OF else ""
    values: dict[str, Any] = {
        "actions": shown,
        "given": given,
        "names": get_args(ActionName),
        "roles": list(Role),
        # Those that have a text; an action of another release may have others.
        "detail_names": {key.rpartition(".")[2] for key in catalogue() if key.startswith("actions.detail.")},
        "detail_values": {tuple(key.split(".")[2:]) for key in catalogue() if key.startswith("actions.value.")},
    }
    return render(request, "accounts/actions.html.j2", next_cursor=more, first=not after, **values)


@router.post(f"{PAGE}/export")
async def export(
    request: Request, user: Annotated[User, Depends(needs(Permission.EXPORT_ACTIONS))], context: Context
) -> Response:
    """What the filters select as JSON lines, the newest first, at most 100,000; the export is an action itself."""
    form = await form_of(request)
    given = {name: form.get(name, "").strip()[:_LONGEST] for name in _FILTERS}
    about = About(details={name: text for name, text in given.items() if text})
    await context.write(lambda connection: actions.record(connection, user, "actions_exported", context.clock(), about))

    def lines() -> Iterator[bytes]:
        after, left = "", _EXPORTED
        while left > 0:
            with context.database.reading() as connection:
                some = _find(connection, given, after, min(_AT_ONCE, left))
            if not some:
                return
            yield b"".join(msgspec.json.encode(each) + b"\n" for each in some)
            after, left = _cursor(some[-1]), left - len(some)

    headers = {"Content-Disposition": 'attachment; filename="callwarden-actions.jsonl"'}
    return StreamingResponse(lines(), media_type="application/x-ndjson", headers=headers)


def _find(connection: Connection, given: dict[str, str], after: str, most: int) -> list[Action]:
    wanted: list[ColumnElement[bool]] = []
    if who := given["who"]:
        wanted.append(or_(ACTIONS.c.actor == who, ACTIONS.c.subject == who))
    columns = {"tenant": ACTIONS.c.tenant_id, "decision": ACTIONS.c.enforcement_id, "action": ACTIONS.c.action}
    wanted += [column == given[name] for name, column in columns.items() if given[name]]
    at_text, _, id_ = after.partition("-")
    if at_text.isascii() and at_text.isdigit() and len(at_text) < 15:
        at_ms = int(at_text)
        earlier = and_(ACTIONS.c.at_ms == at_ms, ACTIONS.c.id < id_)
        wanted.append(and_(ACTIONS.c.at_ms <= at_ms, or_(ACTIONS.c.at_ms < at_ms, earlier)))
    query = select(ACTIONS.c.value).where(*wanted).order_by(ACTIONS.c.at_ms.desc(), ACTIONS.c.id.desc()).limit(most)
    return [msgspec.json.decode(value, type=Action) for value in connection.execute(query).scalars()]


def _cursor(action: Action) -> str:
    return f"{action.at_ms}-{action.action_id}"
