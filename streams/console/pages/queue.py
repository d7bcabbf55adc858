"""The queue: the cases that wait for a person, soonest to lapse first."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import HTMLResponse, Response

from streams.console.identity.permissions import Permission, needs
from streams.console.identity.users import User

router = APIRouter(include_in_schema=False)


@router.get("/queue")
async def queue(user: Annotated[User, Depends(needs(Permission.VIEW_CASES))]) -> Response:
    """The queue's page."""
    return HTMLResponse("<!doctype html><html lang=en><title>Queue</title><p>No case waits.</p></html>")
