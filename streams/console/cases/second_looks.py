"""Second looks: a sample of upheld decisions that somebody else reads again, and what that person says of them."""

import hashlib
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection, and_, case, exists, func, or_, select

from monitor.text.masking import mask_text
from schemas.outputs import Enforcement
from streams.console import actions
from streams.console.actions import About
from streams.console.cases.claims import CaseRefused
from streams.console.identity.users import User
from streams.console.tables import CASES, EVENTS, REVIEWS, SECOND_LOOKS, VERDICTS
from streams.consumers.record_decoding import event_of
from streams.consumers.sql_common import inserted

SAMPLE: Final = 10
LONGEST_NOTE: Final = 2_000
_SAMPLED: Final = 500
_WEEK_MS: Final = 7 * 86_400_000
_MONTH_MS: Final = 30 * 86_400_000


class SecondLook(NamedTuple):
    """What a second person says: whether it agrees that the decision was upheld, and why."""

    agrees: bool
    note: str
    name: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class SampledCase:
    """A case of the sample: its event in force, who upheld it, and the answer if somebody gave one."""

    case_id: str
    event: Enforcement
    reviewer: str
    answer: SecondLook | None


class GivenAnswer(NamedTuple):
    """What a second person answers. A note is needed unless it agrees."""

    agrees: bool
    note: str


class LookCounts(NamedTuple):
    """Answers about one rule, or about one reviewer."""

    looked_at: int = 0
    not_agreed: int = 0


def sample(connection: Connection, now_ms: int, subject: str) -> list[SampledCase]:
    """The decisions that ``subject`` may look at again: others upheld them in the last 30 days, and they stand.

    The sample stays the same all week, with those that were answered in it, so that nobody draws until it suits.
    """
    c, e, r, s, v = CASES.c, EVENTS.c, REVIEWS.c, SECOND_LOOKS.c, VERDICTS.c
    week = now_ms // _WEEK_MS
    own_event, own_review = EVENTS.alias(), REVIEWS.alias()
    has_reviewed = exists().where(
        own_event.c.case_id == c.id,
        own_event.c.shadow.is_(False),
        own_review.c.enforcement_id == own_event.c.id,
        own_review.c.reviewer == subject,
    )
    has_decided = exists().where(v.case_id == c.id, or_(v.subject == subject, v.approved_by == subject))
    answered = and_(s.case_id.is_not(None), s.at_ms >= week * _WEEK_MS)
    query = (
        select(c.id, e.value, r.reviewer, s.agrees, s.note, s.name, s.at_ms)
        .join(EVENTS, and_(e.id == r.enforcement_id, e.shadow.is_(False)))
        .join(CASES, c.id == e.case_id)
        .outerjoin(SECOND_LOOKS, s.case_id == c.id)
        .where(r.updated_ms >= now_ms - _MONTH_MS, r.verdict == "uphold")
        # One that was answered stays, whatever became of it since.
        .where(or_(answered, and_(s.case_id.is_(None), c.status == "final")), ~has_reviewed, ~has_decided)
        .order_by(r.updated_ms.desc(), r.number.desc())
        .limit(_SAMPLED)
    )
    rows = {row.id: row for row in connection.execute(query)}
    drawn = sorted(rows, key=lambda case_id: hashlib.sha256(f"{week}:{case_id}".encode()).digest())[:SAMPLE]
    return [_sampled(*rows[case_id]) for case_id in drawn]


def answer(connection: Connection, case_id: str, given: GivenAnswer, by: User, now_ms: int) -> None:
    """Record what ``by`` says of a case of its sample, once. Raises CaseRefused."""
    agrees, note = given.agrees, given.note.strip()
    if not agrees and not note:
        raise CaseRefused("look_without_note")
    if len(note) > LONGEST_NOTE:
        raise CaseRefused("look_too_long")
    # Nobody chooses which decisions are looked at again.
    chosen = next((one for one in sample(connection, now_ms, by.subject) if one.case_id == case_id), None)
    if chosen is None:
        raise CaseRefused("not_in_sample")
    event = chosen.event
    masked = mask_text(note, (case_id, event.subject))
    row = {
        "case_id": case_id,
        "rule_id": event.data.rule_id,
        "reviewer": chosen.reviewer,
        "subject": by.subject,
        "name": by.name,
        "agrees": agrees,
        "note": masked,
        "at_ms": now_ms,
    }
    if not inserted(connection, SECOND_LOOKS, row):
        raise CaseRefused("looked_at")
    details = {"answer": "agrees" if agrees else "would_overturn", "reviewer": chosen.reviewer}
    about = About(tenant_id=event.subject, enforcement_id=case_id, reason=masked or None, details=details)
    actions.record(connection, by, "second_look_answered", now_ms, about)


def counts(connection: Connection, since_ms: int) -> tuple[dict[str, LookCounts], dict[str, LookCounts]]:
    """The answers since a time, by rule and by the reviewer who upheld."""
    s = SECOND_LOOKS.c
    found = []
    for by in (s.rule_id, s.reviewer):
        query = select(by, func.count(), func.sum(case((s.agrees.is_(False), 1), else_=0))).where(s.at_ms >= since_ms)
        rows = connection.execute(query.group_by(by))
        found.append({name: LookCounts(looked_at, int(not_agreed)) for name, looked_at, not_agreed in rows})
    return found[0], found[1]


def _sampled(
    case_id: str, value: bytes, reviewer: str, agrees: bool | None, note: str, name: str, at_ms: int
) -> SampledCase:
    given = None if agrees is None else SecondLook(agrees, note, name, at_ms)
    return SampledCase(case_id, event_of(value), reviewer, given)
