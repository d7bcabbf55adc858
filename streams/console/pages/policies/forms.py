"""What the pages of policies share: a form of bounded size, and a time as a browser's field gives it."""

from datetime import UTC, datetime
from typing import Annotated, Final
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from fastapi import Depends
from starlette.exceptions import HTTPException
from starlette.requests import Request

from monitor.policy.timeline import next_change_ms
from streams.console.context import ConsoleContext, context_of
from streams.console.identity.permissions import Permission, needs
from streams.console.identity.users import User
from streams.console.policies.check_process import Checks
from streams.console.policies.sending import as_soon_ms

Context = Annotated[ConsoleContext, Depends(context_of)]
PolicyViewer = Annotated[User, Depends(needs(Permission.VIEW_POLICY))]
PolicyEditor = Annotated[User, Depends(needs(Permission.EDIT_POLICY))]
PolicyApprover = Annotated[User, Depends(needs(Permission.APPROVE_POLICY))]

REFUSALS: Final = frozenset(
    {
        "same", "barred", "not_scheduled", "base_changed", "unknown", "no_reason", "long_reason", "no_time", "stale",
        "faulty", "long", "busy", "many", "pending", "decided", "expired", "not_yours", "oneself", "not_permitted",
        "no_kafka", "nothing_to_try", "by_hand", "not_previewed",
    }
)  # fmt: skip
"""The ends of the texts' keys of what can be refused."""

_FORM_BYTES: Final = 1 << 20  # as the middleware takes: a file of `MAX_TEXT_BYTES`, percent-encoded, fits
_MOST_FIELDS: Final = 50


async def policy_form(request: Request) -> dict[str, str]:
    """The fields of a urlencoded form, the last of each name. Raises HTTPException."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > _FORM_BYTES:
            raise HTTPException(413)
        parts.append(part)
    try:
        body = b"".join(parts).decode("ascii", "replace")
        return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise HTTPException(400) from None


def checks_of(request: Request) -> Checks:
    """The checks of the process that handles a request."""
    found: Checks = request.app.state.policy_checks
    return found


def time_of(given: str, zone: str) -> int | None:
    """The time of a field `datetime-local` in the reader's zone, epoch ms; None if it is none."""
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=ZoneInfo(zone))
    if not 1990 <= at.year <= 2099:
        return None
    return int(at.astimezone(UTC).timestamp() * 1000)


def soonest_ms(context: ConsoleContext) -> int:
    """The soonest event time from which a policy that is approved now can apply."""
    return next_change_ms(context.clock() + as_soon_ms(context.settings.max_ahead_ms))


def refused_of(request: Request) -> str:
    """Why the last step was refused, from the address of the page: the end of a text's key, or nothing."""
    key = request.query_params.get("refused", "")
    return key if key in REFUSALS else ""
