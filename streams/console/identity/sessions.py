"""Sessions: kept in the database by the hash of their token, ended when their user is disabled or given other roles."""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select, update

from streams.console.identity.tables import SESSIONS, USERS
from streams.console.identity.users import Role, User

_MOST_OF_A_USER: Final = 20
_SEEN_EVERY_MS: Final = 60_000
_STEP_MS: Final = 600_000
"""How long one may take for the second step of a sign-in."""
_PURGED_AT_ONCE: Final = 1_000


class Stage(StrEnum):
    """What a session allows."""

    FULL = "full"
    CODE = "code"
    """Only to give the code of the second factor."""
    PASSWORD = "password"
    """Only to replace an initial password."""
    ENROL = "enrol"
    """Only to set up the second factor that this console requires."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a session lasts without a request, and at most."""

    idle_ms: int
    longest_ms: int


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request comes from, for the list of sessions."""

    address: str
    browser: str


@dataclass(frozen=True, slots=True)
class Session:
    """A valid session and its user, as the database has them now. ``hash`` names it; it is no secret."""

    hash: str
    user: User
    stage: Stage
    method: str
    created_ms: int
    seen_ms: int
    address: str
    browser: str


def hash_of(token: str) -> str:
    """What is stored of a token: who reads the database cannot use it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def csrf_token(secret: str) -> str:
    """The token that forms of this session carry, derived from the session's own, which no page shows."""
    mac = hmac.digest(secret.encode("utf-8", "surrogatepass"), b"callwarden-csrf", "sha256")
    return urlsafe_b64encode(mac).decode().rstrip("=")


def new_token() -> str:
    """A random token of 256 bits."""
    return secrets.token_urlsafe(32)


def start(
    connection: Connection, subject: str, stage: Stage, method: str, client: Client, now_ms: int, life: Lifetime
) -> str:
    """A new session of the user; returns its token. Expired ones, and the oldest beyond 20 of the user, are deleted."""
    expired = select(SESSIONS.c.hash).where(SESSIONS.c.expires_ms <= now_ms).limit(_PURGED_AT_ONCE)
    connection.execute(delete(SESSIONS).where(SESSIONS.c.hash.in_(expired.scalar_subquery())))
    mine = select(SESSIONS.c.hash).where(SESSIONS.c.subject == subject)
    older = connection.execute(mine.order_by(SESSIONS.c.created_ms.desc()).offset(_MOST_OF_A_USER - 1)).scalars().all()
    connection.execute(delete(SESSIONS).where(SESSIONS.c.hash.in_(older)))
    token = new_token()
    connection.execute(
        insert(SESSIONS).values(
            hash=hash_of(token),
            subject=subject,
            stage=stage.value,
            method=method,
            created_ms=now_ms,
            seen_ms=now_ms,
            expires_ms=now_ms + (life.longest_ms if stage is Stage.FULL else _STEP_MS),
            address=client.address[:64],
            browser=client.browser[:200],
        )
    )
    return token


def find(connection: Connection, token: str, now_ms: int, life: Lifetime) -> Session | None:
    """The valid session of that token: not expired, not idle for too long, and of a user who is not disabled."""
    query = (
        select(SESSIONS, USERS.c.name, USERS.c.roles)
        .join(USERS, USERS.c.subject == SESSIONS.c.subject)
        .where(
            SESSIONS.c.hash == hash_of(token),
            SESSIONS.c.expires_ms > now_ms,
            SESSIONS.c.seen_ms > now_ms - life.idle_ms,
            USERS.c.disabled_ms.is_(None),
        )
    )
    row = connection.execute(query).one_or_none()
    return _session(row) if row is not None else None


def is_stale(session: Session, now_ms: int) -> bool:
    """Whether the last request was so long ago that `touch` is to store the new one."""
    return now_ms - session.seen_ms >= _SEEN_EVERY_MS


def touch(connection: Connection, session_hash: str, now_ms: int) -> None:
    """Note a request of the session."""
    seen = update(SESSIONS).where(SESSIONS.c.hash == session_hash, SESSIONS.c.seen_ms < now_ms)
    connection.execute(seen.values(seen_ms=now_ms))


def end(connection: Connection, session_hash: str) -> bool:
    """End one session; False if it had ended."""
    return connection.execute(delete(SESSIONS).where(SESSIONS.c.hash == session_hash)).rowcount == 1


def end_all(connection: Connection, subject: str, *, but: str | None = None) -> int:
    """End all sessions of the user, except the one with the hash ``but``; returns how many."""
    query = delete(SESSIONS).where(SESSIONS.c.subject == subject)
    if but is not None:
        query = query.where(SESSIONS.c.hash != but)
    return connection.execute(query).rowcount


def sessions_of(connection: Connection, subject: str, now_ms: int, life: Lifetime) -> list[Session]:
    """The valid sessions of the user, the newest first."""
    query = (
        select(SESSIONS, USERS.c.name, USERS.c.roles)
        .join(USERS, USERS.c.subject == SESSIONS.c.subject)
        .where(
            SESSIONS.c.subject == subject, SESSIONS.c.expires_ms > now_ms, SESSIONS.c.seen_ms > now_ms - life.idle_ms
        )
        .order_by(SESSIONS.c.created_ms.desc())
        .limit(_MOST_OF_A_USER)
    )
    return [_session(row) for row in connection.execute(query)]


def roles_of(text: str) -> frozenset[Role]:
    """The roles of a stored text. One that this release does not know gives no permission."""
    known = {role.value: role for role in Role}
    return frozenset(known[each] for each in text.split(",") if each in known)


def _session(row: Row[Any]) -> Session:
    user = User(row.subject, row.name, roles_of(row.roles))
    stage = Stage(row.stage)
    return Session(row.hash, user, stage, row.method, row.created_ms, row.seen_ms, row.address, row.browser)
