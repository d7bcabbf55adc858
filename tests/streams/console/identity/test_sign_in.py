"""Signing in with a local account, step by step."""

import asyncio
from collections.abc import Callable
from functools import partial

import pyotp
import pytest
from argon2 import PasswordHasher
from sqlalchemy import Connection, select, update

from helpers.console_identity import ADMIN, NOON_MS, PASSWORD, Clock, names, recorded
from streams.console.identity import accounts, second_factor, sessions
from streams.console.identity.accounts import AccountRefused
from streams.console.identity.failures import FailedSignIns
from streams.console.identity.passwords import PasswordChecks
from streams.console.identity.secret_keys import Devices
from streams.console.identity.sessions import Client, Lifetime, Session, Stage
from streams.console.identity.sign_in import (
    LocalSignIn,
    PasswordRefused,
    SignInFailed,
    SignInParts,
    SignInRules,
    SignInThrottled,
    Started,
)
from streams.console.identity.tables import PASSWORDS, SESSIONS
from streams.console.identity.throttle import SignInThrottle
from streams.console.identity.users import Role
from streams.consumers.database import Database

LIFE = Lifetime(idle_ms=1_800_000, longest_ms=43_200_000)
HERE = Client("192.0.2.1", "Browser/1")
LI = "local:li"
NEW = "another horse, another battery"

Make = Callable[..., LocalSignIn]


@pytest.fixture
def signing_in(database: Database, passwords: PasswordChecks, clock: Clock) -> Make:
    def make(required: bool = False) -> LocalSignIn:
        throttle = SignInThrottle(clock.monotonic_s)
        failures = FailedSignIns(database, clock)
        parts = SignInParts(database, passwords, throttle, failures, Devices(b"k" * 32), clock)
        return LocalSignIn(parts, SignInRules(LIFE, required))

    return make


@pytest.fixture
async def li(database: Database, passwords: PasswordChecks) -> None:
    await _add(database, await passwords.hash(PASSWORD))


async def _add(database: Database, hashed: str, until_ms: int | None = None) -> None:
    def work(connection: Connection) -> None:
        accounts.add_local(connection, ADMIN, LI, {Role.REVIEWER}, hashed, until_ms, NOON_MS)

    await database.run(work)


async def _session(database: Database, started: Started, now_ms: int = NOON_MS) -> Session | None:
    return await database.run(partial(sessions.find, token=started.token, now_ms=now_ms, life=LIFE))


async def _enrol(database: Database) -> pyotp.TOTP:
    def work(connection: Connection) -> str:
        secret = second_factor.enrol(connection, LI)
        assert second_factor.confirm(connection, LI, pyotp.TOTP(secret).generate_otp(NOON_MS // 30_000), NOON_MS)
        return secret

    return pyotp.TOTP(await database.run(work))


async def test_a_right_password_starts_a_session_and_is_recorded(
    database: Database, signing_in: Make, li: None
) -> None:
    started = await signing_in().with_password(" Li ", PASSWORD, HERE, "")
    assert started.stage is Stage.FULL
    session = await _session(database, started)
    assert session is not None
    assert (session.user.subject, session.user.roles, session.method) == (LI, {Role.REVIEWER}, "password")
    assert names(database) == ["user_added", "signed_in"]
    (_, signed_in) = recorded(database)
    assert signed_in["actor"] == LI
    assert signed_in["details"] == {"method": "password", "address": "192.0.2.1"}
    assert started.token not in repr(started)
    with database.reading() as connection:
        assert started.token not in str(connection.execute(select(SESSIONS)).all())


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("li", "wrong horse battery"),
        ("li", ""),
        ("wu", PASSWORD),
        ("", PASSWORD),
        ("local:li", PASSWORD),
        ("li\0", PASSWORD),
        ("l" * 10_000, PASSWORD),
        ("li", "x" * 10_000),
        ("l\u0131", PASSWORD),  # dotless i
        ("\uff4ci", PASSWORD),  # full-width l
    ],
)
async def test_anything_else_fails_alike(
    database: Database, signing_in: Make, li: None, name: str, password: str
) -> None:
    with pytest.raises(SignInFailed):
        await signing_in().with_password(name, password, HERE, "")
    with database.reading() as connection:
        assert connection.execute(select(SESSIONS)).all() == []
    failed = recorded(database)[-1]
    assert failed["action"] == "sign_in_failed"
    assert failed["actor"] is None
    assert failed["subject"] == (LI if name == "li" else None)
    assert name not in ("wu", "local:li") or name not in str(failed), "a name that nobody has may be a password"


async def test_a_disabled_user_cannot_sign_in_and_has_no_session(
    database: Database, signing_in: Make, li: None
) -> None:
    started = await signing_in().with_password("li", PASSWORD, HERE, "")
    await database.run(partial(accounts.disable, by=ADMIN, subject=LI, now_ms=NOON_MS))
    assert await _session(database, started) is None
    with pytest.raises(SignInFailed):
        await signing_in().with_password("li", PASSWORD, HERE, "")
    await database.run(partial(accounts.enable, by=ADMIN, subject=LI, now_ms=NOON_MS))
    assert await _session(database, started) is None, "the earlier session does not come back"
    await signing_in().with_password("li", PASSWORD, HERE, "")


async def test_failures_are_throttled_and_a_flood_is_recorded_once_a_minute(
    database: Database, signing_in: Make, li: None, clock: Clock
) -> None:
    sign_in, refused = signing_in(), 0
    for _ in range(100):
        try:
            await sign_in.with_password("li", "wrong horse battery", HERE, "")
        except SignInThrottled:
            refused += 1
        except SignInFailed:
            pass
    assert refused == 95
    with pytest.raises(SignInThrottled):
        await sign_in.with_password("li", PASSWORD, HERE, "")
    assert names(database) == ["user_added", "sign_in_failed"]
    assert recorded(database)[-1]["details"] == {"count": "1", "address": "192.0.2.1"}
    clock.pass_s(61)
    await sign_in._parts.failures.flush()
    assert recorded(database)[-1]["details"] == {"count": "4", "address": "192.0.2.1"}
    await sign_in.with_password("li", PASSWORD, Client("192.0.2.2", ""), "")


async def test_a_known_browser_signs_in_while_its_address_is_slowed(signing_in: Make, li: None) -> None:
    sign_in = signing_in()
    mark = (await sign_in.with_password("li", PASSWORD, HERE, "")).mark
    assert mark is not None
    for _ in range(6):
        with pytest.raises((SignInFailed, SignInThrottled)):
            await sign_in.with_password("li", "wrong horse battery", HERE, "")
    with pytest.raises(SignInThrottled):
        await sign_in.with_password("li", PASSWORD, HERE, mark[:-1] + ("A" if mark[-1] != "A" else "B"))
    assert (await sign_in.with_password("li", PASSWORD, HERE, mark)).stage is Stage.FULL


async def test_the_second_step_needs_a_code_and_changes_the_token(
    database: Database, signing_in: Make, li: None, clock: Clock
) -> None:
    totp, sign_in = await _enrol(database), signing_in()
    clock.pass_s(60)
    first = await sign_in.with_password("li", PASSWORD, HERE, "")
    assert first.stage is Stage.CODE
    assert first.mark is None, "a password alone makes no browser known"
    session = await _session(database, first, clock())
    assert session is not None
    with pytest.raises(SignInFailed):
        await sign_in.with_code(session, "000000", HERE)
    code = totp.generate_otp(clock() // 30_000)
    second = await sign_in.with_code(session, code, HERE)
    assert second.stage is Stage.FULL
    assert second.token != first.token
    assert await _session(database, first, clock()) is None
    again = await sign_in.with_password("li", PASSWORD, HERE, "")
    session = await _session(database, again, clock())
    assert session is not None
    with pytest.raises(SignInFailed):
        await sign_in.with_code(session, code, HERE)  # the same code once more
    assert names(database) == ["user_added", "sign_in_failed", "signed_in"]


async def test_of_two_requests_with_one_code_one_gets_a_session(
    database: Database, signing_in: Make, li: None, clock: Clock
) -> None:
    totp, sign_in = await _enrol(database), signing_in()
    clock.pass_s(60)
    both = [await sign_in.with_password("li", PASSWORD, HERE, "") for _ in range(2)]
    found = [await _session(database, each, clock()) for each in both]
    code = totp.generate_otp(clock() // 30_000)
    done = await asyncio.gather(
        *(sign_in.with_code(each, code, HERE) for each in found if each is not None), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in done) == ["SignInFailed", "Started"]


async def test_guesses_of_codes_are_throttled_whatever_the_address(
    database: Database, signing_in: Make, li: None, clock: Clock
) -> None:
    """Who knows the password guesses codes, each from another address and in a session of its own."""
    await _enrol(database)
    clock.pass_s(60)
    sign_in, tried = signing_in(), 0
    for number in range(60):
        client = Client(f"198.51.100.{number}", "")
        session = await _session(database, await sign_in.with_password("li", PASSWORD, client, ""), clock())
        assert session is not None
        with pytest.raises((SignInFailed, SignInThrottled)) as refused:
            await sign_in.with_code(session, "000000", client)
        tried += refused.type is SignInFailed
    assert tried == 10


async def test_the_second_step_ends_after_ten_minutes(
    database: Database, signing_in: Make, li: None, clock: Clock
) -> None:
    await _enrol(database)
    first = await signing_in().with_password("li", PASSWORD, HERE, "")
    assert await _session(database, first, NOON_MS + 599_000) is not None
    assert await _session(database, first, NOON_MS + 600_000) is None


async def test_a_recovery_code_stands_in_once(database: Database, signing_in: Make, li: None, clock: Clock) -> None:
    await _enrol(database)
    codes = await database.run(partial(second_factor.new_recovery_codes, subject=LI))
    sign_in = signing_in()
    for stage in (Stage.FULL, None):
        session = await _session(database, await sign_in.with_password("li", PASSWORD, HERE, ""))
        assert session is not None
        if stage is None:
            with pytest.raises(SignInFailed):
                await sign_in.with_code(session, codes[0], HERE)
        else:
            assert (await sign_in.with_code(session, codes[0], HERE)).stage is stage


async def test_an_initial_password_must_be_replaced_and_expires(
    database: Database, signing_in: Make, passwords: PasswordChecks, clock: Clock
) -> None:
    await _add(database, await passwords.hash(PASSWORD), NOON_MS + 3_600_000)
    sign_in = signing_in()
    first = await sign_in.with_password("li", PASSWORD, HERE, "")
    assert first.stage is Stage.PASSWORD
    session = await _session(database, first)
    assert session is not None
    for password, key in ((PASSWORD, "same"), ("short", "short"), ("password123456", "common")):
        with pytest.raises(PasswordRefused) as refused:
            await sign_in.with_new_password(session, password, HERE)
        assert refused.value.key == key
    second = await sign_in.with_new_password(session, NEW, HERE)
    assert second.stage is Stage.FULL
    assert await _session(database, first) is None
    with pytest.raises(SignInFailed):
        await sign_in.with_new_password(session, "yet another horse battery", HERE)  # that session has ended
    with pytest.raises(SignInFailed):
        await sign_in.with_password("li", PASSWORD, HERE, "")
    clock.pass_s(3_601)
    assert (await sign_in.with_password("li", NEW, HERE, "")).stage is Stage.FULL
    assert names(database) == ["user_added", "password_changed", "signed_in", "sign_in_failed", "signed_in"]


async def test_an_expired_initial_password_fails(
    database: Database, signing_in: Make, passwords: PasswordChecks, clock: Clock
) -> None:
    await _add(database, await passwords.hash(PASSWORD), NOON_MS + 3_600_000)
    clock.pass_s(3_600)
    with pytest.raises(SignInFailed):
        await signing_in().with_password("li", PASSWORD, HERE, "")


async def test_where_a_second_factor_is_required_it_is_set_up_first(
    database: Database, signing_in: Make, li: None
) -> None:
    started = await signing_in(required=True).with_password("li", PASSWORD, HERE, "")
    assert started.stage is Stage.ENROL
    session = await _session(database, started)
    assert session is not None
    assert names(database) == ["user_added"], "nobody has signed in yet"


async def test_a_hash_with_other_parameters_is_made_again(database: Database, signing_in: Make) -> None:
    old = PasswordHasher(time_cost=2, memory_cost=64, parallelism=1).hash(PASSWORD)
    await _add(database, old)
    await signing_in().with_password("li", PASSWORD, HERE, "")
    with database.reading() as connection:
        stored = connection.execute(select(PASSWORDS.c.hash)).scalar_one()
    assert stored != old
    await signing_in().with_password("li", PASSWORD, HERE, "")


async def test_a_password_changed_while_it_was_checked_starts_no_session(
    database: Database, signing_in: Make, li: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in = signing_in()
    verify = sign_in._parts.passwords.verify

    async def slow(stored: str | None, password: str) -> bool:
        right = await verify(stored, password)
        await database.run(partial(accounts.reset, by=ADMIN, subject=LI, hashed="$x", initial_until_ms=None, now_ms=0))
        return right

    monkeypatch.setattr(sign_in._parts.passwords, "verify", slow)
    with pytest.raises(SignInFailed):
        await sign_in.with_password("li", PASSWORD, HERE, "")
    with database.reading() as connection:
        assert connection.execute(select(SESSIONS)).all() == []


async def test_unknown_names_take_as_long_as_known_ones(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt computes exactly one hash, with the same parameters."""
    checks = PasswordChecks(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    computed: list[str] = []
    verified = checks._verified

    def counting(stored: str, password: bytes) -> bool:
        computed.append(stored.rpartition("$")[0].rpartition("$")[0])  # its parameters
        return verified(stored, password)

    monkeypatch.setattr(checks, "_verified", counting)
    throttle = SignInThrottle(clock.monotonic_s)
    parts = SignInParts(database, checks, throttle, FailedSignIns(database, clock), Devices(b"k" * 32), clock)
    sign_in = LocalSignIn(parts, SignInRules(LIFE, required=False))
    await _add(database, await checks.hash(PASSWORD))
    for number, name in enumerate(["li", "wu", "", "no name!", "li" * 500]):
        with pytest.raises(SignInFailed):
            await sign_in.with_password(name, "wrong horse battery", Client(f"192.0.2.{number}", ""), "")
    assert len(computed) == 5
    assert len(set(computed)) == 1
    checks.close()


async def test_one_session_of_a_user_is_ended_beyond_twenty(database: Database, signing_in: Make, li: None) -> None:
    sign_in = signing_in()
    started = []
    for number in range(22):
        started.append(await sign_in.with_password("li", PASSWORD, Client(f"192.0.2.{number}", ""), ""))
        await database.run(
            lambda connection, number=number: connection.execute(
                update(SESSIONS).where(SESSIONS.c.created_ms == NOON_MS).values(created_ms=NOON_MS - 100 + number)
            )
        )
    valid = [await _session(database, each) is not None for each in started]
    assert valid == [False] * 2 + [True] * 20


def test_names_of_accounts() -> None:
    assert accounts.local_subject("Li.Wei-2") == "local:li.wei-2"
    for name in ("", ".li", "li wei", "li/wei", "李伟", "l" * 64, "local:li", "oidc:x#y"):
        with pytest.raises(AccountRefused):
            accounts.local_subject(name)
