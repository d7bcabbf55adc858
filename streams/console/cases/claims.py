"""Claims, assignments, postponements and notes: each one statement, so that of two people at once one has it."""

from collections.abc import Sequence
from typing import Final, Literal

from sqlalchemy import ColumnElement, Connection, insert, or_, select, update

from monitor.text.masking import mask_text
from streams.console import actions
from streams.console.actions import About
from streams.console.identity import accounts
from streams.console.identity.permissions import PERMISSIONS_OF, Permission
from streams.console.identity.users import Role, User
from streams.console.tables import CASES, NOTES

AT_ONCE: Final = 200
"""The most cases of one action in bulk."""
LONGEST_NOTE: Final = 4_000
LONGEST_POSTPONEMENT_MS: Final = 30 * 86_400_000


class CaseRefused(ValueError):
    """Something that cannot be done with a case; ``key`` is the end of its text's key, ``values`` fill its places."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(key)
        self.key, self.values = key, values


def free_for(me: str, now_ms: int) -> ColumnElement[bool]:
    """The condition that nobody else has claimed a case."""
    c = CASES.c
    return or_(c.claimed_by.is_(None), c.claimed_by == me, c.claimed_until_ms <= now_ms)


def claim(connection: Connection, ids: Sequence[str], by: User, now_ms: int, last_ms: int) -> list[str]:
    """Claim cases that wait, or renew one's claims, for ``last_ms``. Returns those that ``by`` has now."""
    c, mine = CASES.c, []
    for case_id in sorted(set(ids)):  # sorted, so that two at once do not deadlock
        was = connection.execute(select(c.claimed_by, c.claimed_until_ms).where(c.id == case_id)).one_or_none()
        taken = update(CASES).where(c.id == case_id, c.queue.is_not(None), free_for(by.subject, now_ms))
        values = {"claimed_by": by.subject, "claimed_name": by.name, "claimed_until_ms": now_ms + last_ms}
        if connection.execute(taken.values(values)).rowcount == 1:
            mine.append(case_id)
            if was is None or was.claimed_by != by.subject or was.claimed_until_ms <= now_ms:
                _record(connection, by, "case_claimed", now_ms, case_id)
    return mine


def release(connection: Connection, case_id: str, by: User, now_ms: int) -> bool:
    """Give up one's claim. Returns whether there was one."""
    given_up = update(CASES).where(CASES.c.id == case_id, CASES.c.claimed_by == by.subject)
    done = connection.execute(given_up.values(claimed_by=None, claimed_name=None, claimed_until_ms=0)).rowcount == 1
    if done:
        _record(connection, by, "case_released", now_ms, case_id)
    return done


def assignees(connection: Connection) -> list[User]:
    """The users that cases may be assigned to: those who decide cases and are not disabled, by name."""
    found = accounts.with_roles(connection, [role for role in Role if Permission.DECIDE_CASES in PERMISSIONS_OF[role]])
    return sorted(found, key=lambda user: (user.name.casefold(), user.subject))


def assign(connection: Connection, ids: Sequence[str], to: str | None, by: User, now_ms: int) -> int:
    """Assign cases that wait to a user by its subject, or to nobody. Returns how many. Raises CaseRefused."""
    chosen = next((user for user in (by, *assignees(connection)) if user.subject == to), None)
    if to is not None and chosen is None:
        raise CaseRefused("no_assignee")
    subject, name = (chosen.subject, chosen.name) if chosen is not None else (None, None)
    count = 0
    for case_id in sorted(set(ids)):
        changed = update(CASES).where(CASES.c.id == case_id, CASES.c.queue.is_not(None))
        if connection.execute(changed.values(assignee=subject, assignee_name=name)).rowcount == 1:
            count += 1
            actions.record(
                connection, by, "case_assigned", now_ms, About(subject=subject, enforcement_id=case_id, details={})
            )
    return count


def postpone(connection: Connection, ids: Sequence[str], until_ms: int, by: User, now_ms: int) -> int:
    """Hide cases that wait and nobody else has claimed until a time, 0 for no longer. Returns how many. Raises
    CaseRefused.
    """
    if until_ms > now_ms + LONGEST_POSTPONEMENT_MS:
        raise CaseRefused("postponed_too_long")
    c, count = CASES.c, 0
    for case_id in sorted(set(ids)):
        # Not beyond the deadline: nobody would see the case again.
        before_lapse = or_(c.review_by_ms.is_(None), c.review_by_ms > until_ms)
        free = c.queue.is_not(None), c.verdict.is_(None), free_for(by.subject, now_ms)
        changed = update(CASES).where(c.id == case_id, *free, before_lapse)
        if connection.execute(changed.values(postponed_until_ms=until_ms)).rowcount == 1:
            count += 1
            details = {"until_ms": str(until_ms)}
            actions.record(connection, by, "case_postponed", now_ms, About(enforcement_id=case_id, details=details))
    return count


def add_note(
    connection: Connection, case_id: str, text: str, by: User, now_ms: int, kind: Literal["note", "appeal"] = "note"
) -> None:
    """Add a note, or record an appeal that came by mail. Raises CaseRefused."""
    if not (stripped := text.strip()):
        raise CaseRefused("note_empty")
    if len(stripped) > LONGEST_NOTE:
        raise CaseRefused("note_too_long", most=LONGEST_NOTE)
    case = connection.execute(select(CASES.c.tenant_id).where(CASES.c.id == case_id)).one_or_none()
    if case is None:
        raise CaseRefused("unknown_case")
    masked = mask_text(stripped, (case_id, case.tenant_id))
    row = {"case_id": case_id, "at_ms": now_ms, "subject": by.subject, "name": by.name, "kind": kind, "text": masked}
    connection.execute(insert(NOTES).values(row))
    name: Literal["note_written", "appeal_recorded"] = "note_written" if kind == "note" else "appeal_recorded"
    actions.record(connection, by, name, now_ms, About(tenant_id=case.tenant_id, enforcement_id=case_id, reason=masked))


def _record(
    connection: Connection, by: User, name: Literal["case_claimed", "case_released"], now_ms: int, case_id: str
) -> None:
    actions.record(connection, by, name, now_ms, About(enforcement_id=case_id))
