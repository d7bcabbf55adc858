"""Applications for numbers that wait for a person, with the catalogue's rows beside their text."""

from functools import lru_cache
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from monitor.policy.catalogue import Catalogue
from monitor.policy.model import Policy
from streams.console.context import ConsoleContext, context_of
from streams.console.identity.permissions import Permission, needs
from streams.console.identity.users import User
from streams.console.pages.render import render
from streams.console.queries.admissions import WaitingApplication, waiting_applications
from streams.console.queries.cursors import InvalidCursor

router = APIRouter(include_in_schema=False)


@router.get("/admissions")
async def admissions(
    request: Request,
    user: Annotated[User, Depends(needs(Permission.VIEW_ADMISSIONS))],
    context: Annotated[ConsoleContext, Depends(context_of)],
) -> Response:
    """The queue of applications."""
    now_ms, after = context.clock(), request.query_params.get("after")

    def read(connection: Connection) -> tuple[list[WaitingApplication], str | None]:
        catalogue = _catalogue(_Shared(context.policies.now(connection, now_ms)))
        return waiting_applications(connection, catalogue, after, limit=20)

    try:
        waiting, following = await context.read(read)
    except InvalidCursor:
        raise HTTPException(400, "the cursor is not valid") from None
    return render(request, "admissions.html.j2", waiting=waiting, following=following, first=after is None)


class _Shared:
    """A policy as a key: equal by its hash, since comparing policies compares thousands of terms."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shared) and other.policy.sha256 == self.policy.sha256

    def __hash__(self) -> int:
        return hash(self.policy.sha256)


@lru_cache(maxsize=2)
def _catalogue(shared: _Shared) -> Catalogue:
    return Catalogue(shared.policy.catalogue)
