"""Sessions: their cookies, their ends, and that nobody takes over the session of another."""

import re
from functools import partial
from pathlib import Path

import pytest
from signed_in import COOKIE, LI, add_user, csrf_of, sign_in
from sqlalchemy import select

from helpers.console_identity import NOON_MS, PASSWORD, Clock, field, names
from streams.console import app
from streams.console.identity import accounts, components
from streams.console.identity.passwords import PasswordChecks
from streams.console.identity.tables import SESSIONS
from streams.console.identity.users import Role, User
from streams.consumers.database import Database


async def test_cookies_over_https_are_of_this_host_alone(browsers, li) -> None:  # type: ignore[no-untyped-def]
    browser = browsers(console_url="https://console.example")
    answer = await sign_in(browser)
    set_cookies = answer.headers.get_list("set-cookie")
    session = next(each for each in set_cookies if each.startswith(f"__Host-{COOKIE}="))
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= set(session.split("; "))
    assert "Domain" not in session
    assert "Max-Age" not in session
    assert all("HttpOnly" in each and "Secure" in each for each in set_cookies)


async def test_cookies_on_loopback_have_no_prefix(browsers, li) -> None:  # type: ignore[no-untyped-def]
    answer = await sign_in(browsers())
    session = next(each for each in answer.headers.get_list("set-cookie") if each.startswith(f"{COOKIE}="))
    assert "Secure" not in session
    assert {"HttpOnly", "SameSite=lax"} <= set(session.split("; "))


async def test_a_token_that_was_there_before_the_sign_in_is_worth_nothing_after_it(  # type: ignore[no-untyped-def]
    browsers, li, database: Database, passwords: PasswordChecks
) -> None:
    """Session fixation: the attacker's session is put into the victim's browser."""
    await add_user(database, passwords, "local:mallory", Role.VIEWER)
    attacker, victim = browsers("198.51.100.1"), browsers()
    await sign_in(attacker, "mallory")
    planted = attacker.cookies[COOKIE]
    victim.cookies.set(COOKIE, planted, domain="127.0.0.1")
    page = await victim.get("/settings/account")
    form = {"csrf": field(page.text, "csrf"), "name": "li", "password": PASSWORD}
    assert (await victim.post("/sign-in", data=form)).status_code == 303
    assert victim.cookies[COOKIE] != planted
    assert (await attacker.get("/settings/account")).status_code == 303
    made_up = browsers("192.0.2.9")
    made_up.cookies.set(COOKIE, "A" * 43, domain="127.0.0.1")
    await sign_in(made_up)
    assert made_up.cookies[COOKIE] != "A" * 43


async def test_a_role_that_is_taken_away_is_gone_with_the_next_request(  # type: ignore[no-untyped-def]
    browsers, database: Database, passwords: PasswordChecks
) -> None:
    await add_user(database, passwords, LI, Role.ADMIN)
    browser = browsers()
    await sign_in(browser)
    assert (await browser.get("/admin/users")).status_code == 200
    other = User("local:eve", "eve", frozenset({Role.ADMIN}))
    await database.run(partial(accounts.set_roles, by=other, subject=LI, roles=[Role.VIEWER], now_ms=NOON_MS))
    assert (await browser.get("/admin/users")).status_code == 303
    await sign_in(browser)
    assert (await browser.get("/admin/users")).status_code == 403


async def test_an_idle_session_ends_and_one_in_use_ends_later(browsers, li, clock: Clock) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    await sign_in(browser)
    clock.pass_s(29 * 60)
    assert (await browser.get("/settings/account")).status_code == 200
    await sign_in(browsers("192.0.2.2"))  # waits for the writer, and so for the note of that request
    clock.pass_s(29 * 60)
    assert (await browser.get("/settings/account")).status_code == 200
    clock.pass_s(31 * 60)
    assert (await browser.get("/settings/account")).status_code == 303
    await sign_in(browser)
    for _ in range(13 * 4):
        clock.pass_s(15 * 60)
        last = await browser.get("/settings/account")
        await browser.get("/sign-in")
    assert last.status_code == 303, "after twelve hours, whatever its use"


async def test_what_a_page_asks_for_by_itself_keeps_no_session_alive(browsers, li, clock: Clock) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    await sign_in(browser)
    for _ in range(31):
        clock.pass_s(60)
        await browser.head("/events")  # a GET lasts as long as the page is open
        assert (await browser.get("/queue/counts", headers={"X-Passive": "true"})).status_code in (200, 303)
    assert (await browser.get("/settings/account")).status_code == 303


def test_each_element_that_asks_by_itself_says_so() -> None:
    folder = Path(app.__file__).parent / "templates"
    asking = [
        element
        for path in folder.rglob("*.j2")
        for element in re.findall(r"<[^>]*hx-trigger=\"(?:every|changed:)[^>]*>", path.read_text("utf-8"))
    ]
    assert len(asking) >= 5
    assert [element for element in asking if '"X-Passive"' not in element] == []


async def test_signing_out_ends_the_session_not_only_the_cookie(browsers, li, database: Database) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    await sign_in(browser)
    token, csrf = browser.cookies[COOKIE], await csrf_of(browser)
    assert (await browser.get("/sign-out")).status_code == 405
    await browser.post("/sign-out", data={"csrf": csrf})
    assert COOKIE not in browser.cookies
    browser.cookies.set(COOKIE, token)
    assert (await browser.get("/settings/account")).status_code == 303
    with database.reading() as connection:
        assert connection.execute(select(SESSIONS)).all() == []
    assert names(database) == ["user_added", "signed_in", "signed_out"]


async def test_ending_all_others_keeps_this_one(browsers, li) -> None:  # type: ignore[no-untyped-def]
    first, second = browsers(), browsers("192.0.2.2")
    await sign_in(first)
    await sign_in(second)
    await second.post("/settings/account/sessions", data={"csrf": await csrf_of(second)})
    assert (await first.get("/settings/account")).status_code == 303
    assert (await second.get("/settings/account")).status_code == 200


async def test_nobody_ends_the_session_of_another(browsers, li, database: Database, passwords: PasswordChecks) -> None:  # type: ignore[no-untyped-def]
    await add_user(database, passwords, "local:wu", Role.REVIEWER)
    mine, other = browsers(), browsers("192.0.2.2")
    await sign_in(mine)
    await sign_in(other, "wu")
    with database.reading() as connection:
        (theirs,) = connection.execute(select(SESSIONS.c.hash).where(SESSIONS.c.subject == "local:wu")).scalars()
    await mine.post("/settings/account/sessions", data={"csrf": await csrf_of(mine), "session": theirs})
    assert (await other.get("/settings/account")).status_code == 200


async def test_a_changed_password_ends_the_other_sessions(browsers, li) -> None:  # type: ignore[no-untyped-def]
    first, second = browsers(), browsers("192.0.2.2")
    await sign_in(first)
    await sign_in(second)
    form = {"csrf": await csrf_of(second), "current": "wrong", "password": "a new horse, a new battery"}
    form["repeated"] = form["password"]
    assert (await second.post("/settings/account/password", data=form)).status_code == 422
    form["current"] = PASSWORD
    assert (await second.post("/settings/account/password", data=form)).status_code == 303
    assert (await first.get("/settings/account")).status_code == 303
    assert (await second.get("/settings/account")).status_code == 200


async def test_a_stolen_session_cannot_guess_the_password(  # type: ignore[no-untyped-def]
    browsers, li, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(components, "steady_s", lambda: 0.0)  # on a busy machine, one of the attempts is allowed again
    browser = browsers()
    await sign_in(browser)
    form = {"csrf": await csrf_of(browser), "password": "a new horse, a new battery"}
    form["repeated"] = form["password"]
    paths = ("/settings/account/password", "/settings/account/second-factor", "/settings/account/recovery-codes")
    statuses = [(await browser.post(paths[number % 3], data=form)).status_code for number in range(30)]
    assert statuses.count(422) == 10
    assert statuses.count(429) == 20
