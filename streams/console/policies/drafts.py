"""Drafts of policy files. Users who may see policies can read them; only the author can save one."""

import hashlib
import uuid
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from monitor.text.masking import mask_text
from streams.console import actions
from streams.console.actions import About
from streams.console.identity.users import User
from streams.console.policies.tables import POLICY_DRAFTS

MAX_TEXT_BYTES: Final = 256 * 1024
"""The most bytes of a policy file here, in UTF-8. The built-in policy with its catalogue has 100 KB."""

LONGEST_TITLE: Final = 120
MOST_DRAFTS: Final = 50
"""The most drafts of one author."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft of a policy file by its author ``subject``. ``revision`` counts the saves."""

    id: str
    subject: str
    name: str
    title: str
    text: str
    revision: int
    created_ms: int
    updated_ms: int


class DraftRefused(Exception):
    """A step that is not possible; ``key`` is the end of its text's key."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def create(connection: Connection, by: User, text: str, title: str, now_ms: int) -> Draft:
    """Begin a draft, in the caller's transaction. Raises DraftRefused."""
    text = fit(text)
    own = select(func.count()).where(POLICY_DRAFTS.c.subject == by.subject)
    if connection.execute(own).scalar_one() >= MOST_DRAFTS:
        raise DraftRefused("many")
    title = mask_text(" ".join(title.split()))[:LONGEST_TITLE]
    draft = Draft(f"cwd-{uuid.uuid4().hex[:24]}", by.subject, by.name, title, text, 1, now_ms, now_ms)
    connection.execute(insert(POLICY_DRAFTS).values({name: getattr(draft, name) for name in Draft.__slots__}))
    _record(connection, by, draft, now_ms)
    return draft


def save(connection: Connection, draft_id: str, by: User, text: str, revision: int, now_ms: int) -> Draft:
    """Save the author's text over the ``revision`` that was read. Raises DraftRefused, also if it was saved since."""
    text = fit(text)
    draft = get(connection, draft_id)
    if draft is None:
        raise DraftRefused("unknown")
    if draft.subject != by.subject:
        raise DraftRefused("not_yours")
    if draft.text == text:
        return draft  # nothing to save, whichever revision was read
    d = POLICY_DRAFTS.c
    changed = update(POLICY_DRAFTS).where(d.id == draft_id, d.subject == by.subject, d.revision == revision)
    if connection.execute(changed.values(text=text, revision=revision + 1, updated_ms=now_ms)).rowcount != 1:
        raise DraftRefused("stale")
    saved = Draft(draft.id, draft.subject, draft.name, draft.title, text, revision + 1, draft.created_ms, now_ms)
    _record(connection, by, saved, now_ms)
    return saved


def discard(connection: Connection, draft_id: str, by: User) -> None:
    """Delete one's own draft. Raises DraftRefused."""
    d = POLICY_DRAFTS.c
    if get(connection, draft_id) is None:
        raise DraftRefused("unknown")
    if connection.execute(delete(POLICY_DRAFTS).where(d.id == draft_id, d.subject == by.subject)).rowcount != 1:
        raise DraftRefused("not_yours")


def get(connection: Connection, draft_id: str) -> Draft | None:
    """The draft of that id."""
    row = connection.execute(select(POLICY_DRAFTS).where(POLICY_DRAFTS.c.id == draft_id)).one_or_none()
    return None if row is None else _draft(row)


def newest(connection: Connection, limit: int = 50) -> list[Draft]:
    """The drafts that were saved last, of everybody."""
    query = select(POLICY_DRAFTS).order_by(POLICY_DRAFTS.c.updated_ms.desc(), POLICY_DRAFTS.c.id).limit(limit)
    return [_draft(row) for row in connection.execute(query)]


def fit(text: str) -> str:
    """The text as a file has it: lines end with a line feed. Raises DraftRefused if it is too long."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
        raise DraftRefused("long")
    return text


def text_hash(text: str) -> str:
    """The SHA-256 of the file, in hex: as `sha256sum` prints it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _record(connection: Connection, by: User, draft: Draft, now_ms: int) -> None:
    details = {"draft": draft.id, "revision": str(draft.revision), "text_sha256": text_hash(draft.text)}
    actions.record(connection, by, "policy_draft_saved", now_ms, About(details=details))


def _draft(row: "Row[tuple[object, ...]]") -> Draft:
    return Draft(**{name: getattr(row, name) for name in Draft.__slots__})
