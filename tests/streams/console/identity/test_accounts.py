"""Accounts: who is added, given roles, disabled and reset, and what of it is recorded."""

from functools import partial

import pytest
from sqlalchemy import Connection

from helpers.console_identity import ADMIN, NOON_MS, names, recorded
from streams.console.identity import accounts, api_tokens, second_factor, sessions
from streams.console.identity.accounts import AccountRefused
from streams.console.identity.sessions import Client, Lifetime, Stage
from streams.console.identity.users import Role, User
from streams.consumers.database import Database
from streams.settings.types import CONSOLE_ROLES

LIFE = Lifetime(1_800_000, 43_200_000)
LI = "local:li"
SUB = User("oidc:https://id.example#4711", "Wu", frozenset({Role.REVIEWER}))


async def _add(database: Database, subject: str = LI) -> None:
    def work(connection: Connection) -> None:
        accounts.add_local(connection, ADMIN, subject, {Role.VIEWER, Role.AUDITOR}, "$hash", None, NOON_MS)

    await database.run(work)


async def _start(database: Database, subject: str = LI) -> str:
    def work(connection: Connection) -> str:
        return sessions.start(connection, subject, Stage.FULL, "password", Client("::1", ""), NOON_MS, LIFE)

    return await database.run(work)


async def _lives(database: Database, token: str) -> bool:
    return await database.run(partial(sessions.find, token=token, now_ms=NOON_MS, life=LIFE)) is not None


def test_the_settings_know_all_roles() -> None:
    assert tuple(role.value for role in Role) == CONSOLE_ROLES


async def test_a_name_is_given_once_even_after_its_user_was_disabled(database: Database) -> None:
    await _add(database)
    await database.run(partial(accounts.disable, by=ADMIN, subject=LI, now_ms=NOON_MS))
    with pytest.raises(AccountRefused, match="there is already a user local:li"):
        await _add(database)
    assert names(database) == ["user_added", "user_disabled"]


async def test_roles_change_at_once_and_end_the_sessions(database: Database) -> None:
    await _add(database)
    token = await _start(database)
    await database.run(partial(accounts.set_roles, by=ADMIN, subject=LI, roles=[Role.REVIEWER], now_ms=NOON_MS))
    assert not await _lives(database, token)
    found = await database.run(partial(sessions.find, token=await _start(database), now_ms=NOON_MS, life=LIFE))
    assert found is not None
    assert found.user.roles == {Role.REVIEWER}
    changed = recorded(database)[-1]
    assert changed["details"] == {"before": "viewer,auditor", "roles": "reviewer"}
    assert (changed["actor"], changed["subject"], changed["roles"]) == ("local:ada", LI, ["admin"])
    token = await _start(database)
    await database.run(partial(accounts.set_roles, by=ADMIN, subject=LI, roles=[Role.REVIEWER], now_ms=NOON_MS))
    assert await _lives(database, token), "the same roles again change nothing"
    assert len(recorded(database)) == 2


@pytest.mark.parametrize(
    ("subject", "roles", "key"),
    [
        (LI, [], "no_role"),
        ("local:nobody", [Role.VIEWER], "unknown"),
        (ADMIN.subject, [Role.VIEWER], "oneself"),
        (SUB.subject, [Role.VIEWER], "provider"),
    ],
)
async def test_roles_that_cannot_be_given(database: Database, subject: str, roles: list[Role], key: str) -> None:
    await _add(database)
    await _add(database, ADMIN.subject)
    with pytest.raises(AccountRefused) as refused:
        await database.run(partial(accounts.set_roles, by=ADMIN, subject=subject, roles=roles, now_ms=NOON_MS))
    assert refused.value.key == key


async def test_nobody_disables_or_resets_oneself(database: Database) -> None:
    await _add(database, ADMIN.subject)
    for change in (
        partial(accounts.disable, by=ADMIN, subject=ADMIN.subject, now_ms=NOON_MS),
        partial(accounts.reset, by=ADMIN, subject=ADMIN.subject, hashed="$", initial_until_ms=None, now_ms=NOON_MS),
    ):
        with pytest.raises(AccountRefused):
            await database.run(change)


async def test_a_reset_ends_sessions_and_the_second_factor(database: Database) -> None:
    await _add(database)
    token = await _start(database)

    def enrolled(connection: Connection) -> None:
        second_factor.enrol(connection, LI)
        second_factor.new_recovery_codes(connection, LI)

    await database.run(enrolled)
    await database.run(
        partial(accounts.reset, by=ADMIN, subject=LI, hashed="$new", initial_until_ms=NOON_MS + 1, now_ms=NOON_MS)
    )
    assert not await _lives(database, token)
    assert not await database.run(partial(second_factor.is_enrolled, subject=LI))
    assert await database.run(partial(second_factor.recovery_codes_left, subject=LI)) == 0
    stored = await database.run(partial(accounts.password_of, subject=LI))
    assert stored is not None
    assert (stored.hash, stored.initial_until_ms) == ("$new", NOON_MS + 1)


async def test_a_user_of_the_provider_gets_its_roles_at_each_sign_in(database: Database) -> None:
    assert await database.run(partial(accounts.signed_in_by_provider, user=SUB, now_ms=NOON_MS))
    token = await _start(database, SUB.subject)
    assert await database.run(partial(accounts.signed_in_by_provider, user=SUB, now_ms=NOON_MS))
    assert await _lives(database, token)
    fewer = User(SUB.subject, "Wu Min", frozenset({Role.VIEWER}))
    assert await database.run(partial(accounts.signed_in_by_provider, user=fewer, now_ms=NOON_MS))
    assert not await _lives(database, token), "a session with the earlier roles"
    await database.run(partial(accounts.disable, by=ADMIN, subject=SUB.subject, now_ms=NOON_MS))
    assert not await database.run(partial(accounts.signed_in_by_provider, user=fewer, now_ms=NOON_MS))
    assert names(database) == ["user_added", "roles_changed", "user_disabled"]


async def test_users_are_listed_in_pages(database: Database) -> None:
    for number in range(5):
        await _add(database, f"local:u{number}")
    await _start(database, "local:u3")
    with database.reading() as connection:
        first = accounts.accounts(connection, NOON_MS, most=3)
        rest = accounts.accounts(connection, NOON_MS, after=first[-1].user.subject)
    assert [each.user.name for each in (*first, *rest)] == ["u0", "u1", "u2", "u3", "u4"]
    assert [each.sessions for each in (*first, *rest)] == [0, 0, 0, 1, 0]


async def test_a_stored_role_that_this_release_does_not_know_gives_nothing() -> None:
    assert sessions.roles_of("viewer,emperor,") == {Role.VIEWER}
    assert sessions.roles_of("") == frozenset()


async def test_api_tokens_expire_and_end_with_their_user(database: Database) -> None:
    await _add(database)
    li = User(LI, "li", frozenset({Role.VIEWER, Role.AUDITOR}))
    make = partial(api_tokens.make, user=li, name="reports", expires_ms=NOON_MS + 1000, now_ms=NOON_MS)
    token = await database.run(make)
    assert token is not None
    find = partial(api_tokens.user_of, token=token)
    assert await database.run(partial(find, now_ms=NOON_MS + 999)) == li
    assert await database.run(partial(find, now_ms=NOON_MS + 1000)) is None
    await database.run(partial(accounts.disable, by=ADMIN, subject=LI, now_ms=NOON_MS))
    assert await database.run(partial(find, now_ms=NOON_MS)) is None
    await database.run(partial(accounts.enable, by=ADMIN, subject=LI, now_ms=NOON_MS))
    assert await database.run(partial(find, now_ms=NOON_MS)) is None, "it does not come back with its user"
    await database.run(make)
    (listed,) = await database.run(partial(api_tokens.tokens_of, subject=LI, now_ms=NOON_MS))
    assert not await database.run(partial(api_tokens.revoke, user=ADMIN, id_=listed.id, now_ms=NOON_MS))
    assert await database.run(partial(api_tokens.revoke, user=li, id_=listed.id, now_ms=NOON_MS))
    assert token not in str(recorded(database))
    expected = ["user_added", "token_made", "user_disabled", "user_enabled", "token_made", "token_revoked"]
    assert names(database) == expected
    again = await database.run(make)
    assert again is not None
    reset = partial(accounts.reset, by=ADMIN, subject=LI, hashed="$", initial_until_ms=None, now_ms=NOON_MS)
    await database.run(reset)
    assert await database.run(partial(api_tokens.user_of, token=again, now_ms=NOON_MS)) is None


async def test_a_user_has_twenty_api_tokens_at_most(database: Database) -> None:
    await _add(database)
    li = User(LI, "li", frozenset({Role.VIEWER}))
    make = partial(api_tokens.make, user=li, name="x", expires_ms=NOON_MS + 1000, now_ms=NOON_MS)
    assert [await database.run(make) is not None for _ in range(21)] == [True] * 20 + [False]
    assert await database.run(
        partial(api_tokens.make, user=li, name="x", expires_ms=NOON_MS + 9000, now_ms=NOON_MS + 5000)
    )
