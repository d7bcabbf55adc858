"""What a request that fails is answered: a page for people, problem details for programs."""

from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlencode

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response

from monitor.text.display import RECORDS
from streams.console.identity.middleware import RequestRefused
from streams.console.identity.permissions import NotPermitted, NotSignedIn
from streams.console.pages.render import language_of, raw_path, render
from streams.console.pages.texts import text
from streams.kafka.api import TransientError
from streams.runtime.http_problem import PROBLEM_TYPE, problem_details

log = structlog.get_logger("callwarden")

_RETRY_AFTER_S: Final = "2"
_API: Final = "/v1"
_HTMX: Final = "hx-request"
_KEY_OF: Final = {
    400: "invalid", 403: "not_permitted", 404: "not_found", 405: "method", 409: "conflict", 413: "large",
    422: "invalid", 503: "unavailable",
}  # fmt: skip
_FAULT: Final = "fault"
_MOST_FAULTS: Final = 5
_PATH: Final = "%/:@!$&'()*+,;=~"
_UNSTORABLE: Final = frozenset({None, "22021"})
"""The SQLSTATE of a text that PostgreSQL cannot hold, since it is not of the encoding. None: the driver refused it, as
it does U+0000."""


def install(app: FastAPI) -> None:
    """Answer every request that fails."""

    async def not_signed_in(request: Request, _: Any) -> Response:
        if _is_api(request):
            return problem(request, 401, "not_signed_in", {"WWW-Authenticate": "Bearer"})
        if _HTMX in request.headers:
            return problem(request, 401, "not_signed_in")
        query = request.url.query
        back = quote(raw_path(request), safe=_PATH) + (f"?{query}" if query else "")
        return RedirectResponse(f"/sign-in?{urlencode({'next': back})}" if request.method == "GET" else "/sign-in", 303)

    async def not_permitted(request: Request, _: Any) -> Response:
        return problem(request, 403, "not_permitted")

    async def refused_by_route(request: Request, error: Any) -> Response:
        status, detail = error.status_code, error.detail
        detail = None if detail == HTTPStatus(status).phrase else detail
        return problem(request, status, _KEY_OF.get(status, "invalid"), error.headers, detail)

    async def invalid(request: Request, error: Any) -> Response:
        return problem(request, 422, _KEY_OF[422], detail=_faults(error.errors()))

    async def unstorable(request: Request, error: Any) -> Response:
        if getattr(error.orig, "sqlstate", None) not in _UNSTORABLE:
            raise error
        log.warning("a request has a value that the database cannot hold", path=_route_of(request))
        return problem(request, 422, _KEY_OF[422])

    async def unavailable(request: Request, error: Any) -> Response:
        log.warning("a request is answered with 503", path=_route_of(request), why=str(error))
        return problem(request, 503, _KEY_OF[503], {"Retry-After": _RETRY_AFTER_S})

    async def unforeseen(request: Request, _: Any) -> Response:
        return problem(request, 500, _FAULT)  # the server logs the error, which is raised again behind this answer

    app.add_exception_handler(NotSignedIn, not_signed_in)
    app.add_exception_handler(NotPermitted, not_permitted)
    app.add_exception_handler(HTTPException, refused_by_route)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(DataError, unstorable)
    app.add_exception_handler(TransientError, unavailable)
    app.add_exception_handler(Exception, unforeseen)


def refused(request: Request, reason: RequestRefused) -> Response:
    """The answer to a request that the middleware refuses."""
    return problem(request, reason.status, reason.key)


def invalid_form(request: Request) -> Response:
    """The answer to a form that no route can read."""
    return problem(request, 422, _KEY_OF[422])


def problem(
    request: Request, status: int, key: str, headers: dict[str, str] | None = None, detail: str | None = None
) -> Response:
    """A page that says what is wrong; under `/v1` RFC 9457 problem details. ``detail``: more than the key's text."""
    title, explanation = "problem.title." + key, "problem.text." + key
    if _is_api(request):
        body = problem_details(key.replace("_", "-"), status, text("en", title), detail or text("en", explanation))
        return JSONResponse(body, status, headers, media_type=PROBLEM_TYPE)
    language = language_of(request)
    shown = {"title": text(language, title), "explanation": text(language, explanation)}
    response = render(request, "problem.html.j2", status, **shown)
    response.headers.update(headers or {})
    return response


def _is_api(request: Request) -> bool:
    path: str = request.scope["path"]
    return path == _API or path.startswith(f"{_API}/")


def _faults(errors: list[Any]) -> str:
    """The parameters that are not valid, and why, without their values: these may be telephone numbers."""
    faults = [f"{RECORDS.text(str(each['loc'][-1]), limit=100)}: {each['msg']}" for each in errors[:_MOST_FAULTS]]
    return "; ".join(faults) + ("; ..." if len(errors) > _MOST_FAULTS else "")


def _route_of(request: Request) -> str:
    """The route's path, without ids."""
    return getattr(request.scope.get("route"), "path", "")
