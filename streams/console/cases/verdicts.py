"""Verdicts that are given here: they wait, can be cancelled, and are then put into the outbox.

approval -> waiting -> sent -> effective. An `approval` waits for a second person, a `waiting` one until `send_ms`. They
end as `cancelled`, `declined` or `withdrawn` (decided otherwise meanwhile); a `sent` one may be `rejected`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from monitor.policy.model import OpenKind
from monitor.text.bilingual import Bilingual
from monitor.text.masking import mask_text
from schemas.actions import ActionName
from streams.console import actions, four_eyes
from streams.console.actions import About
from streams.console.cases.claims import CaseRefused, free_for
from streams.console.cases.history import case_of, is_banned
from streams.console.four_eyes import ProposalKind, ProposalRefused, ProposalStep
from streams.console.identity.users import User
from streams.console.tables import CASES, TENANTS, VERDICTS
from streams.consumers.ledger.queries.cases import LedgerCase
from streams.reviews.validation import GivenVerdict, ReviewRefused, Verdict, rejection_reason, review_of

LIVE: Final = ("approval", "waiting", "sent")
LONGEST_REASON: Final = 4_000


class VerdictRules(NamedTuple):
    """How verdicts wait: for ``undo_for_ms``, and with ``four_eyes`` bans also for a second person."""

    undo_for_ms: int
    claim_for_ms: int
    four_eyes: bool


class WantedVerdict(NamedTuple):
    """A verdict with its reason; ``kind`` is the one that an uphold chooses, if any.

    ``seen``: the ids of the decisions that the reviewer was shown. A case in which another one is in force now is
    refused: the verdict was not meant for that. Empty: whatever is in force.
    """

    verdict: Verdict
    reason: str
    kind: OpenKind | None = None
    seen: frozenset[str] = frozenset()


@dataclass(slots=True)
class GivenVerdicts:
    """The result: the numbers of the verdicts by case, and why others were refused: a sentence, or `CaseRefused`."""

    given: dict[str, int] = field(default_factory=dict)
    refused: dict[str, Bilingual | CaseRefused] = field(default_factory=dict)


def give(
    connection: Connection, ids: Sequence[str], wanted: WantedVerdict, by: User, rules: VerdictRules, now_ms: int
) -> GivenVerdicts:
    """Give the same verdict on all of these cases, in the caller's transaction. Each is refused or given by itself."""
    result = GivenVerdicts()
    for case_id in sorted(set(ids)):
        try:
            with connection.begin_nested():
                result.given[case_id] = _give(connection, case_id, wanted, by, rules, now_ms)
        except ReviewRefused as error:
            result.refused[case_id] = error.both
        except CaseRefused as error:
            result.refused[case_id] = error
        except ProposalRefused as error:
            result.refused[case_id] = CaseRefused(f"proposal_{error.key}")
    return result


def just_given(connection: Connection, case_id: str, by: User) -> Row[Any] | None:
    """The newest verdict of this user on a case, if it is in force, with the tenant, its ``company`` and the kind."""
    v, c = VERDICTS.c, CASES.c
    of_case = VERDICTS.join(CASES, c.id == v.case_id).outerjoin(TENANTS, TENANTS.c.tenant_id == c.tenant_id)
    about = c.tenant_id, TENANTS.c.name.label("company"), c.kind.label("case_kind")
    query = select(VERDICTS, *about).select_from(of_case)
    query = query.where(v.case_id == case_id, v.subject == by.subject, v.state.in_(LIVE))
    return connection.execute(query.order_by(v.number.desc()).limit(1)).one_or_none()


def needs_second_person(case: LedgerCase, verdict: str, kind: str | None) -> bool:
    """Whether the verdict makes a ban final."""
    return verdict == "uphold" and (kind or case.in_force.data.kind) == "ban"


def cancel(connection: Connection, number: int, by: User, now_ms: int) -> None:
    """Cancel a verdict that is not sent yet. Every user who may decide cases may cancel one that waits to be sent; one
    that needs approval, only its giver: others decline it. Raises CaseRefused.
    """
    row = _verdict(connection, number)
    if row.state == "approval":
        _decide_proposal(connection, row, by, ProposalStep.WITHDRAW, "", now_ms)
    _end(connection, row, ("approval", "waiting"), "cancelled", now_ms, None)
    actions.record(connection, by, "verdict_cancelled", now_ms, _about(row))


def approve(connection: Connection, number: int, by: User, reason: str, rules: VerdictRules, now_ms: int) -> None:
    """Agree to a ban as the second person; then it waits to be sent. Raises CaseRefused."""
    row = _verdict(connection, number)
    if row.state != "approval":
        raise CaseRefused("verdict_over")
    _decide_proposal(connection, row, by, ProposalStep.APPROVE, reason, now_ms)
    values = {
        "state": "waiting",
        "approved_by": by.subject,
        "approved_name": by.name,
        "approved_ms": now_ms,
        "send_ms": now_ms + rules.undo_for_ms,
    }
    changed = update(VERDICTS).where(VERDICTS.c.number == number, VERDICTS.c.state == "approval").values(values)
    if connection.execute(changed).rowcount != 1:
        raise CaseRefused("verdict_over")


def decline(connection: Connection, number: int, by: User, reason: str, now_ms: int) -> None:
    """Refuse a ban as the second person: the case waits again. Raises CaseRefused."""
    row = _verdict(connection, number)
    if row.state != "approval":
        raise CaseRefused("verdict_over")
    reason = _decide_proposal(connection, row, by, ProposalStep.DECLINE, reason, now_ms)
    _end(connection, row, ("approval",), "declined", now_ms, reason or None)


def _give(
    connection: Connection, case_id: str, wanted: WantedVerdict, by: User, rules: VerdictRules, now_ms: int
) -> int:
    case = case_of(connection, case_id)
    given = given_on(connection, case, wanted.verdict, wanted.kind)
    if why := rejection_reason(case, case_id, given, now_ms):
        raise ReviewRefused(why)
    assert case is not None
    if wanted.seen and case.in_force.id not in wanted.seen:
        raise CaseRefused("decided_since")
    if len(wanted.reason) > LONGEST_REASON:
        raise CaseRefused("reason_too_long", most=LONGEST_REASON)
    review = review_of(case, given, by.name, wanted.reason, now_ms)  # its texts are checked, and masked
    second = rules.four_eyes and needs_second_person(case, wanted.verdict, wanted.kind)
    row = {
        "case_id": case_id,
        "enforcement_id": case.in_force.id,
        "tenant_id": case.opening.subject,
        "review_id": review.review_id,
        "verdict": wanted.verdict,
        "kind": wanted.kind,
        "reason": review.reason,
        "subject": by.subject,
        "name": by.name,
        "given_ms": now_ms,
        "send_ms": now_ms + rules.undo_for_ms,
        "state": "approval" if second else "waiting",
    }
    if second:
        content = msgspec.json.encode({"verdict": wanted.verdict, "kind": wanted.kind}).decode()
        proposal = four_eyes.propose(connection, by, ProposalKind.BAN, case.in_force.id, content, review.reason, now_ms)
        row["proposal_id"] = proposal.id
    number = int(connection.execute(insert(VERDICTS).values(row).returning(VERDICTS.c.number)).scalar_one())
    # One statement: of two verdicts at once one finds the other here.
    taken = update(CASES).where(CASES.c.id == case_id, CASES.c.verdict.is_(None), free_for(by.subject, now_ms))
    claimed = {"claimed_by": by.subject, "claimed_name": by.name, "claimed_until_ms": now_ms + rules.claim_for_ms}
    if connection.execute(taken.values(verdict=number, postponed_until_ms=0, **claimed)).rowcount != 1:
        raise _taken(connection, case_id)
    name: ActionName = "admission_decided" if wanted.verdict in ("approve", "reject") else "verdict_given"
    actions.record(connection, by, name, now_ms, _about(_verdict(connection, number)))
    return number


def given_on(connection: Connection, case: LedgerCase | None, verdict: Verdict, kind: OpenKind | None) -> GivenVerdict:
    """The verdict as `streams.reviews.validation` checks it."""
    barred = verdict == "approve" and case is not None and is_banned(connection, case.opening.subject)
    return GivenVerdict(verdict, kind, barred)


def _taken(connection: Connection, case_id: str) -> CaseRefused:
    row = connection.execute(select(CASES).where(CASES.c.id == case_id)).one()
    if row.verdict is not None:
        theirs = _verdict(connection, row.verdict)
        return CaseRefused("verdict_exists", name=theirs.name, verdict=theirs.verdict)
    return CaseRefused("claimed", name=row.claimed_name)


def _verdict(connection: Connection, number: int) -> Row[Any]:
    row = connection.execute(select(VERDICTS).where(VERDICTS.c.number == number)).one_or_none()
    if row is None:
        raise CaseRefused("unknown_verdict")
    return row


def _end(
    connection: Connection, row: Row[Any], states: Sequence[str], state: str, now_ms: int, why: str | None
) -> None:
    """End a verdict that is in one of these states; its case waits again, if it is pending. Raises CaseRefused."""
    changed = update(VERDICTS).where(VERDICTS.c.number == row.number, VERDICTS.c.state.in_(states))
    if connection.execute(changed.values(state=state, why=why, ended_ms=now_ms)).rowcount != 1:
        raise CaseRefused("verdict_over")
    put_back(connection, row)


def put_back(connection: Connection, row: Row[Any]) -> None:
    """Take the verdict of this row off its case, which waits again if it is pending."""
    c = CASES.c
    case = connection.execute(select(c.status, c.kind).where(c.id == row.case_id, c.verdict == row.number)).first()
    if case is None:
        return
    queue = None if case.status != "pending" else "admissions" if case.kind == "admission_review" else "cases"
    connection.execute(update(CASES).where(c.id == row.case_id).values(verdict=None, queue=queue))


def _decide_proposal(
    connection: Connection, row: Row[Any], by: User, step: ProposalStep, reason: str, now_ms: int
) -> str:
    """Decide as the second person. Returns the reason as it is kept: with telephone numbers masked."""
    if len(reason) > LONGEST_REASON:
        raise CaseRefused("reason_too_long", most=LONGEST_REASON)
    kept = mask_text(reason.strip(), (row.case_id,))
    try:
        four_eyes.decide(connection, by, row.proposal_id, step, kept, now_ms)
    except ProposalRefused as error:
        raise CaseRefused(f"proposal_{error.key}") from None
    return kept


def _about(row: Row[Any]) -> About:
    details = {"verdict": row.verdict, "review_id": row.review_id} | ({"kind": row.kind} if row.kind else {})
    return About(tenant_id=row.tenant_id, enforcement_id=row.enforcement_id, reason=row.reason, details=details)
