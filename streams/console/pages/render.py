"""Renders templates: with the reader's language, scheme, zone, user and CSRF token, and everything escaped."""

from collections.abc import Callable
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from jinja2 import Environment, pass_context
from jinja2.runtime import Context
from starlette.requests import Request
from starlette.responses import HTMLResponse

from monitor.report import labels
from monitor.report.views import quantity
from monitor.text.display import DEFAULT
from monitor.theme.templates import environment_of
from streams.console.identity.permissions import Permission, permits, signed_in
from streams.console.identity.users import User
from streams.console.pages import formats
from streams.console.pages.formats import Formats
from streams.console.pages.path_ids import tenant_path
from streams.console.pages.static_files import static_url
from streams.console.pages.texts import Language, preferred, text

NAVIGATION: Final = (
    ("queue", Permission.VIEW_CASES, "q"),
    ("search", Permission.SEARCH, "s"),
    ("admissions", Permission.VIEW_ADMISSIONS, "a"),
    ("policy", Permission.VIEW_POLICY, "p"),
    ("quality", Permission.VIEW_QUALITY, "u"),
    ("health", Permission.VIEW_HEALTH, "h"),
)
"""The pages of the header: path, what it needs, and the key after ``g``."""
THEMES: Final = ("auto", "light", "dark")


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """The page or fragment ``template`` with ``values`` and what `page_context` gives."""
    context = page_context(request) | values
    return HTMLResponse(environment().get_template(template).render(context), status)


def language_of(request: Request) -> Language:
    """The reader's language: the cookie ``lang``, else what the browser asks for."""
    chosen = request.cookies.get("lang")
    if chosen == "zh":
        return "zh"
    return "en" if chosen == "en" else preferred(request.headers.get("accept-language", ""))


def formats_of(request: Request) -> Formats:
    """How the reader of this request sees values."""
    console = getattr(request.app.state, "console", None)
    display = DEFAULT if console is None else console.settings.display
    zone = formats.known_zone(request.cookies.get("zone", ""))
    return Formats(language_of(request), zone, display, formats.now_ms() if console is None else console.clock())


def page_context(request: Request) -> dict[str, Any]:
    """What every template has beside its own values."""
    seen, theme, user = formats_of(request), request.cookies.get("theme", ""), signed_in(request)
    console = getattr(request.app.state, "console", None)
    context: dict[str, Any] = {
        "t": lambda key, /, **values: text(seen.language, key, **values),
        "f": seen,
        "lang": seen.language,
        "theme": theme if theme in THEMES else "auto",
        "zone": seen.zone_label,
        "user": user,
        "may": lambda permission: user is not None and permits(user, Permission(permission)),
        # Not `csrf`: inside the macros that name is the macro itself.
        "csrf_token": request.scope.get("callwarden.csrf", ""),
        "path": request.url.path,
        "notice": None if console is None else console.notice(),
        "link": _links(request),
        "now_ms": seen.now_ms,
        "label": seen.label,
        "waiting_for_me": _waiting_for(user, request),
    }
    context["m"] = environment().get_template("macros.html.j2").make_module(context)
    return context


def _waiting_for(user: User | None, request: Request) -> dict[str, int]:
    """By page of the header, how many proposals of others wait for this user there."""
    changes = getattr(request.app.state, "changes", None)
    if user is None or changes is None or not permits(user, Permission.APPROVE_POLICY):
        return {}
    return {"policy": sum(proposer != user.subject for proposer in changes.policy_proposers)}


@cache
def environment() -> Environment:
    """The templates of the console."""
    made = environment_of("streams.console")
    made.globals.update(L=labels, static=static_url, NAVIGATION=NAVIGATION)
    made.filters.update(
        seg=formats.seg, masked=formats.masked, count=formats.count, utc=formats.utc, tenant_path=tenant_path
    )
    made.filters.update(quantity=lambda value, metric: quantity(metric, value))
    for name in ("local", "span", "shown", "safe_text"):
        made.filters[name] = _of_reader(name)
    return made


def _of_reader(name: str) -> Callable[..., str]:
    """A filter that depends on the reader: a method of `Formats`."""

    @pass_context
    def filter_of_reader(context: Context, value: Any, *given: Any, **named: Any) -> str:
        shown: str = getattr(context["f"], name)(value, *given, **named)
        return shown

    return filter_of_reader


def _links(request: Request) -> Callable[..., str]:
    """A function that gives this page's address with some of its parameters changed; None takes one away."""

    def link(**changes: object) -> str:
        kept = [pair for pair in parse_qsl(request.url.query) if pair[0] not in changes]
        kept += [(name, str(value)) for name, value in changes.items() if value not in (None, "")]
        return f"{raw_path(request)}?{urlencode(kept)}"

    return link


def raw_path(request: Request) -> str:
    """The path as it was asked for: decoded it may be another one, since ids hold any character."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    return raw.decode("ascii", "replace")
