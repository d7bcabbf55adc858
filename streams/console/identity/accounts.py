"""Users in the database: added, given roles, disabled, reset. Each change is recorded as an action."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Row, delete, exists, func, insert, or_, select, update

from streams.console import actions
from streams.console.actions import About
from streams.console.identity import api_tokens, second_factor, sessions
from streams.console.identity.tables import PASSWORDS, SECOND_FACTORS, SESSIONS, USERS
from streams.console.identity.users import LOCAL, OIDC, Role, User
from streams.consumers.sql_common import inserted

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_LONGEST_SHOWN: Final = 128
_PAGE: Final = 100
_MOST_LISTED: Final = 500


class AccountRefused(Exception):
    """A change that is not possible. ``key`` is the end of its text's key; the message is for the command line."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True)
class Account:
    """A user as an administrator sees it."""

    user: User
    created_ms: int
    disabled_ms: int | None
    seen_ms: int | None
    has_second_factor: bool
    sessions: int


@dataclass(frozen=True, slots=True)
class StoredPassword:
    """The password of a local account. ``initial_until_ms``: it is an initial one, until then."""

    user: User
    hash: str
    initial_until_ms: int | None
    disabled: bool


def local_subject(name: str) -> str:
    """The subject of a local account. Raises AccountRefused if no account can have that name."""
    folded = name.strip().casefold()
    if not _NAME.fullmatch(folded):
        raise AccountRefused(
            "name",
            f"`{name}` is not a name; expected 1 to 63 of a to z, digits, `.`, `_` and `-`, a letter or digit first",
        )
    return LOCAL + folded


def add_local(
    connection: Connection, by: User, subject: str, roles: Iterable[Role], hashed: str, initial_until_ms: int | None,
    now_ms: int,
) -> User:  # fmt: skip
    """Add a local account. Raises AccountRefused if there is, or was, one of that name."""
    user = User(subject, subject.removeprefix(LOCAL), frozenset(roles))
    row = {"subject": subject, "name": user.name, "roles": roles_text(user.roles), "created_ms": now_ms}
    if not inserted(connection, USERS, row):
        raise AccountRefused(
            "exists", f"there is already a user {subject}; expected another name: names are not reused"
        )
    _store_password(connection, subject, hashed, initial_until_ms, now_ms)
    about = About(subject=subject, details={"roles": roles_text(user.roles)})
    actions.record(connection, by, "user_added", now_ms, about)
    return user


def add_without_password(connection: Connection, user: User, now_ms: int) -> None:
    """Add a user who signs in by links; one that exists stays as it is."""
    roles = roles_text(user.roles)
    row = {"subject": user.subject, "name": user.name, "roles": roles, "created_ms": now_ms}
    if inserted(connection, USERS, row):
        about = About(subject=user.subject, details={"roles": roles})
        actions.record(connection, user, "user_added", now_ms, about)


def signed_in_by_provider(connection: Connection, user: User, now_ms: int) -> bool:
    """Note a user whom the provider has just verified, with the roles that it gives; False if the user is disabled.

    If the roles have changed since the last sign-in, the sessions with the earlier ones end.
    """
    roles = roles_text(user.roles)
    row = {"subject": user.subject, "name": user.name, "roles": roles, "created_ms": now_ms}
    about = About(subject=user.subject, details={"roles": roles})
    if inserted(connection, USERS, row):
        actions.record(connection, user, "user_added", now_ms, about)
        return True
    stored = connection.execute(select(USERS).where(USERS.c.subject == user.subject).with_for_update()).one()
    if stored.disabled_ms is not None:
        return False
    changed = update(USERS).where(USERS.c.subject == user.subject).values(name=user.name, roles=roles)
    connection.execute(changed)
    if stored.roles != roles:
        sessions.end_all(connection, user.subject)
        actions.record(connection, user, "roles_changed", now_ms, about)
    return True


def given_no_role(connection: Connection, subject: str, now_ms: int) -> bool:
    """Note that the provider has just verified the user and gives no role: the earlier ones, the sessions and the API
    tokens end. False if there is no such user.
    """
    row = connection.execute(select(USERS).where(USERS.c.subject == subject).with_for_update()).one_or_none()
    if row is None:
        return False
    if row.roles:
        connection.execute(update(USERS).where(USERS.c.subject == subject).values(roles=""))
        sessions.end_all(connection, subject)
        api_tokens.revoke_all(connection, subject)
        about = About(subject=subject, details={"before": row.roles, "roles": ""})
        actions.record(connection, User(subject, row.name, frozenset()), "roles_changed", now_ms, about)
    return True


def set_roles(connection: Connection, by: User, subject: str, roles: Iterable[Role], now_ms: int) -> None:
    """Give a local account these roles, in place of those it has; its sessions end. Raises AccountRefused."""
    new = frozenset(roles)
    if subject.startswith(OIDC):
        raise AccountRefused("provider", f"{subject}: the provider gives the roles; expected a change there")
    if not new:
        raise AccountRefused("no_role", f"{subject}: no role; expected one or more, or disable the user")
    stored = _stored(connection, subject)
    if stored.roles == roles_text(new):
        return
    if by.subject == subject:
        raise AccountRefused("oneself", f"{subject}: nobody changes the roles of oneself; expected another admin")
    connection.execute(update(USERS).where(USERS.c.subject == subject).values(roles=roles_text(new)))
    sessions.end_all(connection, subject)
    details = {"before": stored.roles, "roles": roles_text(new)}
    actions.record(connection, by, "roles_changed", now_ms, About(subject=subject, details=details))


def disable(connection: Connection, by: User, subject: str, now_ms: int) -> None:
    """Let the user not sign in any more, and end all its sessions and API tokens. Raises AccountRefused."""
    if by.subject == subject:
        raise AccountRefused("oneself", f"{subject}: nobody disables oneself; expected another admin")
    stored = _stored(connection, subject)
    if stored.disabled_ms is None:
        connection.execute(update(USERS).where(USERS.c.subject == subject).values(disabled_ms=now_ms))
        actions.record(connection, by, "user_disabled", now_ms, About(subject=subject))
    sessions.end_all(connection, subject)
    api_tokens.revoke_all(connection, subject)


def enable(connection: Connection, by: User, subject: str, now_ms: int) -> None:
    """Let a disabled user sign in again. Raises AccountRefused."""
    if _stored(connection, subject).disabled_ms is not None:
        connection.execute(update(USERS).where(USERS.c.subject == subject).values(disabled_ms=None))
        actions.record(connection, by, "user_enabled", now_ms, About(subject=subject))


def reset(
    connection: Connection, by: User, subject: str, hashed: str, initial_until_ms: int | None, now_ms: int
) -> None:
    """Give a local account another password, without a second factor, and end its sessions and API tokens.

    Raises AccountRefused.
    """
    if not subject.startswith(LOCAL):
        raise AccountRefused("provider", f"{subject}: the provider has the password; expected a local account")
    if by.subject == subject:
        raise AccountRefused("oneself", f"{subject}: expected another admin, or the page of one's own account")
    _stored(connection, subject)
    _store_password(connection, subject, hashed, initial_until_ms, now_ms)
    second_factor.remove(connection, subject)
    sessions.end_all(connection, subject)
    api_tokens.revoke_all(connection, subject)
    actions.record(connection, by, "user_reset", now_ms, About(subject=subject))


def change_password(connection: Connection, user: User, hashed: str, now_ms: int, *, keep: str | None) -> None:
    """Store the user's own new password, and end all its sessions but the one with the hash ``keep``."""
    _store_password(connection, user.subject, hashed, None, now_ms)
    sessions.end_all(connection, user.subject, but=keep)
    actions.record(connection, user, "password_changed", now_ms, About(subject=user.subject))


def password_of(connection: Connection, subject: str) -> StoredPassword | None:
    """The password of a local account; None if there is none."""
    query = select(USERS, PASSWORDS.c.hash, PASSWORDS.c.initial_until_ms).join(
        PASSWORDS, PASSWORDS.c.subject == USERS.c.subject
    )
    row = connection.execute(query.where(USERS.c.subject == subject)).one_or_none()
    if row is None:
        return None
    return StoredPassword(_user(row), row.hash, row.initial_until_ms, row.disabled_ms is not None)


def rehash(connection: Connection, subject: str, before: str, hashed: str) -> None:
    """Store the same password with today's parameters, unless it was changed meanwhile."""
    same = PASSWORDS.c.subject == subject, PASSWORDS.c.hash == before
    connection.execute(update(PASSWORDS).where(*same).values(hash=hashed))


def accounts(connection: Connection, now_ms: int, after: str = "", most: int = _PAGE) -> list[Account]:
    """Users in the order of their subjects, those after ``after``."""
    count = (
        select(func.count())
        .select_from(SESSIONS)
        .where(SESSIONS.c.subject == USERS.c.subject, SESSIONS.c.expires_ms > now_ms)
        .scalar_subquery()
    )
    factor = exists().where(SECOND_FACTORS.c.subject == USERS.c.subject, SECOND_FACTORS.c.confirmed_ms.is_not(None))
    query = select(USERS, count.label("sessions"), factor.label("factor")).where(USERS.c.subject > after)
    rows: Sequence[Row[tuple[object, ...]]] = connection.execute(query.order_by(USERS.c.subject).limit(most)).all()
    return [
        Account(_user(row), row.created_ms, row.disabled_ms, row.seen_ms, bool(row.factor), row.sessions)
        for row in rows
    ]


def with_roles(connection: Connection, roles: Sequence[Role]) -> list[User]:
    """The users that have one of these roles and are not disabled, at most `_MOST_LISTED`."""
    named = or_(*(USERS.c.roles.contains(role.value, autoescape=True) for role in roles))
    query = select(USERS).where(named, USERS.c.disabled_ms.is_(None)).order_by(USERS.c.subject).limit(_MOST_LISTED)
    return [user for row in connection.execute(query) if (user := _user(row)).roles & set(roles)]


def seen(connection: Connection, subject: str, now_ms: int) -> None:
    """Note when the user signed in."""
    connection.execute(update(USERS).where(USERS.c.subject == subject).values(seen_ms=now_ms))


def is_active(connection: Connection, subject: str) -> bool:
    """Whether there is such a user, and it is not disabled, until the transaction ends."""
    query = select(USERS.c.subject).where(USERS.c.subject == subject, USERS.c.disabled_ms.is_(None))
    return connection.execute(query.with_for_update()).first() is not None


def roles_text(roles: Iterable[Role]) -> str:
    """Roles as they are stored: in the order of `Role`."""
    given = set(roles)
    return ",".join(role.value for role in Role if role in given)


def _stored(connection: Connection, subject: str) -> "Row[tuple[object, ...]]":
    row = connection.execute(select(USERS).where(USERS.c.subject == subject).with_for_update()).one_or_none()
    if row is None:
        raise AccountRefused("unknown", f"there is no user {subject}; `callwarden console user list` shows all")
    return row


def _store_password(
    connection: Connection, subject: str, hashed: str, initial_until_ms: int | None, now_ms: int
) -> None:
    connection.execute(delete(PASSWORDS).where(PASSWORDS.c.subject == subject))
    row = {"subject": subject, "hash": hashed, "changed_ms": now_ms, "initial_until_ms": initial_until_ms}
    connection.execute(insert(PASSWORDS).values(row))


def _user(row: "Row[tuple[object, ...]]") -> User:
    return User(row.subject, row.name[:_LONGEST_SHOWN], sessions.roles_of(row.roles))
