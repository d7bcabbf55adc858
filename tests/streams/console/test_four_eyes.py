"""Who proposes never approves, nothing is decided twice, and what was shown is what is approved."""

import asyncio
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from sqlalchemy import create_engine

from helpers.console_identity import NOON_MS, names, recorded, recorded_by
from streams.console import four_eyes
from streams.console.four_eyes import (
    LASTS_MS,
    Proposal,
    ProposalKind,
    ProposalRefused,
    ProposalState,
    ProposalStep,
    decide,
    pending,
    propose,
    refusal,
)
from streams.console.identity.users import Role, User
from streams.console.tables import METADATA
from streams.consumers.database import Database

_PEOPLE = [
    User(f"local:{name}", name, frozenset(roles))
    for name, roles in {
        "rita": [Role.REVIEWER],
        "ron": [Role.REVIEWER],
        "paul": [Role.POLICY_OWNER],
        "pia": [Role.POLICY_OWNER],
        "vera": [Role.VIEWER],
        "ada": [Role.ADMIN],
        "aude": [Role.AUDITOR],
        "max": list(Role),
        "nobody": [],
    }.items()
]
_MAY = {ProposalKind.BAN: {"rita", "ron", "max"}, ProposalKind.POLICY: {"paul", "pia", "max"}}
"""Who has the role for a kind, written out here once more."""

people, kinds, steps = st.sampled_from(_PEOPLE), st.sampled_from(ProposalKind), st.sampled_from(ProposalStep)


def _proposal(kind: ProposalKind, by: User, state: ProposalState = ProposalState.PENDING) -> Proposal:
    expires_ms = NOON_MS + LASTS_MS
    return Proposal("cwp-1", kind, "cwe-1", "{}", "", by.subject, NOON_MS, expires_ms, state, None, None, None)


@settings(suppress_health_check=[HealthCheck.too_slow])  # no test rests on seconds
@given(kinds, people, people, steps, st.sampled_from(ProposalState), st.integers(0, 2 * LASTS_MS))
def test_the_rule(
    kind: ProposalKind, by: User, other: User, step: ProposalStep, state: ProposalState, after_ms: int
) -> None:
    refused = refusal(_proposal(kind, by, state), other, step, NOON_MS + after_ms)
    second = other != by and other.name in _MAY[kind]
    person = other == by if step is ProposalStep.WITHDRAW else second
    assert (refused is None) == (state is ProposalState.PENDING and after_ms < LASTS_MS and person)


class Desk(RuleBasedStateMachine):
    """Several people propose and decide at random. What is approved always has a second person with the role."""

    proposals = Bundle("proposals")

    def __init__(self) -> None:
        super().__init__()
        self.engine = create_engine("sqlite://")
        METADATA.create_all(self.engine)
        self.connection = self.engine.connect()
        self.now_ms = NOON_MS
        self.approved: list[Proposal] = []

    @rule(target=proposals, by=people, kind=kinds, about=st.sampled_from(["cwe-1", "cwe-2"]), content=st.text())
    def propose(self, by: User, kind: ProposalKind, about: str, content: str) -> str:
        waiting = {each.about for each in pending(self.connection, kind, self.now_ms)}
        give = partial(propose, self.connection, by, kind, about, content, "why", self.now_ms)
        if by.name in _MAY[kind] and about not in waiting:
            return give().id
        with pytest.raises(ProposalRefused) as refused:
            give()
        assert refused.value.key == ("pending" if by.name in _MAY[kind] else "not_permitted")
        return "none"

    @rule(proposal=proposals, by=people, step=steps)
    def decide(self, proposal: str, by: User, step: ProposalStep) -> None:
        before = four_eyes.proposal_of(self.connection, proposal)
        try:
            decided = decide(self.connection, by, proposal, step, "", self.now_ms)
        except ProposalRefused:
            assert four_eyes.proposal_of(self.connection, proposal) == before
            return
        assert before is not None
        assert (decided.content, decided.about, decided.kind) == (before.content, before.about, before.kind)
        if step is ProposalStep.APPROVE:
            self.approved.append(decided)

    @rule(proposal=consumes(proposals))
    def forget(self, proposal: str) -> None:
        """Fewer names to choose from."""

    @rule(days=st.integers(1, 4))
    def wait(self, days: int) -> None:
        self.now_ms += days * 86_400_000

    @invariant()
    def each_approval_has_a_second_person(self) -> None:
        for each in self.approved:
            assert each.decided_by not in (None, each.proposed_by)
            assert str(each.decided_by).removeprefix("local:") in _MAY[each.kind]
        ids = [each.id for each in self.approved]
        assert len(ids) == len(set(ids))
        done = [each for each in recorded_by(self.connection) if each["action"] == "proposal_approved"]
        assert [(each["proposal_id"], each["actor"]) for each in done] == [
            (each.id, each.decided_by) for each in self.approved
        ]

    def teardown(self) -> None:
        self.connection.close()
        self.engine.dispose()


TestDesk = Desk.TestCase
TestDesk.settings = settings(max_examples=12, stateful_step_count=25, suppress_health_check=[HealthCheck.too_slow])


def _of(name: str) -> User:
    return next(each for each in _PEOPLE if each.name == name)


async def test_of_two_approvals_at_once_one_takes_effect(database: Database) -> None:
    give = partial(
        propose, by=_of("rita"), kind=ProposalKind.BAN, about="cwe-1", content="{}", reason="", now_ms=NOON_MS
    )
    made = await database.run(give)
    by = [_of("ron"), _of("max"), _of("rita"), _of("ron")]
    attempts = [
        partial(decide, by=each, proposal_id=made.id, step=ProposalStep.APPROVE, reason="", now_ms=NOON_MS)
        for each in by
    ]
    done = await asyncio.gather(*map(database.run, attempts), return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ["Proposal", *["ProposalRefused"] * 3]
    assert names(database) == ["proposed", "proposal_approved"]


async def test_the_records_name_both_persons_and_the_decision(database: Database) -> None:
    give = partial(
        propose, by=_of("rita"), kind=ProposalKind.BAN, about="cwe-1", content="{}", reason="calls +8613800138000",
        now_ms=NOON_MS,
    )  # fmt: skip
    made = await database.run(give)
    await database.run(
        partial(decide, by=_of("ron"), proposal_id=made.id, step=ProposalStep.DECLINE, reason="no", now_ms=NOON_MS)
    )
    proposed, declined = recorded(database)
    assert (proposed["actor"], declined["actor"], declined["action"]) == (
        "local:rita",
        "local:ron",
        "proposal_declined",
    )
    assert proposed["enforcement_id"] == declined["enforcement_id"] == "cwe-1"
    assert proposed["proposal_id"] == declined["proposal_id"] == made.id
    assert "138001380" not in proposed["reason"]
    with database.reading() as connection:
        (kept,) = four_eyes.proposals_about(connection, ProposalKind.BAN, "cwe-1")
    assert (kept.state, kept.decided_by, kept.decided_reason) == (ProposalState.DECLINED, "local:ron", "no")
