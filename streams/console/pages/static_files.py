"""The files that pages refer to, served under the hash of their content, so that browsers keep them for a year."""

import hashlib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitor.theme import THEME_CSS

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_DAY: Final = {"Cache-Control": "public, max-age=86400", "X-Content-Type-Options": "nosniff"}
_FOREVER: Final = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


class StaticFile(NamedTuple):
    """One file: its bytes, media type and the hash that its path has."""

    body: bytes
    media_type: str
    hash: str


@cache
def static_files() -> dict[str, StaticFile]:
    """Each file by its name, such as ``vendor/htmx.min.js``. All of them together are less than a megabyte."""
    found = {"theme.css": _file("theme.css", THEME_CSS.encode())}
    for name, file in _walk(files("streams.console").joinpath("static"), ""):
        found[name] = _file(name, file.read_bytes())
    return found


def static_url(name: str) -> str:
    """The path of a file, with the hash of its content. Raises KeyError if there is no such file."""
    return f"/static/{static_files()[name].hash}/{name}"


async def serve(request: Request) -> Response:
    """``/static/HASH/NAME``. A hash of another release is not found: its page is of that release, too."""
    file = static_files().get(request.path_params["name"])
    if file is None or file.hash != request.path_params["hash"]:
        return Response("not found\n", 404, media_type="text/plain", headers={"Cache-Control": "no-store"})
    return Response(file.body, media_type=file.media_type, headers=_FOREVER)


async def serve_icon(_: Request) -> Response:
    """``/favicon.ico``, which browsers ask for without reading a page, such as beside an answer in JSON."""
    file = static_files()["mark.svg"]
    return Response(file.body, media_type=file.media_type, headers=_DAY)


def routes() -> list[Route]:
    """The routes of all static files; they need no sign-in, since the sign-in page uses them."""
    return [
        Route("/static/{hash}/{name:path}", serve, methods=["GET", "HEAD"], name="static"),
        Route("/favicon.ico", serve_icon, methods=["GET", "HEAD"]),
    ]


def _file(name: str, body: bytes) -> StaticFile:
    suffix = name[name.rindex(".") :]
    return StaticFile(body, _TYPES[suffix], hashlib.sha256(body).hexdigest()[:16])


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _walk(entry, f"{prefix}{entry.name}/")
        elif any(entry.name.endswith(suffix) for suffix in _TYPES):
            found.append((f"{prefix}{entry.name}", entry))
    return found
