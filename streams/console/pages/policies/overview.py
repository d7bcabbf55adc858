"""The policy page: what holds, what is scheduled, the drafts, and the history."""

from typing import Any, Final

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.responses import Response

from monitor.policy.built_in import built_in
from streams.console.pages.policies.forms import Context, PolicyViewer, refused_of
from streams.console.pages.render import render
from streams.console.policies import drafts, proposals, reports, requests

router = APIRouter(include_in_schema=False)

_SAID: Final = ("approved", "declined", "taken_back", "discarded")


@router.get("/policy")
async def policy_page(request: Request, user: PolicyViewer, context: Context) -> Response:
    """The page."""
    now_ms, policies = context.clock(), context.policies

    def read(connection: Connection) -> dict[str, Any]:
        policy = policies.now(connection, now_ms)
        return {
            "policy": policy,
            "is_built_in": policy.sha256 == built_in().sha256,
            "standing": reports.standing_changes(connection, policies, now_ms),
            "withdrawn": reports.withdrawn_changes(connection),
            "drafts": drafts.newest(connection),
            "proposed": proposals.pending(connection, now_ms),
            "requested": requests.newest(connection),
        }

    said = request.query_params.get("said", "")
    shown = said if said in _SAID else ""
    return render(
        request,
        "policy/overview.html.j2",
        said=shown,
        refused=refused_of(request),
        has_kafka=context.has_kafka,
        **await context.read(read),
    )
