"""Texts that reviewers insert into the reason of a verdict. Administrators edit them."""

from typing import Final, Literal, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from monitor.text.masking import mask_text
from streams.console import actions
from streams.console.actions import About
from streams.console.cases.claims import CaseRefused
from streams.console.identity.users import User
from streams.console.tables import REASON_TEXTS

MOST_TEXTS: Final = 50
LONGEST_TEXT: Final = 500
FOR_ANY: Final = "any"
VERDICTS_OF_TEXTS: Final = ("uphold", "overturn", "approve", "reject", FOR_ANY)


class NewText(NamedTuple):
    """A text in both languages. ``verdict``: the one that it is for, or `FOR_ANY`."""

    verdict: str
    zh: str
    en: str


class ReasonText(NamedTuple):
    """A text that is stored, see `NewText`."""

    number: int
    verdict: str
    zh: str
    en: str


def reason_texts(connection: Connection) -> list[ReasonText]:
    """All texts, in the order in which they were added."""
    c = REASON_TEXTS.c
    query = select(c.number, c.verdict, c.zh, c.en).order_by(c.number).limit(MOST_TEXTS)
    return [ReasonText(*row) for row in connection.execute(query)]


def add(connection: Connection, new: NewText, by: User, now_ms: int) -> None:
    """Add a text. Raises CaseRefused."""
    new = _checked(new)
    if connection.execute(select(func.count()).select_from(REASON_TEXTS)).scalar_one() >= MOST_TEXTS:
        raise CaseRefused("too_many_texts", most=MOST_TEXTS)
    connection.execute(insert(REASON_TEXTS).values(new._asdict()))
    _record(connection, "added", new, by, now_ms)


def change(connection: Connection, number: int, new: NewText, by: User, now_ms: int) -> None:
    """Replace a text. Raises CaseRefused."""
    new = _checked(new)
    changed = update(REASON_TEXTS).where(REASON_TEXTS.c.number == number).values(new._asdict())
    if connection.execute(changed).rowcount:
        _record(connection, "changed", new, by, now_ms)


def remove(connection: Connection, number: int, by: User, now_ms: int) -> None:
    """Remove a text; verdicts keep it as their reviewers typed it."""
    c = REASON_TEXTS.c
    row = connection.execute(select(c.verdict, c.zh, c.en).where(c.number == number)).one_or_none()
    if row is not None and connection.execute(delete(REASON_TEXTS).where(c.number == number)).rowcount:
        _record(connection, "removed", NewText(*row), by, now_ms)


def _checked(new: NewText) -> NewText:
    zh, en = (mask_text(" ".join(text.split())) for text in (new.zh, new.en))
    if new.verdict not in VERDICTS_OF_TEXTS or not zh or not en:
        raise CaseRefused("text_empty")
    if max(len(zh), len(en)) > LONGEST_TEXT:
        raise CaseRefused("text_too_long", most=LONGEST_TEXT)
    return NewText(new.verdict, zh, en)


def _record(
    connection: Connection, what: Literal["added", "changed", "removed"], text: NewText, by: User, now_ms: int
) -> None:
    actions.record(connection, by, "reason_text_changed", now_ms, About(details={"change": what, **text._asdict()}))
