"""Tokens of the API: each is of one user, reads with that user's permissions, and expires."""

import secrets
import uuid
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select

from streams.console import actions
from streams.console.actions import About
from streams.console.identity.sessions import hash_of, roles_of
from streams.console.identity.tables import API_TOKENS, USERS
from streams.console.identity.users import User

_PREFIX: Final = "cwt_"
"""Tools that search for leaked secrets recognise it."""
_MOST: Final = 20
_LONGEST_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token as its owner sees it. The token itself is shown once."""

    id: str
    name: str
    created_ms: int
    expires_ms: int


def make(connection: Connection, user: User, name: str, expires_ms: int, now_ms: int) -> str | None:
    """A new token of the user; None if there are twenty already. Expired ones are deleted."""
    mine = API_TOKENS.c.subject == user.subject
    connection.execute(delete(API_TOKENS).where(mine, API_TOKENS.c.expires_ms <= now_ms))
    if connection.execute(select(func.count()).select_from(API_TOKENS).where(mine)).scalar_one() >= _MOST:
        return None
    token, id_ = _PREFIX + secrets.token_urlsafe(32), str(uuid.uuid4())
    row = {"hash": hash_of(token), "id": id_, "subject": user.subject, "name": name[:_LONGEST_NAME]}
    connection.execute(insert(API_TOKENS).values(**row, created_ms=now_ms, expires_ms=expires_ms))
    details = {"token": id_, "name": row["name"]}
    actions.record(connection, user, "token_made", now_ms, About(subject=user.subject, details=details))
    return token


def revoke(connection: Connection, user: User, id_: str, now_ms: int) -> bool:
    """End one of the user's own tokens; False if there is none."""
    found = delete(API_TOKENS).where(API_TOKENS.c.subject == user.subject, API_TOKENS.c.id == id_)
    if connection.execute(found).rowcount != 1:
        return False
    actions.record(connection, user, "token_revoked", now_ms, About(subject=user.subject, details={"token": id_}))
    return True


def revoke_all(connection: Connection, subject: str) -> None:
    """End all tokens of a user."""
    connection.execute(delete(API_TOKENS).where(API_TOKENS.c.subject == subject))


def user_of(connection: Connection, token: str, now_ms: int) -> User | None:
    """The user of a valid token: not expired, and of a user who is not disabled."""
    query = (
        select(USERS.c.subject, USERS.c.name, USERS.c.roles)
        .join(API_TOKENS, API_TOKENS.c.subject == USERS.c.subject)
        .where(API_TOKENS.c.hash == hash_of(token), API_TOKENS.c.expires_ms > now_ms, USERS.c.disabled_ms.is_(None))
    )
    row = connection.execute(query).one_or_none()
    return User(row.subject, row.name, roles_of(row.roles)) if row is not None else None


def tokens_of(connection: Connection, subject: str, now_ms: int) -> list[ApiToken]:
    """The valid tokens of a user, the newest first."""
    query = select(API_TOKENS.c.id, API_TOKENS.c.name, API_TOKENS.c.created_ms, API_TOKENS.c.expires_ms).where(
        API_TOKENS.c.subject == subject, API_TOKENS.c.expires_ms > now_ms
    )
    rows = connection.execute(query.order_by(API_TOKENS.c.created_ms.desc()).limit(_MOST))
    return [ApiToken(*row) for row in rows]
