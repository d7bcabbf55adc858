"""Links that sign in once: who may use them, and what is recorded."""

from functools import partial

import pytest
from sqlalchemy import select

from helpers.console_identity import Clock
from streams.console.identity import accounts
from streams.console.identity.components import Identity
from streams.console.identity.links.sign_in_links import FIRST, SECOND, SignInLinks, start_session
from streams.console.identity.sessions import Client, Lifetime, find
from streams.console.identity.tables import PASSWORDS
from streams.console.identity.users import User
from streams.consumers.database import Database
from streams.kafka.api import PermanentError
from streams.settings.load import load

HERE = Client("127.0.0.1", "")
LIFE = Lifetime(1_000_000, 1_000_000)


def made() -> tuple[SignInLinks, list[tuple[User, str]]]:
    shown: list[tuple[User, str]] = []
    return SignInLinks("http://127.0.0.1:6071", lambda user, link: shown.append((user, link))), shown


def token_of(link: str) -> str:
    return link.removeprefix("http://127.0.0.1:6071/sign-in?once=")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1"])
def test_a_link_is_worth_one_sign_in_of_its_user(address: str) -> None:
    links, shown = made()
    links.offer(*links.users)
    (_, first), (_, second) = shown
    assert links.take(token_of(second), Client(address, "")) == SECOND
    assert links.take(token_of(second), Client(address, "")) is None
    assert links.take(token_of(first), Client(address, "")) == FIRST
    assert [user for user, _ in shown] == [FIRST, SECOND, SECOND, FIRST]
    assert len({link for _, link in shown}) == 4


@pytest.mark.parametrize("address", ["192.0.2.1", "", "1270.0.0.1", "::2", "10.127.0.1"])
def test_another_machine_cannot_use_a_link_nor_use_it_up(address: str) -> None:
    links, shown = made()
    links.offer(FIRST)
    assert links.take(token_of(shown[0][1]), Client(address, "")) is None
    assert links.take(token_of(shown[0][1]), HERE) == FIRST


async def test_users_of_links_have_no_password_and_can_be_disabled(database: Database, clock: Clock) -> None:
    links, _ = made()
    await database.run(partial(links.prepare, now_ms=clock()))
    await database.run(partial(links.prepare, now_ms=clock()))  # a second start changes nothing
    start = partial(start_session, user=FIRST, client=HERE, now_ms=clock(), life=LIFE)
    started = await database.run(start)
    assert started is not None
    found = await database.run(partial(find, token=started.token, now_ms=clock(), life=LIFE))
    assert found is not None
    assert (found.user, found.method) == (FIRST, "link")
    with database.reading() as connection:
        assert connection.execute(select(PASSWORDS)).all() == []
    await database.run(partial(accounts.disable, by=SECOND, subject=FIRST.subject, now_ms=clock()))
    assert await database.run(start) is None


def test_a_console_with_a_public_address_has_no_links(database: Database, clock: Clock) -> None:
    settings = load({"console_url": "https://desk.example"})
    with pytest.raises(PermanentError, match="CALLWARDEN_CONSOLE_URL"):
        Identity(settings, database, clock, links=made()[0])
