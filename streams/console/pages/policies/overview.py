"""The policy page: what holds, what is scheduled, the drafts, and the history."""

from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.responses import Response

from streams.console.pages.policies.forms import Context, PolicyViewer
from streams.console.pages.render import render
from streams.console.policies import drafts, reports

router = APIRouter(include_in_schema=False)


@router.get("/policy")
async def policy_page(request: Request, user: PolicyViewer, context: Context) -> Response:
    """The page."""
    now_ms, policies = context.clock(), context.policies

    def read(connection: Connection) -> dict[str, Any]:
        return {
            "policy": policies.now(connection, now_ms),
            "standing": reports.standing_changes(connection, policies, now_ms),
            "withdrawn": reports.withdrawn_changes(connection),
            "drafts": drafts.newest(connection),
        }

    said = request.query_params.get("said", "")
    return render(request, "policy/overview.html.j2", said=said, **await context.read(read))
