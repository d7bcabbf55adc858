"""Signing in and out: the form, the second step, the first password, and the way to the provider and back."""

from functools import partial
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from streams.console import actions
from streams.console.identity import accounts, second_factor, sessions
from streams.console.identity.components import Identity, WaysIn
from streams.console.identity.links import sign_in_links
from streams.console.identity.middleware import client_of, session_of
from streams.console.identity.oidc.errors import NoRole, ProviderAway, SignInRejected
from streams.console.identity.oidc.sign_in import WITHIN_S, start_session
from streams.console.identity.passwords import Busy
from streams.console.identity.permissions import for_everyone, signed_in
from streams.console.identity.sessions import Session, Stage
from streams.console.identity.sign_in import PasswordRefused, SignInFailed, SignInThrottled, Started
from streams.console.identity.site import safe_next
from streams.console.identity.throttle import whole_seconds
from streams.console.pages.accounts.forms import form_of, identity_of, signed_in_response, stage_session, ways_in
from streams.console.pages.render import render

log = structlog.get_logger("callwarden")

router = APIRouter(include_in_schema=False, dependencies=[Depends(for_everyone)])

Ours = Annotated[Identity, Depends(identity_of)]
Ways = Annotated[WaysIn, Depends(ways_in)]
_PROVIDER = "provider"
"""The account under which failed answers of the provider are counted; no local account has that subject."""


@router.get("/sign-in")
async def form(request: Request, identity: Ours, ways: Ways, next: str = "", once: str = "") -> Response:
    """The form. A link that signs in once does, and a user who is signed in already is redirected to the next page."""
    client, error = client_of(request), ""
    if once and identity.links is not None:
        user = identity.links.take(once, client)
        if user is not None:
            start = partial(sign_in_links.start_session, user=user, client=client, life=identity.life)
            started = await identity.database.run(partial(start, now_ms=identity.clock()))
            if started is not None:
                await _end_earlier(request, identity)
                return signed_in_response(identity, started, safe_next(next))
        error = "link_used"
    if signed_in(request) is not None:
        return RedirectResponse(safe_next(next), 303)
    return _form(request, ways, next, error=error)


@router.post("/sign-in")
async def sign_in(request: Request, identity: Ours, ways: Ways) -> Response:
    """Check name and password."""
    given = await form_of(request)
    to = given.get("next", "")
    if ways.local is None:
        return _form(request, ways, to, status=403, error="local_off")
    mark = request.cookies.get(identity.site.device_cookie, "")
    try:
        started = await ways.local.with_password(
            given.get("name", ""), given.get("password", ""), client_of(request), mark
        )
    except (SignInFailed, SignInThrottled, Busy) as error:
        return _again(error, partial(_form, request, ways, to, name=given.get("name", "")))
    await _end_earlier(request, identity)
    return signed_in_response(identity, started, safe_next(to))


@router.get("/sign-in/code")
async def code_form(request: Request, next: str = "") -> Response:
    """The form for the code of the second factor."""
    stage_session(request, Stage.CODE)
    return render(request, "accounts/code.html.j2", next=safe_next(next), error="", wait="")


@router.post("/sign-in/code")
async def code(request: Request, identity: Ours, ways: Ways) -> Response:
    """Check the code."""
    session, given = stage_session(request, Stage.CODE), await form_of(request)
    to = safe_next(given.get("next", ""))
    if ways.local is None:
        return RedirectResponse("/sign-in", 303)
    try:
        started = await ways.local.with_code(session, given.get("code", ""), client_of(request))
    except (SignInFailed, SignInThrottled) as error:
        return _again(error, partial(render, request, "accounts/code.html.j2", next=to))
    return signed_in_response(identity, started, to)


@router.get("/sign-in/password")
async def password_form(request: Request, next: str = "") -> Response:
    """The form that replaces an initial password."""
    session = stage_session(request, Stage.PASSWORD)
    name = session.user.name
    return render(request, "accounts/password.html.j2", next=safe_next(next), name=name, error="", wait="")


@router.post("/sign-in/password")
async def password(request: Request, identity: Ours, ways: Ways) -> Response:
    """Replace the initial password."""
    session, given = stage_session(request, Stage.PASSWORD), await form_of(request)
    to = safe_next(given.get("next", ""))
    again = partial(render, request, "accounts/password.html.j2", next=to, name=session.user.name)
    if ways.local is None:
        return RedirectResponse("/sign-in", 303)
    if given.get("password") != given.get("repeated"):
        return again(status=422, error="differs", wait="")
    try:
        started = await ways.local.with_new_password(session, given.get("password", ""), client_of(request))
    except PasswordRefused as refused:
        return again(status=422, error=refused.key, wait="")
    except SignInFailed:
        return RedirectResponse("/sign-in", 303)
    except Busy as error:
        return _again(error, again)
    return signed_in_response(identity, started, to)


@router.get("/sign-in/second-factor")
async def enrol_form(request: Request, identity: Ours, next: str = "") -> Response:
    """Set up the second factor that this console requires."""
    session = stage_session(request, Stage.ENROL)
    return await _enrol_form(request, identity, session, safe_next(next))


@router.post("/sign-in/second-factor")
async def enrol(request: Request, identity: Ours, ways: Ways) -> Response:
    """Check its first code, show the recovery codes, and sign the user in."""
    session, given = stage_session(request, Stage.ENROL), await form_of(request)
    to = safe_next(given.get("next", ""))
    local = ways.local
    if local is None:
        return RedirectResponse("/sign-in", 303)
    subject, client, now_ms = session.user.subject, client_of(request), identity.clock()
    if wait_s := identity.throttle.begin(subject, client.address, f"code {subject}"):
        return _again(SignInThrottled(wait_s), lambda **shown: RedirectResponse("/sign-in", 303))

    def confirm(connection: Connection) -> tuple[list[str], Started] | None:
        codes = second_factor.confirm(connection, subject, given.get("code", ""), now_ms)
        if codes is None:
            return None
        actions.record(connection, session.user, "second_factor_set", now_ms)
        return codes, local.finish_enrolment(connection, session, client, now_ms)

    try:
        done = await identity.database.run(confirm)
    except SignInFailed:
        return RedirectResponse("/sign-in", 303)
    if done is None:
        return await _enrol_form(request, identity, session, to, status=422, error="code")
    identity.throttle.succeeded(subject, client.address, f"code {subject}")
    codes, started = done
    response = render(request, "accounts/recovery_codes.html.j2", codes=codes, next=to)
    moved = signed_in_response(identity, started, to)
    response.raw_headers.extend(each for each in moved.raw_headers if each[0] == b"set-cookie")
    return response


@router.get("/sign-in/provider")
async def to_provider(request: Request, identity: Ours, ways: Ways, next: str = "") -> Response:
    """Send the browser to the provider."""
    if ways.provider is None:
        return _form(request, ways, next, status=404, error="provider_off")
    try:
        redirect = await ways.provider.begin(safe_next(next))
    except ProviderAway as error:
        log.warning("the provider cannot be asked", why=str(error))
        return _form(request, ways, next, status=503, error="provider_away")
    response = RedirectResponse(redirect.url, 303)
    identity.site.set_cookie(response, identity.site.provider_cookie, redirect.cookie, WITHIN_S)
    return response


@router.get("/sign-in/provider/callback")
async def from_provider(request: Request, identity: Ours, ways: Ways) -> Response:
    """Take back what the provider says."""
    if ways.provider is None:
        return _form(request, ways, "", status=404, error="provider_off")
    client, cookie = client_of(request), request.cookies.get(identity.site.provider_cookie, "")

    def attempt() -> None:
        if wait_s := identity.throttle.begin(_PROVIDER, client.address, None):
            raise SignInThrottled(wait_s)

    error, status = "", 403
    try:
        verified = await ways.provider.finish(dict(request.query_params), cookie, attempt)
        start = partial(start_session, verified=verified, client=client, now_ms=identity.clock(), life=identity.life)
        started = await identity.database.run(partial(start, devices=ways.devices))
    except SignInThrottled as throttled:
        return _again(throttled, partial(_form, request, ways, ""))
    except NoRole as refused:
        log.warning("a user of the provider has no role", why=str(refused))
        identity.throttle.succeeded(_PROVIDER, client.address, None)
        end = partial(accounts.given_no_role, subject=refused.subject, now_ms=identity.clock())
        known = await identity.database.run(end)
        await identity.failures.add(refused.subject if known else None, client.address)
        error = "no_role"
    except ProviderAway as refused:
        log.warning("the provider cannot be asked", why=str(refused))
        identity.throttle.succeeded(_PROVIDER, client.address, None)
        error, status = "provider_away", 503
    except (SignInRejected, SignInFailed) as refused:
        log.warning("a sign-in with the provider was refused", why=str(refused) or "the user is disabled")
        await identity.failures.add(None, client.address)
        error = "provider_refused"
    if error:
        response = _form(request, ways, "", status=status, error=error)
        identity.site.delete_cookie(response, identity.site.provider_cookie)
        return response
    identity.throttle.succeeded(_PROVIDER, client.address, None)
    await _end_earlier(request, identity)
    response = signed_in_response(identity, started, verified.next)
    identity.site.delete_cookie(response, identity.site.provider_cookie)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, identity: Ours) -> Response:
    """End the session."""
    session = session_of(request)
    if session is not None:
        await identity.database.run(partial(_sign_out, session=session, now_ms=identity.clock()))
    response = RedirectResponse("/sign-in", 303)
    identity.site.delete_cookie(response, identity.site.session_cookie)
    return response


def _sign_out(connection: Connection, session: Session, now_ms: int) -> None:
    if sessions.end(connection, session.hash) and session.stage is Stage.FULL:
        actions.record(connection, session.user, "signed_out", now_ms)


async def _end_earlier(request: Request, identity: Identity) -> None:
    """End the session that this browser had: a token set before the sign-in (session fixation) is worth nothing."""
    if (earlier := session_of(request)) is not None:
        await identity.database.run(partial(_sign_out, session=earlier, now_ms=identity.clock()))


async def _enrol_form(
    request: Request, identity: Identity, session: Session, to: str, status: int = 200, error: str = ""
) -> Response:
    def secret(connection: Connection) -> str:
        subject = session.user.subject
        return second_factor.secret_of(connection, subject) or second_factor.enrol(connection, subject)

    found = await identity.database.run(secret)
    qr = second_factor.qr_code(second_factor.address_of(found, session.user.name))
    shown = {"secret": found, "qr": qr, "next": to, "error": error}
    return render(request, "accounts/second_factor.html.j2", status, action="/sign-in/second-factor", **shown)


def _form(
    request: Request,
    ways: WaysIn,
    to: str,
    *,
    status: int = 200,
    error: str = "",
    wait: str = "",
    name: str = "",
) -> Response:
    shown: dict[str, Any] = {"next": safe_next(to), "error": error, "wait": wait, "name": name[:64]}
    shown |= {"local": ways.local is not None, "provider": ways.provider is not None}
    shown["links"] = identity_of(request).links is not None
    return render(request, "accounts/sign_in.html.j2", status, **shown)


def _again(error: Exception, again: Any) -> Response:
    """The form once more, with why."""
    response: Response
    if isinstance(error, SignInThrottled):
        wait = whole_seconds(error.wait_s)
        response = again(status=429, error="throttled", wait=str(wait))
        response.headers["retry-after"] = str(wait)
    elif isinstance(error, Busy):
        response = again(status=503, error="busy", wait="")
        response.headers["retry-after"] = "2"
    else:
        response = again(status=401, error="failed", wait="")
    return response
