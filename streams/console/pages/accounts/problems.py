"""What a refused request is answered: a page for people, JSON for programs."""

from typing import Final
from urllib.parse import quote, urlencode

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from streams.console.identity.middleware import RequestRefused
from streams.console.identity.permissions import NotPermitted, NotSignedIn
from streams.console.pages.render import language_of, render
from streams.console.pages.texts import text

_API: Final = "/v1"
_HTMX: Final = "hx-request"


def install(app: FastAPI) -> None:
    """Answer requests without a session, and without a permission."""

    @app.exception_handler(NotSignedIn)
    async def not_signed_in(request: Request, _: Exception) -> Response:
        if _is_api(request):
            return problem(request, 401, "not_signed_in", {"WWW-Authenticate": "Bearer"})
        if _HTMX in request.headers:
            return problem(request, 401, "not_signed_in")
        query = request.url.query
        back = quote(request.scope["path"]) + (f"?{query}" if query else "")
        return RedirectResponse(f"/sign-in?{urlencode({'next': back})}" if request.method == "GET" else "/sign-in", 303)

    @app.exception_handler(NotPermitted)
    async def not_permitted(request: Request, _: Exception) -> Response:
        return problem(request, 403, "not_permitted")


def refused(request: Request, reason: RequestRefused) -> Response:
    """The answer to a request that the middleware refuses."""
    return problem(request, reason.status, reason.key)


def problem(request: Request, status: int, key: str, headers: dict[str, str] | None = None) -> Response:
    """A page that says what is wrong; under `/v1` RFC 9457 problem details."""
    title, explanation = "problem.title." + key, "problem.text." + key
    if _is_api(request):
        body = {"type": f"urn:callwarden:problem:{key}", "status": status}
        body |= {"title": text("en", title), "detail": text("en", explanation)}
        return JSONResponse(body, status, headers, media_type="application/problem+json")
    language = language_of(request)
    shown = {"title": text(language, title), "explanation": text(language, explanation)}
    response = render(request, "problem.html.j2", status, **shown)
    response.headers.update(headers or {})
    return response


def _is_api(request: Request) -> bool:
    path: str = request.scope["path"]
    return path == _API or path.startswith(f"{_API}/")
