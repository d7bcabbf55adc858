"""Each role on each route: what is expected stands here, written by hand, not taken from the code under test."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import Mount, Route

from helpers.console_policies import ThreadChecks
from streams.console.app import ROUTERS, make
from streams.console.context import ConsoleContext
from streams.console.identity.components import Identity
from streams.console.identity.passwords import PasswordChecks
from streams.console.identity.permissions import Needs, for_everyone
from streams.console.identity.users import Role, User
from streams.console.telemetry import ConsoleMetrics
from streams.consumers.database import Database
from streams.consumers.follower import FollowerProgress
from streams.consumers.service import pages
from streams.settings.load import load

# v viewer, r reviewer, p policy owner, a auditor, d admin; `all` five; `anybody` without a session, too.
TABLE = """
GET  /                                         anybody
GET  /sign-in                                  anybody
POST /sign-in                                  anybody
GET  /sign-in/code                             anybody
POST /sign-in/code                             anybody
GET  /sign-in/password                         anybody
POST /sign-in/password                         anybody
GET  /sign-in/second-factor                    anybody
POST /sign-in/second-factor                    anybody
GET  /sign-in/provider                         anybody
GET  /sign-in/provider/callback                anybody
POST /sign-out                                 anybody
GET  /notice                                   all
GET  /queue                                    all
GET  /queue/counts                             all
GET  /queue/next                               all
POST /queue/claim                              r
POST /queue/assign                             r
POST /queue/postpone                           r
POST /queue/preview                            r
POST /queue/verdict                            r
GET  /cases/{case_id}                          all
POST /cases/{case_id}/claim                    r
POST /cases/{case_id}/release                  r
POST /cases/{case_id}/postpone                 r
POST /cases/{case_id}/assign                   r
POST /cases/{case_id}/notes                    r
POST /cases/{case_id}/verdict                  r
POST /cases/{case_id}/verdicts/{number}/cancel r
POST /cases/{case_id}/verdicts/{number}/approve r
POST /cases/{case_id}/verdicts/{number}/decline r
POST /cases/{case_id}/export                   ra
GET  /tenants/{rest:path}                      all
GET  /search                                   all
GET  /admissions                               all
GET  /policy                                   all
POST /policy/drafts                            p
GET  /policy/drafts/{draft_id}                 all
POST /policy/drafts/{draft_id}                 p
POST /policy/drafts/{draft_id}/discard         p
POST /policy/drafts/{draft_id}/shadow          p
GET  /policy/drafts/{draft_id}/check           all
POST /policy/check                             p
POST /policy/drafts/{draft_id}/propose         p
POST /policy/withdraw                          p
GET  /policy/proposals/{proposal_id}           all
POST /policy/proposals/{proposal_id}/approve   p
POST /policy/proposals/{proposal_id}/decline   p
POST /policy/proposals/{proposal_id}/withdraw  p
GET  /policy/versions/{sha256}                 all
GET  /quality                                  rpad
POST /quality/second-looks                     ra
GET  /health                                   all
GET  /health/cluster                           all
GET  /health/programs                          all
POST /health/dead-letters/{letter_id}/retry    d
GET  /policy/exceptions                        all
GET  /policy/exceptions/edit                   p
POST /policy/exceptions/edit                   p
GET  /policy/previews                          all
POST /policy/previews                          p
GET  /policy/previews/{preview_id}             all
GET  /policy/previews/{preview_id}/progress    all
POST /policy/previews/{preview_id}/cancel      p
POST /policy/previews/{preview_id}/export      p
GET  /policy/drafts/{draft_id}/preview         all
GET  /events                                   all
GET  /settings/account                         all
POST /settings/account/password                all
POST /settings/account/second-factor           all
POST /settings/account/second-factor/confirm   all
POST /settings/account/second-factor/remove    all
POST /settings/account/recovery-codes          all
POST /settings/account/sessions                all
POST /settings/account/tokens                  all
POST /settings/account/tokens/revoke           all
GET  /admin/users                              d
POST /admin/users                              d
POST /admin/users/change                       d
GET  /admin/reasons                            d
POST /admin/reasons                            d
POST /admin/reasons/{number}                   d
GET  /admin/actions                            ad
POST /admin/actions/export                     a
GET  /v1/tenants                               all
GET  /v1/tenants/{tenant_id:path}              all
GET  /v1/cases                                 all
GET  /v1/cases/{case_id}                       all
GET  /v1/decisions                             all
GET  /v1/measures                              all
GET  /v1/openapi.json                          all
"""
LETTERS = {"v": Role.VIEWER, "r": Role.REVIEWER, "p": Role.POLICY_OWNER, "a": Role.AUDITOR, "d": Role.ADMIN}
MACHINES = {"/healthz", "/readyz", "/metrics"}
ROWS = [line.split() for line in TABLE.strip().splitlines()]


@pytest.fixture
async def app(database: Database, passwords: PasswordChecks) -> Any:
    settings = load({})
    identity = Identity(settings, database, lambda: 0, passwords)
    await identity.prepare()
    telemetry = ConsoleMetrics()
    context = ConsoleContext(settings, database, telemetry, lambda: FollowerProgress(None, {}), lambda: 0)
    made = make(context, pages(telemetry.registry, lambda: None))
    made.state.policy_checks = ThreadChecks()
    made.state.identity = identity  # without its middleware: the test says who is signed in
    return made


def _declared(dependant: Dependant) -> list[object]:
    found = [dependant.call] if isinstance(dependant.call, Needs) or dependant.call is for_everyone else []
    return [*found, *(each for below in dependant.dependencies for each in _declared(below))]


def test_the_table_has_each_route_and_no_other(app: Any) -> None:
    there = {(method, route.path) for route in app.routes if isinstance(route, APIRoute) for method in route.methods}
    there |= {(method, route.path) for router in ROUTERS for route in router.routes for method in route.methods}  # type: ignore[attr-defined]
    assert sorted(there) == sorted((method, path) for method, path, _ in ROWS)
    others = [route for route in app.routes if not isinstance(route, APIRoute) and hasattr(route, "path")]
    bare = {route.path for route in others if isinstance(route, Route)}
    assert {path for path in bare if not path.startswith("/static/")} == MACHINES | {"/favicon.ico"}
    assert not [route for route in others if isinstance(route, Mount)]


def test_each_route_declares_one_permission(app: Any) -> None:
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    assert len(routes) > 50
    wrong = [(route.path, _declared(route.dependant)) for route in routes if len(_declared(route.dependant)) != 1]
    assert wrong == []


@pytest.mark.parametrize("role", [*Role, None], ids=str)
async def test_each_role_gets_what_the_table_says(app: Any, role: Role | None) -> None:
    user = User("local:li", "li", frozenset({role})) if role else None
    begun: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def call(scope: Any, receive: Any, send: Any) -> None:
        async def sends(message: Any) -> None:
            if scope["path"] == "/events" and message["type"] == "http.response.start":
                begun.set_result(message["status"])
            await send(message)

        await app({**scope, "callwarden.user": user}, receive, sends)

    wrong = []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=call), base_url="http://127.0.0.1") as browser:
        for method, path, who in ROWS:
            anybody = who == "anybody"
            may = anybody or (role is not None and (who == "all" or role in {LETTERS[letter] for letter in who}))
            status = await _status(browser, method, path, begun)
            if may:
                # The sign-in itself says 401 to an empty form.
                right = status not in (401, 403) or (method, path, status) == ("POST", "/sign-in", 401)
            else:
                # Without a session to the sign-in, or 401 of the API.
                right = status == (403 if role else 401 if path.startswith("/v1") else 303)
            if not right or status >= 500:
                wrong.append((method, path, status, "may" if may else "may not"))
    assert wrong == []


async def _status(browser: httpx.AsyncClient, method: str, path: str, begun: asyncio.Future[int]) -> int:
    for name in ("{case_id}", "{rest:path}", "{tenant_id:path}"):
        path = path.replace(name, "nothing")
    asked = browser.request(method, path.replace("{number}", "1"))
    if path != "/events":
        return (await asked).status_code
    stream = asyncio.create_task(asked)  # it lasts as long as the page is open
    await asyncio.wait([stream, begun], return_when=asyncio.FIRST_COMPLETED)
    stream.cancel()
    await asyncio.wait([stream])
    return begun.result()
