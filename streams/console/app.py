"""The console's web application: the routers of all pages, health pages, and what holds for every answer."""

from collections.abc import Sequence
from typing import Final

from fastapi import APIRouter, Depends, FastAPI
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from streams.console.api import routes as api
from streams.console.changes import ChangeWatch
from streams.console.context import ConsoleContext
from streams.console.identity.components import Identity
from streams.console.identity.middleware import IdentityMiddleware
from streams.console.identity.permissions import for_everyone
from streams.console.pages import admissions, case, events, health, quality, queue, search, static_files, tenant
from streams.console.pages.accounts import account, actions, problems, reason_texts, sign_in, users
from streams.console.pages.form_charset import FormCharset
from streams.console.pages.policies import drafts as policy_drafts
from streams.console.pages.policies import exceptions as policy_exceptions
from streams.console.pages.policies import overview as policy_overview
from streams.console.pages.policies import previews as policy_previews
from streams.console.pages.policies import proposals as policy_proposals
from streams.console.pages.policies import versions as policy_versions
from streams.console.policies.check_process import CheckProcess
from streams.console.program_pages import Programs, program_pages

ROUTERS: Final[tuple[APIRouter, ...]] = (
    queue.router,
    case.router,
    tenant.router,
    search.router,
    admissions.router,
    policy_overview.router,
    policy_drafts.router,
    policy_proposals.router,
    policy_versions.router,
    policy_previews.router,
    policy_exceptions.router,
    quality.router,
    health.router,
    events.router,
    sign_in.router,
    account.router,
    users.router,
    actions.router,
    reason_texts.router,
    api.router,
)
"""The routers of the pages, one a module; HTML routes have ``include_in_schema=False``."""


def make(context: ConsoleContext, routes: Sequence[BaseRoute] = (), identity: Identity | None = None) -> FastAPI:
    """The application, with additional ``routes`` such as the health pages.

    Without ``identity`` nobody is signed in, unless a test says so in the scope.
    """
    app = FastAPI(
        title="Callwarden console",
        version="1",
        # The routes of the routers themselves: `include_router` would derive all of them again for each application.
        routes=[*static_files.routes(), *routes, *(route for router in ROUTERS for route in router.routes)],
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # no address has a slash too many or too few, and an id may end in one
    )
    app.state.console = context
    app.state.changes = ChangeWatch(context.database, context.clock, context.telemetry, context.notice)
    app.state.policy_checks = CheckProcess()
    app.state.programs = Programs(program_pages(context.settings.console_programs))
    app.add_middleware(FormCharset, respond=problems.invalid_form)
    if identity is not None:
        app.state.identity = identity
        app.add_middleware(
            IdentityMiddleware,
            database=context.database,
            site=identity.site,
            life=identity.life,
            clock=identity.clock,
            respond=problems.refused,
        )
    problems.install(app)

    @app.get("/", include_in_schema=False, dependencies=[Depends(for_everyone)])
    async def start() -> Response:
        return RedirectResponse("/queue", 303)

    return app
