"""Odd values in the path, the query and the form of each route of the console."""

import re
from typing import Final
from urllib.parse import quote

import httpx
from fastapi.routing import APIRoute

from helpers.harmless_page import FIELDS
from streams.console.app import ROUTERS

ODD: Final = ("\0", "9" * 30, f"{'9' * 30}.YQ", "\ud800\u202e", "x" * 1_000)
QUERIES: Final = (
    "after",
    "view",
    "done",
    "q",
    "from",
    "to",
    "days",
    "id",
    "next",
    "against",
    "kind",
    "at",
    "actor",
    "once",
)
ALSO: Final = ("status", "tier", "rule", "action")
"""These are refused or empty the page, so that the others are not looked at: tried apart."""


def routes(method: str) -> set[str]:
    """The paths of the routes with that method."""
    found = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    return {route.path for route in found if method in (route.methods or ())}


async def errors_by(value: str, browser: httpx.AsyncClient) -> list[str]:
    """The routes that answer this value with an error of the server."""
    written = quote(value.replace("/", ""), safe="", errors="replace")
    wrong = []
    for method in ("GET", "POST"):
        for route in sorted(routes(method) - {"/events"}):
            path = re.sub(r"\{[^}]*\}", written, route)
            if method == "GET":
                asked = [QUERIES, *((name,) for name in ALSO)]
                answers = [await browser.get(f"{path}?{'&'.join(f'{name}={written}' for name in of)}") for of in asked]
            else:
                body = "&".join(f"{name}={written}" for name in FIELDS)
                headers = {"content-type": "application/x-www-form-urlencoded"}
                answers = [await browser.post(path, content=body, headers=headers)]
            wrong += [f"{method} {path[:80]}: {one.status_code}" for one in answers if one.status_code >= 500]
    return wrong
