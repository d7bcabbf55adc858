"""Records what people do: each action goes to the topic of actions by the outbox, in the transaction of its effect."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec
from sqlalchemy import Connection

from monitor.text.masking import mask_text
from schemas.actions import Action, ActionName
from streams.console import outbox

TOPIC: Final = "actions"
NOBODY: Final = "nobody"
"""The key of an action that is neither by nor about a user: failed sign-ins under names that nobody has."""
ADDRESS: Final = "address"
"""The detail that has the network address of a sign-in."""
_LONGEST: Final = 4_096
_LONGEST_DETAIL: Final = 1_024


class Actor(Protocol):
    """Who does something: a `User`, or an operator's command."""

    @property
    def subject(self) -> str:
        """The verified subject."""
        ...

    @property
    def roles(self) -> Collection[str]:
        """The roles at this time."""
        ...


@dataclass(frozen=True, slots=True)
class About:
    """What an action is about; each field as in `schemas.actions.Action`."""

    subject: str | None = None
    tenant_id: str | None = None
    enforcement_id: str | None = None
    proposal_id: str | None = None
    reason: str | None = None
    details: dict[str, str] = field(default_factory=dict)


NOTHING: Final = About()


def record(connection: Connection, by: Actor | None, name: ActionName, now_ms: int, about: About = NOTHING) -> str:
    """Record in the caller's transaction that ``by`` did this; returns the action's id.

    Telephone numbers in the reason and the details are masked; ids stay whole.
    """
    ids = [each for each in (about.tenant_id, about.enforcement_id, about.proposal_id) if each is not None]
    action = Action(
        action_id=f"cwc-{uuid.uuid4().hex}",
        action=name,
        actor=by.subject if by is not None else None,
        roles=sorted(by.roles) if by is not None else [],
        at_ms=now_ms,
        subject=about.subject,
        tenant_id=about.tenant_id,
        enforcement_id=about.enforcement_id,
        proposal_id=about.proposal_id,
        reason=mask_text(about.reason, ids)[:_LONGEST] if about.reason is not None else None,
        details={
            # The digits of an address are no telephone number.
            key: (text if key == ADDRESS else mask_text(text, ids))[:_LONGEST_DETAIL]
            for key, text in about.details.items()
        },
    )
    key = action.actor or action.subject or NOBODY
    outbox.add(connection, TOPIC, key.encode("utf-8", "replace"), msgspec.json.encode(action))
    return action.action_id
