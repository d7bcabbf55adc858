"""One's own account: password, second factor, sessions, API tokens."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from monitor.text.durations import DAY
from streams.console import actions
from streams.console.actions import About
from streams.console.identity import accounts, api_tokens, passwords, second_factor, sessions
from streams.console.identity.components import Identity
from streams.console.identity.middleware import client_of, session_of
from streams.console.identity.passwords import Busy
from streams.console.identity.permissions import NotSignedIn, Permission, needs
from streams.console.identity.sessions import Session
from streams.console.identity.sign_in import SignInThrottled
from streams.console.identity.users import LOCAL, User
from streams.console.pages.accounts.forms import form_of, identity_of
from streams.console.pages.render import render

router = APIRouter(include_in_schema=False)

Ours = Annotated[Identity, Depends(identity_of)]
Mine = Annotated[User, Depends(needs(Permission.USE_ACCOUNT))]
PAGE: Final = "/settings/account"
_TOKEN_DAYS: Final = (7, 30, 90)


@router.get(PAGE)
async def account(request: Request, user: Mine, identity: Ours, done: str = "") -> Response:
    """The page."""
    return await _page(request, user, identity, done=done if done in _DONE else "")


@router.post(f"{PAGE}/password")
async def change_password(request: Request, user: Mine, identity: Ours) -> Response:
    """Change the password, which ends all other sessions."""
    given = await form_of(request)
    new = given.get("password", "")
    if given.get("repeated") != new:
        return await _page(request, user, identity, status=422, error="differs", at="password")
    if key := passwords.fault(new, user.name):
        return await _page(request, user, identity, status=422, error=key, at="password")
    if refused := await _check(request, user, identity, given, "password"):
        return refused
    try:
        hashed = await identity.passwords.hash(new)
    except Busy:
        return await _page(request, user, identity, status=503, error="busy", at="password")
    keep = _session(request).hash
    change = partial(accounts.change_password, user=user, hashed=hashed, now_ms=identity.clock(), keep=keep)
    await identity.database.run(change)
    return _done("password")


@router.post(f"{PAGE}/second-factor")
async def begin_second_factor(request: Request, user: Mine, identity: Ours) -> Response:
    """Show a new secret, once the password was given."""
    given = await form_of(request)
    if refused := await _check(request, user, identity, given, "factor"):
        return refused
    if await _read(identity, partial(second_factor.is_enrolled, subject=user.subject)):
        return await _page(request, user, identity, status=409, error="enrolled", at="factor")
    secret = await identity.database.run(partial(second_factor.enrol, subject=user.subject))
    return _show_secret(request, user, secret)


@router.post(f"{PAGE}/second-factor/confirm")
async def confirm_second_factor(request: Request, user: Mine, identity: Ours) -> Response:
    """Check the first code, and show the recovery codes."""
    given, now_ms = await form_of(request), identity.clock()
    pending = await _read(identity, partial(second_factor.secret_of, subject=user.subject))
    if pending is None:
        return RedirectResponse(PAGE, 303)
    key, address = f"code {user.subject}", client_of(request).address
    if identity.throttle.begin(user.subject, address, key):
        return await _page(request, user, identity, status=429, error="throttled", at="factor")

    def confirm(connection: Connection) -> list[str] | None:
        codes = second_factor.confirm(connection, user.subject, given.get("code", ""), now_ms)
        if codes is not None:
            actions.record(connection, user, "second_factor_set", now_ms)
        return codes

    codes = await identity.database.run(confirm)
    if codes is None:
        return _show_secret(request, user, pending, status=422, error="code")
    identity.throttle.succeeded(user.subject, address, key)
    return render(request, "accounts/recovery_codes.html.j2", codes=codes, next=PAGE)


@router.post(f"{PAGE}/second-factor/remove")
async def remove_second_factor(request: Request, user: Mine, identity: Ours) -> Response:
    """Remove the second factor, once password and a code were given."""
    given, now_ms = await form_of(request), identity.clock()
    if identity.second_factor_required:
        return await _page(request, user, identity, status=409, error="required", at="factor")
    if refused := await _check(request, user, identity, given, "factor"):
        return refused

    def remove(connection: Connection) -> bool:
        code = given.get("code", "")
        if not second_factor.take_code(connection, user.subject, code, now_ms) and not (
            second_factor.take_recovery_code(connection, user.subject, code)
        ):
            return False
        second_factor.remove(connection, user.subject)
        actions.record(connection, user, "second_factor_removed", now_ms)
        return True

    if not await _throttled(request, user, identity, partial(identity.database.run, remove)):
        return await _page(request, user, identity, status=422, error="code", at="factor")
    return _done("factor")


@router.post(f"{PAGE}/recovery-codes")
async def make_recovery_codes(request: Request, user: Mine, identity: Ours) -> Response:
    """Show new recovery codes, once the password was given; the earlier ones end."""
    given, now_ms = await form_of(request), identity.clock()
    if refused := await _check(request, user, identity, given, "factor"):
        return refused

    def make(connection: Connection) -> list[str] | None:
        if not second_factor.is_enrolled(connection, user.subject):
            return None
        actions.record(connection, user, "recovery_codes_made", now_ms)
        return second_factor.new_recovery_codes(connection, user.subject)

    codes = await identity.database.run(make)
    if codes is None:
        return RedirectResponse(PAGE, 303)
    return render(request, "accounts/recovery_codes.html.j2", codes=codes, next=PAGE)


@router.post(f"{PAGE}/sessions")
async def end_sessions(request: Request, user: Mine, identity: Ours) -> Response:
    """End one session, or all others."""
    given, mine, now_ms = await form_of(request), _session(request).hash, identity.clock()

    def end(connection: Connection) -> None:
        # By its hash, and only one of one's own.
        own = {each.hash for each in sessions.sessions_of(connection, user.subject, now_ms, identity.life)}
        if given.get("session"):
            ended = int(given["session"] in own and sessions.end(connection, given["session"]))
        else:
            ended = sessions.end_all(connection, user.subject, but=mine)
        if ended:
            actions.record(connection, user, "sessions_ended", now_ms, About(details={"count": str(ended)}))

    await identity.database.run(end)
    return _done("sessions")


@router.post(f"{PAGE}/tokens")
async def make_token(request: Request, user: Mine, identity: Ours) -> Response:
    """Make an API token, and show it once."""
    given, now_ms = await form_of(request), identity.clock()
    name, days = given.get("name", "").strip(), given.get("days", "")
    if not name or not name.isprintable() or days not in map(str, _TOKEN_DAYS):
        return await _page(request, user, identity, status=422, error="token", at="tokens")
    expires_ms = now_ms + int(days) * DAY
    make = partial(api_tokens.make, user=user, name=name, expires_ms=expires_ms, now_ms=now_ms)
    token = await identity.database.run(make)
    if token is None:
        return await _page(request, user, identity, status=409, error="many", at="tokens")
    return await _page(request, user, identity, token=token, at="tokens")


@router.post(f"{PAGE}/tokens/revoke")
async def revoke_token(request: Request, user: Mine, identity: Ours) -> Response:
    """End an API token."""
    given = await form_of(request)
    revoke = partial(api_tokens.revoke, user=user, id_=given.get("token", ""), now_ms=identity.clock())
    await identity.database.run(revoke)
    return _done("tokens")


_DONE: Final = ("password", "factor", "sessions", "tokens")


def _done(what: str) -> Response:
    return RedirectResponse(f"{PAGE}?done={what}", 303)


def _session(request: Request) -> Session:
    session = session_of(request)
    if session is None:
        raise NotSignedIn  # an API token has no account page
    return session


async def _check(request: Request, user: User, identity: Identity, given: dict[str, str], at: str) -> Response | None:
    """None if the form has the user's own password; else the page with what is wrong."""
    if not user.subject.startswith(LOCAL):
        return await _page(request, user, identity, status=409, error="provider", at=at)
    stored = await _read(identity, partial(accounts.password_of, subject=user.subject))

    async def verify() -> bool:
        return await identity.passwords.verify(stored.hash if stored is not None else None, given.get("current", ""))

    try:
        right = await _throttled(request, user, identity, verify)
    except Busy:
        return await _page(request, user, identity, status=503, error="busy", at=at)
    except SignInThrottled:
        return await _page(request, user, identity, status=429, error="throttled", at=at)
    return None if right else await _page(request, user, identity, status=422, error="current", at=at)


async def _throttled(request: Request, user: User, identity: Identity, check: Callable[[], Any]) -> bool:
    """The outcome of a check that a stolen session must not be able to guess at. Raises SignInThrottled."""
    key, address = f"own {user.subject}", client_of(request).address
    if wait_s := identity.throttle.begin(user.subject, address, key):
        raise SignInThrottled(wait_s)
    right = bool(await check())
    if right:
        identity.throttle.succeeded(user.subject, address, key)
    return right


def _show_secret(request: Request, user: User, secret: str, status: int = 200, error: str = "") -> Response:
    qr = second_factor.qr_code(second_factor.address_of(secret, user.name))
    shown = {"secret": secret, "qr": qr, "next": PAGE, "error": error}
    action = f"{PAGE}/second-factor/confirm"
    return render(request, "accounts/second_factor.html.j2", status, action=action, **shown)


async def _page(request: Request, user: User, identity: Identity, status: int = 200, **shown: str) -> Response:
    now_ms, current = identity.clock(), _session(request)

    def read(connection: Connection) -> dict[str, Any]:
        return {
            "sessions": sessions.sessions_of(connection, user.subject, now_ms, identity.life),
            "tokens": api_tokens.tokens_of(connection, user.subject, now_ms),
            "enrolled": second_factor.is_enrolled(connection, user.subject),
            "codes_left": second_factor.recovery_codes_left(connection, user.subject),
        }

    values = {"done": "", "error": "", "at": "", "token": ""} | shown | await _read(identity, read)
    values |= {"is_local": user.subject.startswith(LOCAL), "current": current.hash, "days": _TOKEN_DAYS}
    return render(request, "accounts/account.html.j2", status, required=identity.second_factor_required, **values)


async def _read(identity: Identity, query: Callable[[Connection], Any]) -> Any:
    def run() -> Any:
        with identity.database.reading() as connection:
            return query(connection)

    return await run_in_threadpool(run)
