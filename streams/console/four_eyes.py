"""Four eyes: bans and policy changes are proposed by one person, and take effect by the approval of another."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, Row, select, update

from monitor.text.durations import DAY
from schemas.actions import ActionName
from streams.console import actions
from streams.console.actions import About
from streams.console.identity.permissions import Permission, permits
from streams.console.identity.tables import PROPOSALS
from streams.console.identity.users import User
from streams.consumers.sql_common import inserted

LASTS_MS: Final = 7 * DAY
_MOST: Final = 200


class ProposalKind(StrEnum):
    """What needs a second person."""

    BAN = "ban"
    POLICY = "policy"


APPROVED_WITH: Final = {ProposalKind.BAN: Permission.APPROVE_BANS, ProposalKind.POLICY: Permission.APPROVE_POLICY}
PROPOSED_WITH: Final = {ProposalKind.BAN: Permission.DECIDE_CASES, ProposalKind.POLICY: Permission.EDIT_POLICY}


class ProposalState(StrEnum):
    """Where a proposal stands. All but the first are final."""

    PENDING = "pending"
    APPROVED = "approved"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class ProposalStep(StrEnum):
    """What a person does with a pending proposal."""

    APPROVE = "approve"
    DECLINE = "decline"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one person proposes. ``content`` is the proposer's, kept as it was: what is approved is what was shown."""

    id: str
    kind: ProposalKind
    about: str
    content: str
    reason: str
    proposed_by: str
    proposed_ms: int
    expires_ms: int
    state: ProposalState
    decided_by: str | None
    decided_ms: int | None
    decided_reason: str | None


class ProposalRefused(Exception):
    """A step that is not allowed; ``key`` is the end of its text's key."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def refusal(proposal: Proposal, by: User, step: ProposalStep, now_ms: int) -> str | None:
    """The rule: why ``by`` may not do this with the proposal, as the end of a text's key; None if it is allowed.

    Who proposes never approves, whatever the roles. Only who proposes withdraws. Nothing is decided twice.
    """
    if proposal.state is not ProposalState.PENDING:
        return "decided"
    if now_ms >= proposal.expires_ms:
        return "expired"
    own = by.subject == proposal.proposed_by
    if step is ProposalStep.WITHDRAW:
        return None if own else "not_yours"
    if own:
        return "oneself"
    return None if permits(by, APPROVED_WITH[proposal.kind]) else "not_permitted"


def propose(
    connection: Connection, by: User, kind: ProposalKind, about: str, content: str, reason: str, now_ms: int
) -> Proposal:
    """Propose in the caller's transaction. Raises ProposalRefused if one is pending about the same thing."""
    if not permits(by, PROPOSED_WITH[kind]):
        raise ProposalRefused("not_permitted")
    pending = f"{kind.value} {about}"
    # One whose time is over gives way to a new one.
    connection.execute(
        update(PROPOSALS)
        .where(PROPOSALS.c.pending == pending, PROPOSALS.c.expires_ms <= now_ms)
        .values(pending=None, state=ProposalState.EXPIRED.value)
    )
    proposal = Proposal(
        id=f"cwp-{uuid.uuid4().hex}",
        kind=kind,
        about=about,
        content=content,
        reason=reason,
        proposed_by=by.subject,
        proposed_ms=now_ms,
        expires_ms=now_ms + LASTS_MS,
        state=ProposalState.PENDING,
        decided_by=None,
        decided_ms=None,
        decided_reason=None,
    )
    row = {name: getattr(proposal, name) for name in Proposal.__slots__}
    row |= {"kind": kind.value, "state": proposal.state.value, "pending": pending}
    if not inserted(connection, PROPOSALS, row):
        raise ProposalRefused("pending")
    actions.record(connection, by, "proposed", now_ms, _about(proposal, reason))
    return proposal


def decide(
    connection: Connection, by: User, proposal_id: str, step: ProposalStep, reason: str, now_ms: int
) -> Proposal:
    """Approve, decline or withdraw it, in the transaction of the effect. Raises ProposalRefused.

    The caller carries out an approved one in the same transaction. One statement changes the state, so that of two
    persons at the same time one is refused.
    """
    proposal = proposal_of(connection, proposal_id)
    if proposal is None:
        raise ProposalRefused("unknown")
    if why := refusal(proposal, by, step, now_ms):
        raise ProposalRefused(why)
    state, name = _OUTCOMES[step]
    changed = update(PROPOSALS).where(
        PROPOSALS.c.id == proposal_id,
        PROPOSALS.c.state == ProposalState.PENDING.value,
        PROPOSALS.c.expires_ms > now_ms,
        # Once more where it counts: no caller can go around the rule.
        (PROPOSALS.c.proposed_by == by.subject)
        if step is ProposalStep.WITHDRAW
        else (PROPOSALS.c.proposed_by != by.subject),
    )
    row = {"state": state.value, "decided_by": by.subject, "decided_ms": now_ms, "decided_reason": reason}
    if connection.execute(changed.values(**row, pending=None)).rowcount != 1:
        raise ProposalRefused("decided")
    actions.record(connection, by, name, now_ms, _about(proposal, reason))
    decided = proposal_of(connection, proposal_id)
    assert decided is not None
    return decided


def proposal_of(connection: Connection, proposal_id: str) -> Proposal | None:
    """The proposal of that id."""
    row = connection.execute(_ALL.where(PROPOSALS.c.id == proposal_id)).one_or_none()
    return _proposal(row) if row is not None else None


def pending(connection: Connection, kind: ProposalKind, now_ms: int, about: str | None = None) -> list[Proposal]:
    """What waits for a second person, the oldest first; with ``about`` only what is about that."""
    query = _ALL.where(
        PROPOSALS.c.kind == kind.value,
        PROPOSALS.c.state == ProposalState.PENDING.value,
        PROPOSALS.c.expires_ms > now_ms,
    )
    if about is not None:
        query = query.where(PROPOSALS.c.about == about)
    return [_proposal(row) for row in connection.execute(query.order_by(PROPOSALS.c.proposed_ms).limit(_MOST))]


def pending_proposers(connection: Connection, kind: ProposalKind, now_ms: int) -> list[str]:
    """Who proposed what waits for a second person; without the contents, which may be long."""
    p = PROPOSALS.c
    waits = p.kind == kind.value, p.state == ProposalState.PENDING.value, p.expires_ms > now_ms
    return list(connection.execute(select(p.proposed_by).where(*waits).limit(_MOST)).scalars())


def proposals_about(connection: Connection, kind: ProposalKind, about: str) -> Sequence[Proposal]:
    """All proposals about a thing, the newest first."""
    query = _ALL.where(PROPOSALS.c.kind == kind.value, PROPOSALS.c.about == about)
    return [_proposal(row) for row in connection.execute(query.order_by(PROPOSALS.c.proposed_ms.desc()).limit(_MOST))]


_ALL: Final = select(*(PROPOSALS.c[name] for name in Proposal.__slots__))
_OUTCOMES: Final[dict[ProposalStep, tuple[ProposalState, ActionName]]] = {
    ProposalStep.APPROVE: (ProposalState.APPROVED, "proposal_approved"),
    ProposalStep.DECLINE: (ProposalState.DECLINED, "proposal_declined"),
    ProposalStep.WITHDRAW: (ProposalState.WITHDRAWN, "proposal_withdrawn"),
}


def _proposal(row: "Row[tuple[object, ...]]") -> Proposal:
    fields = dict(row._mapping)
    return Proposal(**fields | {"kind": ProposalKind(fields["kind"]), "state": ProposalState(fields["state"])})


def _about(proposal: Proposal, reason: str) -> About:
    return About(
        enforcement_id=proposal.about if proposal.kind is ProposalKind.BAN else None,
        proposal_id=proposal.id,
        reason=reason or None,
        details={"kind": proposal.kind.value, "about": proposal.about},
    )
