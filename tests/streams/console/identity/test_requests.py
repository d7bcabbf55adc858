"""The application as browsers and attackers see it: sessions, cookies, forged requests, and where a sign-in leads."""

import re
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pyotp
import pytest
from sqlalchemy import Connection, select

from helpers.console_identity import ADMIN, NOON_MS, PASSWORD, Clock, field, names, recorded
from streams.console import app
from streams.console.identity import accounts, api_tokens, components
from streams.console.identity.passwords import PasswordChecks
from streams.console.identity.site import Site, safe_next
from streams.console.identity.tables import SESSIONS
from streams.console.identity.users import Role, User
from streams.consumers.database import Database

LI = "local:li"
COOKIE = "callwarden_session"


@pytest.fixture
async def li(database: Database, passwords: PasswordChecks) -> None:
    await _add(database, passwords, LI, Role.REVIEWER)


async def _add(database: Database, passwords: PasswordChecks, subject: str, *roles: Role) -> None:
    hashed = await passwords.hash(PASSWORD)

    def work(connection: Connection) -> None:
        accounts.add_local(connection, ADMIN, subject, roles, hashed, None, NOON_MS)

    await database.run(work)


async def _sign_in(
    browser: httpx.AsyncClient, name: str = "li", to: str = "", password: str = PASSWORD
) -> httpx.Response:
    page = await browser.get("/sign-in", params={"next": to})
    form = {"csrf": field(page.text, "csrf"), "name": name, "password": password, "next": to}
    return await browser.post("/sign-in", data=form)


async def _csrf(browser: httpx.AsyncClient) -> str:
    return field((await browser.get("/settings/account")).text, "csrf")


async def test_a_page_leads_to_the_sign_in_and_back(browsers, li) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    away = await browser.get("/settings/account?done=tokens")
    assert away.status_code == 303
    assert away.headers["location"] == "/sign-in?next=%2Fsettings%2Faccount%3Fdone%3Dtokens"
    page = await browser.get(away.headers["location"])
    assert field(page.text, "next") == "/settings/account?done=tokens"
    back = await _sign_in(browser, to=field(page.text, "next"))
    assert (back.status_code, back.headers["location"]) == (303, "/settings/account?done=tokens")
    assert (await browser.get("/settings/account")).status_code == 200


async def test_what_is_not_right_is_said_without_saying_what(browsers, li) -> None:  # type: ignore[no-untyped-def]
    answers = [
        await _sign_in(browsers(f"192.0.2.{number}"), name, password=password)
        for number, (name, password) in enumerate([("li", "wrong horse battery"), ("nobody", PASSWORD)])
    ]
    assert [each.status_code for each in answers] == [401, 401]
    bodies = [each.text.replace('value="nobody"', 'value="li"') for each in answers]
    bodies = [each.replace(field(each, "csrf"), "") for each in bodies]
    assert bodies[0] == bodies[1]


async def test_cookies_over_https_are_of_this_host_alone(browsers, li) -> None:  # type: ignore[no-untyped-def]
    browser = browsers(console_url="https://console.example")
    answer = await _sign_in(browser)
    set_cookies = answer.headers.get_list("set-cookie")
    session = next(each for each in set_cookies if each.startswith(f"__Host-{COOKIE}="))
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= set(session.split("; "))
    assert "Domain" not in session
    assert "Max-Age" not in session
    assert all("HttpOnly" in each and "Secure" in each for each in set_cookies)


async def test_cookies_on_loopback_have_no_prefix(browsers, li) -> None:  # type: ignore[no-untyped-def]
    answer = await _sign_in(browsers())
    session = next(each for each in answer.headers.get_list("set-cookie") if each.startswith(f"{COOKIE}="))
    assert "Secure" not in session
    assert {"HttpOnly", "SameSite=lax"} <= set(session.split("; "))


async def test_a_token_that_was_there_before_the_sign_in_is_worth_nothing_after_it(  # type: ignore[no-untyped-def]
    browsers, li, database: Database, passwords: PasswordChecks
) -> None:
    """Session fixation: the attacker's session is put into the victim's browser."""
    await _add(database, passwords, "local:mallory", Role.VIEWER)
    attacker, victim = browsers("198.51.100.1"), browsers()
    await _sign_in(attacker, "mallory")
    planted = attacker.cookies[COOKIE]
    victim.cookies.set(COOKIE, planted, domain="127.0.0.1")
    page = await victim.get("/settings/account")
    form = {"csrf": field(page.text, "csrf"), "name": "li", "password": PASSWORD}
    assert (await victim.post("/sign-in", data=form)).status_code == 303
    assert victim.cookies[COOKIE] != planted
    assert (await attacker.get("/settings/account")).status_code == 303
    made_up = browsers("192.0.2.9")
    made_up.cookies.set(COOKIE, "A" * 43, domain="127.0.0.1")
    await _sign_in(made_up)
    assert made_up.cookies[COOKIE] != "A" * 43


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
    await _sign_in(browser)
    token = await _csrf(browser)
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
    await _sign_in(browser)
    for path in ("/sign-out", "/settings/account/tokens", "/queue", "/nothing", "/v1/x", "/static/x", "/sign-in"):
        answer = await browser.request(method, path)
        assert answer.status_code == 403, path
        assert "expired" in answer.text or answer.headers["content-type"] == "application/problem+json"


async def test_the_token_is_of_one_session(browsers, li, database: Database, passwords: PasswordChecks) -> None:  # type: ignore[no-untyped-def]
    await _add(database, passwords, "local:wu", Role.REVIEWER)
    mine, other = browsers(), browsers("192.0.2.2")
    await _sign_in(mine)
    await _sign_in(other, "wu")
    theirs = await _csrf(other)
    for token in (theirs, "", "x", "\udcff", theirs * 3):
        data = urlencode({"csrf": token}, errors="surrogatepass")
        headers = {"content-type": "application/x-www-form-urlencoded"}
        assert (await mine.post("/sign-out", content=data, headers=headers)).status_code == 403
    assert (await mine.post("/sign-out", headers={"X-CSRF-Token": theirs})).status_code == 403
    assert (await mine.post("/sign-out", headers={"X-CSRF-Token": await _csrf(mine)})).status_code == 303


async def test_the_sign_in_form_itself_is_protected(browsers, li) -> None:  # type: ignore[no-untyped-def]
    """Login CSRF: the victim is signed in as the attacker."""
    browser, attacker = browsers(), browsers("198.51.100.1")
    his = field((await attacker.get("/sign-in")).text, "csrf")
    form = {"name": "li", "password": PASSWORD}
    assert (await browser.post("/sign-in", data=form)).status_code == 403
    assert (await browser.post("/sign-in", data=form | {"csrf": his})).status_code == 403
    await browser.get("/sign-in")
    assert (await browser.post("/sign-in", data=form | {"csrf": his})).status_code == 403


async def test_a_form_may_hold_any_text(browsers, li) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    await _sign_in(browser)
    form = {"csrf": await _csrf(browser), "name": "报表 + 100 % & \u2028 more=", "days": "7"}
    page = await browser.post("/settings/account/tokens", data={"first": "李伟", **form})
    assert page.status_code == 422, "a line separator is not printable"
    page = await browser.post("/settings/account/tokens", data=form | {"name": "报表 + 100 % & more="})
    assert "报表 + 100 % &amp; more=" in page.text


async def test_a_body_in_another_form_needs_the_header(browsers, li) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    await _sign_in(browser)
    token = await _csrf(browser)
    for sent in ({"json": {"csrf": token}}, {"files": {"csrf": (None, token)}}, {"content": f"csrf={token}"}):
        assert (await browser.post("/sign-out", **sent)).status_code == 403
    answer = await browser.post("/sign-out", json={}, headers={"x-csrf-token": token})
    assert answer.status_code == 303


@pytest.mark.parametrize(
    "body", [b"csrf=x&" + b"a=1&" * 2000, b"a=" + b"x" * (2 << 20), b"a=%FF%00&csrf=%F0", b"\xff=\xfe&csrf=\xfd"]
)
async def test_huge_and_odd_forms_are_refused_before_they_are_parsed(browsers, li, body: bytes) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    await _sign_in(browser)
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await browser.post("/settings/account/tokens", content=body, headers=headers)
    assert answer.status_code in (403, 413)


async def test_an_endless_form_is_read_no_further_than_its_limit(browsers, li) -> None:  # type: ignore[no-untyped-def]
    browser, sent = browsers(), 0
    await _sign_in(browser)

    async def endless():  # type: ignore[no-untyped-def]
        nonlocal sent
        while sent < 64 << 20:
            sent += 1 << 16
            yield b"x" * (1 << 16)

    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert (await browser.post("/sign-out", content=endless(), headers=headers)).status_code == 413


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "evil.example:6071", "", "127.0.0.1:6071@evil", "[::2]", "0.0.0.0"],
)
async def test_other_host_names_are_not_answered(browsers, li, host: str) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    for path in ("/", "/sign-in", "/queue", "/v1/x", "/static/x"):
        answer = await browser.get(path, headers={"host": host})
        assert answer.status_code == 400, path
    await _sign_in(browser)
    assert (await browser.get("/settings/account", headers={"host": host})).status_code == 400


def test_which_hosts_are_answered() -> None:
    site = Site("https://Console.Example")
    assert [site.answers(each) for each in ("console.example", "CONSOLE.example:443", "console.example:80")] == [
        1,
        1,
        0,
    ]
    assert site.origin == "https://console.example"
    ported = Site("https://console.example:8443")
    assert [ported.answers(each) for each in ("console.example:8443", "console.example")] == [True, False]
    assert ported.origin == "https://console.example:8443"
    local = Site(None)
    assert all(
        local.answers(each) for each in ("localhost", "127.0.0.1:6071", "[::1]:6071", "LOCALHOST:1", "127.9.9.9")
    )
    assert Site("http://[::1]:6071").answers("[::1]:6071")


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/%09/evil.example\r\nSet-Cookie: x=y",
        "javascript:alert(1)",
        "evil.example",
        "@evil.example",
        " /queue",
        "/" + "x" * 3000,
        "/queue\0",
        "/队列",
        "/sign-in",
        "/sign-out",
        "",
        None,
    ],
)
async def test_a_sign_in_leads_to_our_own_pages_alone(browsers, li, path: str | None) -> None:  # type: ignore[no-untyped-def]
    assert safe_next(path) == "/queue"
    answer = await _sign_in(browsers(), to=path or "")
    assert (answer.status_code, answer.headers["location"]) == (303, "/queue")


@pytest.mark.parametrize("path", ["/queue", "/cases/cwe-1?tab=x&y=//z", "/tenants/%2F..%2F", "/search?q=https://x"])
def test_paths_of_ours(path: str) -> None:
    assert safe_next(path) == path


async def test_a_role_that_is_taken_away_is_gone_with_the_next_request(  # type: ignore[no-untyped-def]
    browsers, database: Database, passwords: PasswordChecks
) -> None:
    await _add(database, passwords, LI, Role.ADMIN)
    browser = browsers()
    await _sign_in(browser)
    assert (await browser.get("/admin/users")).status_code == 200
    other = User("local:eve", "eve", frozenset({Role.ADMIN}))
    await database.run(partial(accounts.set_roles, by=other, subject=LI, roles=[Role.VIEWER], now_ms=NOON_MS))
    assert (await browser.get("/admin/users")).status_code == 303
    await _sign_in(browser)
    assert (await browser.get("/admin/users")).status_code == 403


async def test_an_idle_session_ends_and_one_in_use_ends_later(browsers, li, clock: Clock) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    await _sign_in(browser)
    clock.pass_s(29 * 60)
    assert (await browser.get("/settings/account")).status_code == 200
    await _sign_in(browsers("192.0.2.2"))  # waits for the writer, and so for the note of that request
    clock.pass_s(29 * 60)
    assert (await browser.get("/settings/account")).status_code == 200
    clock.pass_s(31 * 60)
    assert (await browser.get("/settings/account")).status_code == 303
    await _sign_in(browser)
    for _ in range(13 * 4):
        clock.pass_s(15 * 60)
        last = await browser.get("/settings/account")
        await browser.get("/sign-in")
    assert last.status_code == 303, "after twelve hours, whatever its use"


async def test_what_a_page_asks_for_by_itself_keeps_no_session_alive(browsers, li, clock: Clock) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    await _sign_in(browser)
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
    await _sign_in(browser)
    token, csrf = browser.cookies[COOKIE], await _csrf(browser)
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
    await _sign_in(first)
    await _sign_in(second)
    await second.post("/settings/account/sessions", data={"csrf": await _csrf(second)})
    assert (await first.get("/settings/account")).status_code == 303
    assert (await second.get("/settings/account")).status_code == 200


async def test_nobody_ends_the_session_of_another(browsers, li, database: Database, passwords: PasswordChecks) -> None:  # type: ignore[no-untyped-def]
    await _add(database, passwords, "local:wu", Role.REVIEWER)
    mine, other = browsers(), browsers("192.0.2.2")
    await _sign_in(mine)
    await _sign_in(other, "wu")
    with database.reading() as connection:
        (theirs,) = connection.execute(select(SESSIONS.c.hash).where(SESSIONS.c.subject == "local:wu")).scalars()
    await mine.post("/settings/account/sessions", data={"csrf": await _csrf(mine), "session": theirs})
    assert (await other.get("/settings/account")).status_code == 200


async def test_a_changed_password_ends_the_other_sessions(browsers, li) -> None:  # type: ignore[no-untyped-def]
    first, second = browsers(), browsers("192.0.2.2")
    await _sign_in(first)
    await _sign_in(second)
    form = {"csrf": await _csrf(second), "current": "wrong", "password": "a new horse, a new battery"}
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
    await _sign_in(browser)
    form = {"csrf": await _csrf(browser), "password": "a new horse, a new battery"}
    form["repeated"] = form["password"]
    paths = ("/settings/account/password", "/settings/account/second-factor", "/settings/account/recovery-codes")
    statuses = [(await browser.post(paths[number % 3], data=form)).status_code for number in range(30)]
    assert statuses.count(422) == 10
    assert statuses.count(429) == 20


async def test_the_second_factor_from_the_page_to_the_next_sign_in(
    browsers, li, clock: Clock, database: Database
) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    await _sign_in(browser)
    form = {"csrf": await _csrf(browser), "current": PASSWORD}
    page = (await browser.post("/settings/account/second-factor", data=form)).text
    secret = page.split('<code class="mono secret">')[1].split("<")[0]
    assert "<svg" in page
    totp = pyotp.TOTP(secret)
    wrong = await browser.post("/settings/account/second-factor/confirm", data=form | {"code": "000000"})
    assert wrong.status_code == 422
    assert secret in wrong.text
    code = totp.generate_otp(clock() // 30_000)
    codes = await browser.post("/settings/account/second-factor/confirm", data=form | {"code": code})
    assert codes.text.count("<li>") == 10
    assert secret not in (await browser.get("/settings/account")).text
    clock.pass_s(60)
    other = browsers("192.0.2.2")
    first = await _sign_in(other, to="/settings/account")
    assert first.headers["location"] == "/sign-in/code?next=%2Fsettings%2Faccount"
    assert (await other.get("/settings/account")).status_code == 303, "a password alone opens nothing"
    step = await other.get(first.headers["location"])
    before = other.cookies[COOKIE]
    sent = {
        "csrf": field(step.text, "csrf"),
        "code": totp.generate_otp(clock() // 30_000),
        "next": field(step.text, "next"),
    }
    done = await other.post("/sign-in/code", data=sent)
    assert (done.status_code, done.headers["location"]) == (303, "/settings/account")
    assert other.cookies[COOKIE] != before
    assert (await other.get("/settings/account")).status_code == 200
    assert (await other.get("/sign-in/code")).status_code == 303
    assert names(database) == ["user_added", "signed_in", "second_factor_set", "signed_in"]
    assert secret not in str(recorded(database))


async def test_a_required_second_factor_is_set_up_at_the_first_sign_in(browsers, li, clock: Clock) -> None:  # type: ignore[no-untyped-def]
    browser = browsers(console_second_factor="required")
    first = await _sign_in(browser)
    assert first.headers["location"] == "/sign-in/second-factor?next=%2Fqueue"
    assert (await browser.get("/settings/account")).status_code == 303
    page = (await browser.get(first.headers["location"])).text
    secret = page.split('<code class="mono secret">')[1].split("<")[0]
    sent = {"csrf": field(page, "csrf"), "code": pyotp.TOTP(secret).generate_otp(clock() // 30_000)}
    codes = await browser.post("/sign-in/second-factor", data=sent)
    assert codes.text.count("<li>") == 10
    assert (await browser.get("/settings/account")).status_code == 200


async def test_an_initial_password_from_the_page_of_users(
    browsers, database: Database, passwords: PasswordChecks
) -> None:  # type: ignore[no-untyped-def]
    await _add(database, passwords, "local:ada", Role.ADMIN)
    admin, new = browsers(), browsers("192.0.2.2")
    await _sign_in(admin, "ada")
    page = (await admin.get("/admin/users")).text
    form = {"csrf": field(page, "csrf"), "name": "Wu", "role_reviewer": "on", "role_nothing": "on"}
    made = await admin.post("/admin/users", data=form)
    initial = made.text.split('<code class="mono secret">')[1].split("<")[0]
    assert initial not in (await admin.get("/admin/users")).text
    assert initial not in str(recorded(database))
    assert (await admin.post("/admin/users", data=form)).status_code == 422
    step = await _sign_in(new, "wu", password=initial)
    assert step.headers["location"] == "/sign-in/password?next=%2Fqueue"
    assert (await new.get("/settings/account")).status_code == 303
    page = (await new.get(step.headers["location"])).text
    form = {"csrf": field(page, "csrf"), "password": PASSWORD, "repeated": PASSWORD}
    assert (await new.post("/sign-in/password", data=form | {"repeated": "x"})).status_code == 422
    assert (await new.post("/sign-in/password", data=form)).headers["location"] == "/queue"
    assert (await new.get("/admin/users")).status_code == 403
    disable = {
        "csrf": field((await admin.get("/admin/users")).text, "csrf"),
        "subject": "local:wu",
        "change": "disable",
    }
    assert (await admin.post("/admin/users/change", data=disable)).status_code == 303
    assert (await new.get("/settings/account")).status_code == 303
    oneself = disable | {"subject": "local:ada"}
    assert (await admin.post("/admin/users/change", data=oneself)).status_code == 422


async def test_an_api_token_reads_the_api_and_nothing_else(browsers, li, database: Database) -> None:  # type: ignore[no-untyped-def]
    browser, program = browsers(), browsers("192.0.2.2")
    await _sign_in(browser)
    form = {"csrf": await _csrf(browser), "name": "<b>reports</b>", "days": "30"}
    page = (await browser.post("/settings/account/tokens", data=form)).text
    token = page.split('<code class="mono secret">')[1].split("<")[0]
    assert token.startswith("cwt_")
    assert "<b>reports" not in page
    headers = {"authorization": f"Bearer {token}"}
    assert (await program.get("/settings/account", headers=headers)).status_code == 303
    assert (await program.get("/queue", headers=headers)).status_code == 303
    user = partial(api_tokens.user_of, now_ms=NOON_MS)
    assert (await database.run(partial(user, token=token))) is not None
    assert (await database.run(partial(user, token=token + "x"))) is None
    assert (await browser.post("/settings/account/tokens", data=form | {"days": "36500"})).status_code == 422


async def test_too_many_failures_say_when_to_try_again(browsers, li) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    for _ in range(5):
        assert (await _sign_in(browser, password="wrong horse battery")).status_code == 401
    answer = await _sign_in(browser)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    assert (await _sign_in(browsers("192.0.2.2"))).status_code == 303


async def test_what_is_given_is_shown_harmless(browsers, li) -> None:  # type: ignore[no-untyped-def]
    hostile = '"><script>alert(1)</script>'
    answer = await _sign_in(browsers(), name=hostile, to=f"/queue?{hostile}", password="x")
    assert "<script>alert" not in answer.text
    answer = await browsers("192.0.2.2").get("/sign-in", params={"next": "/x\r\nSet-Cookie: a=b"})
    assert "a=b" not in str(answer.headers)
