"""What the pages of identity share: the process's identity, a form's fields, and cookies."""

from typing import Annotated, Final

from fastapi import Depends, Request
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

from streams.console.identity.components import Identity, WaysIn
from streams.console.identity.middleware import session_of
from streams.console.identity.permissions import NotSignedIn
from streams.console.identity.sessions import Session, Stage
from streams.console.identity.sign_in import Started

_MOST_FIELDS: Final = 50
_LONGEST_FIELD: Final = 4_096
_DEVICE_S: Final = 180 * 86_400
_PAGE_OF: Final = {
    Stage.CODE: "/sign-in/code",
    Stage.PASSWORD: "/sign-in/password",
    Stage.ENROL: "/sign-in/second-factor",
}


def identity_of(request: Request) -> Identity:
    """The identity of the process that handles a request; a FastAPI dependency."""
    identity: Identity = request.app.state.identity
    return identity


def ways_in(identity: Annotated[Identity, Depends(identity_of)]) -> WaysIn:
    """The ways to sign in; a FastAPI dependency. Raises TransientError until the database was reached."""
    return identity.ways


async def form_of(request: Request) -> dict[str, str]:
    """The text fields of a form, the last of each name; a longer one is cut."""
    async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
        return {name: value[:_LONGEST_FIELD] for name, value in form.multi_items() if not isinstance(value, UploadFile)}


def stage_session(request: Request, *stages: Stage) -> Session:
    """The request's session, if it is at one of these stages. Raises NotSignedIn."""
    session = session_of(request)
    if session is None or session.stage not in stages:
        raise NotSignedIn
    return session


def signed_in_response(identity: Identity, started: Started, to: str) -> Response:
    """Gives the browser its new token and redirects it to the next step, or to ``to``."""
    from urllib.parse import urlencode

    page = _PAGE_OF.get(started.stage)
    response = RedirectResponse(f"{page}?{urlencode({'next': to})}" if page else to, 303)
    site = identity.site
    site.set_cookie(response, site.session_cookie, started.token)
    if started.mark is not None:
        site.set_cookie(response, site.device_cookie, started.mark, _DEVICE_S)
    if started.stage is Stage.FULL:
        site.delete_cookie(response, site.form_cookie)
    return response
