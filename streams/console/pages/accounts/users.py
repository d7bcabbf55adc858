"""Users and roles: list, add, change roles, disable, reset, end sessions."""

from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from monitor.text.durations import DAY
from streams.console import actions
from streams.console.actions import About
from streams.console.identity import accounts, passwords, sessions
from streams.console.identity.accounts import AccountRefused, local_subject
from streams.console.identity.components import Identity
from streams.console.identity.passwords import Busy
from streams.console.identity.permissions import Permission, needs
from streams.console.identity.users import LOCAL, Role, User
from streams.console.pages.accounts.forms import form_of, identity_of
from streams.console.pages.render import render

router = APIRouter(include_in_schema=False)

Ours = Annotated[Identity, Depends(identity_of)]
Admin = Annotated[User, Depends(needs(Permission.MANAGE_USERS))]
PAGE: Final = "/admin/users"
INITIAL_MS: Final = 3 * DAY
"""How long an initial password can be used."""
_PAGE_OF: Final = 50


@router.get(PAGE)
async def users(request: Request, _: Admin, identity: Ours, after: str = "") -> Response:
    """All users, fifty a page."""
    return await _page(request, identity, after=after)


@router.post(PAGE)
async def add(request: Request, admin: Admin, identity: Ours) -> Response:
    """Add a local account; its initial password is shown once."""
    given = await form_of(request)
    initial = passwords.initial_password()
    roles = _roles(given)
    try:
        subject = local_subject(given.get("name", ""))
        if not roles:
            raise AccountRefused("no_role", "no role")
        hashed, now_ms = await identity.passwords.hash(initial), identity.clock()
        await identity.database.run(
            lambda connection: accounts.add_local(
                connection, admin, subject, roles, hashed, now_ms + INITIAL_MS, now_ms
            )
        )
    except AccountRefused as refused:
        return await _page(request, identity, status=422, error=refused.key, name=given.get("name", "")[:64])
    except Busy:
        return await _page(request, identity, status=503, error="busy")
    return await _page(request, identity, initial=initial, about=subject.removeprefix(LOCAL))


@router.post(f"{PAGE}/change")
async def change(request: Request, admin: Admin, identity: Ours) -> Response:
    """Change one user: its roles, disabled or not, its password, its sessions."""
    given, now_ms = await form_of(request), identity.clock()
    subject, what, initial = given.get("subject", ""), given.get("change", ""), ""
    try:
        if what == "reset":
            initial = passwords.initial_password()
            hashed = await identity.passwords.hash(initial)
            until_ms = now_ms + INITIAL_MS
            work: Any = partial(accounts.reset, hashed=hashed, initial_until_ms=until_ms)
        elif what == "roles":
            work = partial(accounts.set_roles, roles=_roles(given))
        elif what in _CHANGES:
            work = _CHANGES[what]
        else:
            return RedirectResponse(PAGE, 303)
        await identity.database.run(partial(work, by=admin, subject=subject, now_ms=now_ms))
    except AccountRefused as refused:
        return await _page(request, identity, status=422, error=refused.key)
    except Busy:
        return await _page(request, identity, status=503, error="busy")
    if initial:
        return await _page(request, identity, initial=initial, about=subject.removeprefix(LOCAL))
    return RedirectResponse(PAGE, 303)


def _end_sessions(connection: Connection, by: User, subject: str, now_ms: int) -> None:
    if count := sessions.end_all(connection, subject):
        about = About(subject=subject, details={"count": str(count)})
        actions.record(connection, by, "sessions_ended", now_ms, about)


_CHANGES: Final = {"disable": accounts.disable, "enable": accounts.enable, "sessions": _end_sessions}


def _roles(given: dict[str, str]) -> list[Role]:
    """The roles whose boxes are ticked."""
    return [role for role in Role if given.get(f"role_{role.value}") == "on"]


async def _page(request: Request, identity: Identity, status: int = 200, after: str = "", **shown: str) -> Response:
    now_ms = identity.clock()

    def read() -> list[accounts.Account]:
        with identity.database.reading() as connection:
            return accounts.accounts(connection, now_ms, after, _PAGE_OF + 1)

    found = await run_in_threadpool(read)
    more = found[_PAGE_OF - 1].user.subject if len(found) > _PAGE_OF else ""
    values: dict[str, Any] = {"error": "", "initial": "", "about": "", "name": ""} | shown
    values |= {"accounts": found[:_PAGE_OF], "next_cursor": more, "first": not after, "roles": list(Role)}
    return render(request, "accounts/users.html.j2", status, local=LOCAL, **values)
