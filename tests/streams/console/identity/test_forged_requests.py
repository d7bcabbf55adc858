"""Requests that another page or another session forges are refused."""

from urllib.parse import urlencode

import pytest
from signed_in import add_user, csrf_of, sign_in

from helpers.console_identity import PASSWORD, field
from streams.console.identity.passwords import PasswordChecks
from streams.console.identity.users import Role
from streams.consumers.database import Database


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:6072"},
        {"origin": "https://127.0.0.1:6071"},
        {"origin": "http://127.0.0.1:6071.evil.example"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"referer": "https://evil.example/http://127.0.0.1:6071/"},
        {},
    ],
)
async def test_a_form_of_another_page_is_refused(browsers, li, headers: dict[str, str]) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    await sign_in(browser)
    token = await csrf_of(browser)
    del browser.headers["origin"]
    for path, form in (("/sign-out", {}), ("/settings/account/tokens", {"name": "x", "days": "7"})):
        answer = await browser.post(path, data={"csrf": token, **form}, headers=headers)
        assert answer.status_code == 403, path
    assert (await browser.get("/settings/account")).status_code == 200
    assert (
        await browser.post("/sign-out", data={"csrf": token}, headers={"referer": "http://127.0.0.1:6071/queue"})
    ).status_code == 303


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE", "FOO"])
async def test_no_unsafe_method_goes_without_the_token(browsers, li, method: str) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    await sign_in(browser)
    for path in ("/sign-out", "/settings/account/tokens", "/queue", "/nothing", "/v1/x", "/static/x", "/sign-in"):
        answer = await browser.request(method, path)
        assert answer.status_code == 403, path
        assert "expired" in answer.text or answer.headers["content-type"] == "application/problem+json"


async def test_the_token_is_of_one_session(browsers, li, database: Database, passwords: PasswordChecks) -> None:  # type: ignore[no-untyped-def]
    await add_user(database, passwords, "local:wu", Role.REVIEWER)
    mine, other = browsers(), browsers("192.0.2.2")
    await sign_in(mine)
    await sign_in(other, "wu")
    theirs = await csrf_of(other)
    for token in (theirs, "", "x", "\udcff", theirs * 3):
        data = urlencode({"csrf": token}, errors="surrogatepass")
        headers = {"content-type": "application/x-www-form-urlencoded"}
        assert (await mine.post("/sign-out", content=data, headers=headers)).status_code == 403
    assert (await mine.post("/sign-out", headers={"X-CSRF-Token": theirs})).status_code == 403
    assert (await mine.post("/sign-out", headers={"X-CSRF-Token": await csrf_of(mine)})).status_code == 303


async def test_the_sign_in_form_itself_is_protected(browsers, li) -> None:  # type: ignore[no-untyped-def]
    """Login CSRF: the victim is signed in as the attacker."""
    browser, attacker = browsers(), browsers("198.51.100.1")
    his = field((await attacker.get("/sign-in")).text, "csrf")
    form = {"name": "li", "password": PASSWORD}
    assert (await browser.post("/sign-in", data=form)).status_code == 403
    assert (await browser.post("/sign-in", data=form | {"csrf": his})).status_code == 403
    await browser.get("/sign-in")
    assert (await browser.post("/sign-in", data=form | {"csrf": his})).status_code == 403


async def test_a_body_in_another_form_needs_the_header(browsers, li) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    await sign_in(browser)
    token = await csrf_of(browser)
    for sent in ({"json": {"csrf": token}}, {"files": {"csrf": (None, token)}}, {"content": f"csrf={token}"}):
        assert (await browser.post("/sign-out", **sent)).status_code == 403
    answer = await browser.post("/sign-out", json={}, headers={"x-csrf-token": token})
    assert answer.status_code == 303
