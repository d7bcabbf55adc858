"""Proposals to change the policy: what a second person approves is exactly the file that was proposed."""

from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from monitor.text.masking import mask_text
from streams.console import four_eyes
from streams.console.four_eyes import Proposal, ProposalKind, ProposalRefused, ProposalStep
from streams.console.identity.users import User
from streams.console.policies import requests, texts
from streams.console.policies.checker import PolicySummary
from streams.console.policies.drafts import Draft, text_hash
from streams.console.policies.in_force import PoliciesInForce
from streams.console.policies.requests import Kind, RequestedChange
from streams.console.previews import store as previews
from streams.topics.policy_log import in_the_way

LONGEST_REASON = 2_000


class ProposedChange(Struct, frozen=True):
    """The content of a proposal. ``base_sha256`` is the policy that the proposer saw it replace.

    ``text`` is the file, ``text_sha256`` its hash; to withdraw, both are empty. ``name``: who proposes, as shown.
    """

    kind: Kind
    sha256s: tuple[str, ...]
    base_sha256: str
    name: str
    title: str = ""
    from_ms: int | None = None
    text: str = ""
    text_sha256: str = ""

    def wanted(self, reason: str) -> RequestedChange:
        """What is requested once it is approved."""
        return RequestedChange(self.kind, self.sha256s, self.from_ms, reason)


class Approval(NamedTuple):
    """What the second person says: whose difference was read (``seen``, the hash of a policy), and a remark.

    ``without_preview``: approve it although nobody has previewed it.
    """

    seen: str
    reason: str = ""
    without_preview: bool = False


class ChangeRefused(Exception):
    """A step that is not possible; ``key`` is the end of its text's key."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def change_of(proposal: Proposal) -> ProposedChange:
    """The content of a proposal of a policy."""
    return msgspec.json.decode(proposal.content, type=ProposedChange)


class PolicyProposals:
    """The steps of proposals, each in the caller's transaction. ``needs_two``: another person must approve."""

    def __init__(self, policies: PoliciesInForce, needs_two: bool, as_soon_ms: int) -> None:
        """``as_soon_ms``: how long after now the soonest time is from which a policy can apply."""
        self._policies, self.needs_two, self._as_soon_ms = policies, needs_two, as_soon_ms

    def propose(
        self,
        connection: Connection,
        by: User,
        draft: Draft,
        checked: PolicySummary,
        wanted: RequestedChange,
        now_ms: int,
    ) -> str | None:
        """Propose the file of a draft; ``checked`` is the valid policy that it contains. Returns the proposal's id;
        None if it takes effect at once, because no approval is needed. Raises ChangeRefused.
        """
        base = self._policies.newest(connection)
        if base.sha256 == checked.sha256:
            raise ChangeRefused("same")
        self._must_have_room(connection, wanted.from_ms, now_ms)
        texts.remember(connection, checked.plain, checked.sha256, now_ms, draft.text)
        change = ProposedChange(
            kind="apply",
            sha256s=(checked.sha256,),
            base_sha256=base.sha256,
            name=by.name,
            title=draft.title,
            from_ms=wanted.from_ms,
            text=draft.text,
            text_sha256=text_hash(draft.text),
        )
        return self._propose(connection, by, change, checked.sha256, wanted.reason, now_ms)

    def propose_withdrawal(self, connection: Connection, by: User, sha256: str, reason: str, now_ms: int) -> str | None:
        """Propose to withdraw a policy that is scheduled; see `propose`. Raises ChangeRefused."""
        if sha256 not in {one.sha256 for one in self._policies.scheduled(connection, now_ms)}:
            raise ChangeRefused("not_scheduled")
        base = self._policies.newest(connection).sha256
        change = ProposedChange("withdraw", (sha256,), base, by.name)
        return self._propose(connection, by, change, f"withdraw {sha256}", reason, now_ms)

    def approve(self, connection: Connection, by: User, proposal_id: str, given: Approval, now_ms: int) -> None:
        """Approve as the second person. Raises ChangeRefused."""
        proposal = four_eyes.proposal_of(connection, proposal_id)
        if proposal is None or proposal.kind is not ProposalKind.POLICY:
            raise ChangeRefused("unknown")
        change = change_of(proposal)
        if change.kind == "apply":
            if self._policies.newest(connection).sha256 != given.seen:
                raise ChangeRefused("base_changed")
            self._must_have_room(connection, change.from_ms, now_ms)
            must_be_previewed(connection, change.sha256s[0], given.without_preview)
        _decide(connection, by, proposal_id, ProposalStep.APPROVE, given.reason, now_ms)
        wanted = change.wanted(proposal.reason)
        requests.add(connection, wanted, (proposal.proposed_by, change.name), by, proposal_id, now_ms)
        requests.record_action(connection, by, wanted, proposal_id, now_ms)

    def _propose(
        self, connection: Connection, by: User, change: ProposedChange, about: str, reason: str, now_ms: int
    ) -> str | None:
        reason = checked_reason(reason)
        if not self.needs_two:
            wanted = change.wanted(reason)
            requests.add(connection, wanted, (by.subject, by.name), None, None, now_ms)
            requests.record_action(connection, by, wanted, None, now_ms)
            return None
        content = msgspec.json.encode(change).decode()
        try:
            return four_eyes.propose(connection, by, ProposalKind.POLICY, about, content, reason, now_ms).id
        except ProposalRefused as refused:
            raise ChangeRefused(refused.key) from None

    def _must_have_room(self, connection: Connection, from_ms: int | None, now_ms: int) -> None:
        wanted_ms = now_ms + self._as_soon_ms if from_ms is None else from_ms
        if in_the_way(self._policies.logged(connection, now_ms), wanted_ms) is not None:
            raise ChangeRefused("barred")


def decline(connection: Connection, by: User, proposal_id: str, reason: str, now_ms: int) -> None:
    """Decline a proposal as the second person. Raises ChangeRefused."""
    _decide(connection, by, proposal_id, ProposalStep.DECLINE, reason, now_ms)


def take_back(connection: Connection, by: User, proposal_id: str, now_ms: int) -> None:
    """Withdraw one's own proposal. Raises ChangeRefused."""
    _decide(connection, by, proposal_id, ProposalStep.WITHDRAW, "", now_ms)


def pending(connection: Connection, now_ms: int) -> list[tuple[Proposal, ProposedChange]]:
    """The proposals that wait for a second person, the oldest first."""
    found: list[Any] = four_eyes.pending(connection, ProposalKind.POLICY, now_ms)
    return [(proposal, change_of(proposal)) for proposal in found]


def must_be_previewed(connection: Connection, sha256: str, confirmed: bool) -> None:
    """Raise ChangeRefused if nobody has previewed a policy, unless that was ``confirmed``."""
    if not confirmed and previews.done_with(connection, sha256) is None:
        raise ChangeRefused("not_previewed")


def checked_reason(reason: str) -> str:
    """The reason with telephone numbers masked. Raises ChangeRefused if there is none, or it is too long."""
    reason = mask_text(reason.strip())
    if not reason:
        raise ChangeRefused("no_reason")
    if len(reason) > LONGEST_REASON:
        raise ChangeRefused("long_reason")
    return reason


def _decide(connection: Connection, by: User, proposal_id: str, step: ProposalStep, reason: str, now_ms: int) -> None:
    try:
        four_eyes.decide(connection, by, proposal_id, step, mask_text(reason.strip())[:LONGEST_REASON], now_ms)
    except ProposalRefused as refused:
        raise ChangeRefused(refused.key) from None
