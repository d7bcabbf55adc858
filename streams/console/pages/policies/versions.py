"""One version of the policy: its file, and what differs from another version."""

from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from monitor.policy.diff import changes
from streams.console.pages.policies.forms import Context, PolicyViewer
from streams.console.pages.render import render
from streams.console.policies import reports

router = APIRouter(include_in_schema=False)


@router.get("/policy/versions/{sha256}")
async def version_page(sha256: str, request: Request, user: PolicyViewer, context: Context) -> Response:
    """The page; ``against`` is the hash of the version to compare with, else the one that holds."""
    now_ms, policies = context.clock(), context.policies
    wanted = request.query_params.get("against", "")

    def read(connection: Connection) -> dict[str, Any] | None:
        policy, held = policies.of(connection, sha256), policies.now(connection, now_ms)
        other = policies.of(connection, wanted) if wanted else held
        if policy is None:
            return None
        names = reports.policy_names(connection)
        return {
            "policy": policy,
            "text": policies.text_of(connection, policy),
            "other": other,
            "changes": [] if other is None else changes(other, policy),
            "versions": [name for name in names.values() if name.sha256 != sha256],
            "standing": [
                one for one in reports.standing_changes(connection, policies, now_ms) if one.policy.sha256 == sha256
            ],
            "holds": held.sha256 == sha256,
        }

    found = await context.read(read)
    if found is None:
        raise HTTPException(404)
    return render(request, "policy/version.html.j2", **found)
