"""Signing in with a local account: password, then the code of the second factor, then a session."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from streams.console import actions
from streams.console.actions import ADDRESS, About
from streams.console.identity import accounts, passwords, second_factor, sessions
from streams.console.identity.accounts import AccountRefused, StoredPassword, local_subject
from streams.console.identity.failures import FailedSignIns
from streams.console.identity.passwords import PasswordChecks
from streams.console.identity.secret_keys import Devices
from streams.console.identity.sessions import Client, Lifetime, Session, Stage
from streams.console.identity.throttle import SignInThrottle
from streams.console.identity.users import User
from streams.consumers.database import Database

_PASSWORD: Final = "password"


class SignInFailed(Exception):
    """Name and password, or the code, are not right, or the account is disabled: which of them is not said."""


class SignInThrottled(Exception):
    """Too many failures: the next attempt is possible in ``wait_s`` seconds."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(wait_s)
        self.wait_s = wait_s


class PasswordRefused(Exception):
    """A new password that is not accepted; ``key`` is the end of its text's key."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True, slots=True)
class Started:
    """A new session: its token, and what it allows. ``mark``: for the browser, see `Devices`."""

    token: str = field(repr=False)
    stage: Stage
    mark: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SignInRules:
    """How users sign in. ``required``: each local account needs a second factor."""

    life: Lifetime
    required: bool


@dataclass(frozen=True, slots=True)
class SignInParts:
    """What signing in rests on."""

    database: Database
    passwords: PasswordChecks
    throttle: SignInThrottle
    failures: FailedSignIns
    devices: Devices
    clock: Callable[[], int]


class LocalSignIn:
    """Signs users in step by step. Each step ends the session of the step before, and starts one with a new token."""

    def __init__(self, parts: SignInParts, rules: SignInRules) -> None:
        self._parts, self.rules = parts, rules

    async def with_password(self, name: str, password: str, client: Client, mark: str) -> Started:
        """The first step. Raises SignInFailed, SignInThrottled, passwords.Busy and TransientError."""
        parts = self._parts
        try:
            subject = local_subject(name[: passwords.LONGEST])
        except AccountRefused:
            subject = None
        account = subject or name[: passwords.LONGEST]
        device = parts.devices.verified(account, mark) if mark else None
        if wait_s := parts.throttle.begin(account, client.address, device):
            raise SignInThrottled(wait_s)
        stored = await self._read(partial(accounts.password_of, subject=subject or ""))
        right = await parts.passwords.verify(stored.hash if stored is not None else None, password)
        now_ms = parts.clock()
        expired = stored is not None and stored.initial_until_ms is not None and stored.initial_until_ms <= now_ms
        if stored is None or not right or stored.disabled or expired:
            await parts.failures.add(stored.user.subject if stored is not None else None, client.address)
            raise SignInFailed
        right_ones = {stored.hash}
        if parts.passwords.is_outdated(stored.hash):
            hashed = await parts.passwords.hash(password)
            rehash = partial(accounts.rehash, subject=stored.user.subject, before=stored.hash, hashed=hashed)
            await parts.database.run(rehash)
            right_ones.add(hashed)
        first_step = partial(self._first_step, before=stored.user, hashes=right_ones, client=client, now_ms=now_ms)
        started = await parts.database.run(first_step)
        if started.stage is not Stage.CODE:
            # With a second factor, guesses of codes count on until one was right.
            parts.throttle.succeeded(account, client.address, device)
        return started

    async def with_code(self, session: Session, code: str, client: Client) -> Started:
        """The second step: a code of the authenticator, or a recovery code. Raises as `with_password`."""
        parts, subject = self._parts, session.user.subject
        # Who comes here knows the password, so all addresses are counted together.
        device = f"code {subject}"
        if wait_s := parts.throttle.begin(subject, client.address, device):
            raise SignInThrottled(wait_s)
        started = await parts.database.run(
            partial(self._second_step, session=session, code=code, client=client, now_ms=parts.clock())
        )
        if started is None:
            await parts.failures.add(subject, client.address)
            raise SignInFailed
        parts.throttle.succeeded(subject, client.address, device)
        return started

    async def with_new_password(self, session: Session, password: str, client: Client) -> Started:
        """Replaces an initial password. Raises PasswordRefused, SignInFailed if the session has ended, and Busy."""
        parts, subject = self._parts, session.user.subject
        if key := passwords.fault(password, session.user.name):
            raise PasswordRefused(key)
        stored = await self._read(partial(accounts.password_of, subject=subject))
        if stored is None or await parts.passwords.verify(stored.hash, password):
            raise PasswordRefused("same")
        hashed = await parts.passwords.hash(password)
        return await parts.database.run(
            partial(self._replace, session=session, hashed=hashed, client=client, now_ms=parts.clock())
        )

    def _first_step(
        self, connection: Connection, before: User, hashes: Collection[str], client: Client, now_ms: int
    ) -> Started:
        stored = accounts.password_of(connection, before.subject)
        if stored is None or stored.disabled or stored.hash not in hashes:
            raise SignInFailed  # changed while the password was checked
        subject = stored.user.subject
        if second_factor.is_enrolled(connection, subject):
            stage = Stage.CODE
        elif stored.initial_until_ms is not None:
            stage = Stage.PASSWORD
        else:
            stage = Stage.ENROL if self.rules.required else Stage.FULL
        return self._start(connection, stored.user, stage, client, now_ms)

    def _second_step(
        self, connection: Connection, session: Session, code: str, client: Client, now_ms: int
    ) -> Started | None:
        subject = session.user.subject
        right = second_factor.take_code(connection, subject, code, now_ms)
        if not right and not second_factor.take_recovery_code(connection, subject, code):
            return None
        if not sessions.end(connection, session.hash) or not accounts.is_active(connection, subject):
            raise SignInFailed
        stored = accounts.password_of(connection, subject)
        stage = Stage.PASSWORD if stored is not None and stored.initial_until_ms is not None else Stage.FULL
        return self._start(connection, session.user, stage, client, now_ms)

    def _replace(self, connection: Connection, session: Session, hashed: str, client: Client, now_ms: int) -> Started:
        if not sessions.end(connection, session.hash) or not accounts.is_active(connection, session.user.subject):
            raise SignInFailed
        accounts.change_password(connection, session.user, hashed, now_ms, keep=None)
        factor = second_factor.is_enrolled(connection, session.user.subject)
        stage = Stage.ENROL if self.rules.required and not factor else Stage.FULL
        return self._start(connection, session.user, stage, client, now_ms)

    def finish_enrolment(self, connection: Connection, session: Session, client: Client, now_ms: int) -> Started:
        """After the required second factor was set up, in the transaction of that. Raises SignInFailed."""
        if not sessions.end(connection, session.hash) or not accounts.is_active(connection, session.user.subject):
            raise SignInFailed
        return self._start(connection, session.user, Stage.FULL, client, now_ms)

    def _start(self, connection: Connection, user: User, stage: Stage, client: Client, now_ms: int) -> Started:
        token = sessions.start(connection, user.subject, stage, _PASSWORD, client, now_ms, self.rules.life)
        if stage is not Stage.FULL:
            return Started(token, stage)
        note_sign_in(connection, user, _PASSWORD, client, now_ms)
        return Started(token, stage, self._parts.devices.mark(user.subject))

    async def _read(self, query: Callable[[Connection], StoredPassword | None]) -> StoredPassword | None:
        def run() -> StoredPassword | None:
            with self._parts.database.reading() as connection:
                return query(connection)

        return await run_in_threadpool(run)


def note_sign_in(connection: Connection, user: User, method: str, client: Client, now_ms: int) -> None:
    """Record that the user has signed in."""
    accounts.seen(connection, user.subject, now_ms)
    about = About(details={"method": method, ADDRESS: client.address})
    actions.record(connection, user, "signed_in", now_ms, about)
