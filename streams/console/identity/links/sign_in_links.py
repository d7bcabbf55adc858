"""Links that sign one user in once, for a console that only this machine can reach. They are kept in memory."""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection

from streams.console.identity import accounts, sessions
from streams.console.identity.sessions import Client, Lifetime, Stage, hash_of, new_token
from streams.console.identity.sign_in import Started, note_sign_in
from streams.console.identity.users import LOCAL, Role, User

_METHOD: Final = "link"
_LOOPBACK: Final = ("127.", "::1", "::ffff:127.")

FIRST: Final = User(f"{LOCAL}demo", "demo", frozenset({Role.REVIEWER, Role.POLICY_OWNER, Role.AUDITOR, Role.ADMIN}))
SECOND: Final = User(f"{LOCAL}demo-2", "demo-2", frozenset({Role.REVIEWER, Role.POLICY_OWNER}))
"""The second person, who approves bans and policies."""


class SignInLinks:
    """The valid links, one of each user; a used one is replaced by another. ``show`` gets each new one."""

    def __init__(
        self, address: str, show: Callable[[User, str], None], users: Sequence[User] = (FIRST, SECOND)
    ) -> None:
        """``address`` is the console's: `http://127.0.0.1:6071`."""
        self._address, self._show = address, show
        self.users = tuple(users)
        self._valid: dict[str, User] = {}

    def prepare(self, connection: Connection, now_ms: int) -> None:
        """Add the users who are missing; they have no password."""
        for user in self.users:
            accounts.add_without_password(connection, user, now_ms)

    def offer(self, *users: User) -> None:
        """Make a new link for each of these users."""
        for user in users:
            token = new_token()
            self._valid[hash_of(token)] = user
            self._show(user, f"{self._address}/sign-in?once={token}")

    def take(self, token: str, client: Client) -> User | None:
        """The user of a link, which is valid no more then; None if it was not, or is used from another machine."""
        if not client.address.startswith(_LOOPBACK):
            return None
        user = self._valid.pop(hash_of(token), None)
        if user is not None:
            self.offer(user)
        return user


def start_session(connection: Connection, user: User, client: Client, now_ms: int, life: Lifetime) -> Started | None:
    """A session of the user of a link; None if the user is disabled."""
    if not accounts.is_active(connection, user.subject):
        return None
    token = sessions.start(connection, user.subject, Stage.FULL, _METHOD, client, now_ms, life)
    note_sign_in(connection, user, _METHOD, client, now_ms)
    return Started(token, Stage.FULL)
