"""The pages of the sign-in: where it leads, its second factor, initial passwords, and what is refused."""

from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from signed_in import COOKIE, add_user, csrf_of, sign_in

from helpers.console_identity import PASSWORD, Clock, field, names, recorded
from streams.console.identity.passwords import PasswordChecks
from streams.console.identity.site import safe_next
from streams.console.identity.users import Role
from streams.consumers.database import Database


async def test_a_page_leads_to_the_sign_in_and_back(browsers, li) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    away = await browser.get("/settings/account?done=tokens")
    assert away.status_code == 303
    assert away.headers["location"] == "/sign-in?next=%2Fsettings%2Faccount%3Fdone%3Dtokens"
    page = await browser.get(away.headers["location"])
    assert field(page.text, "next") == "/settings/account?done=tokens"
    back = await sign_in(browser, to=field(page.text, "next"))
    assert (back.status_code, back.headers["location"]) == (303, "/settings/account?done=tokens")
    assert (await browser.get("/settings/account")).status_code == 200


@pytest.mark.parametrize("path", ["/tenants/a%2Fb", "/tenants/a%25b", "/tenants/%E5%85%AC", "/tenants/a%5Cb"])
async def test_the_way_back_is_the_path_as_it_was_asked_for(browsers, path: str) -> None:  # type: ignore[no-untyped-def]
    away = await browsers().get(f"{path}?done=1")
    assert parse_qs(urlsplit(away.headers["location"]).query)["next"] == [f"{path}?done=1"]


async def test_what_is_not_right_is_said_without_saying_what(browsers, li) -> None:  # type: ignore[no-untyped-def]
    answers = [
        await sign_in(browsers(f"192.0.2.{number}"), name, password=password)
        for number, (name, password) in enumerate([("li", "wrong horse battery"), ("nobody", PASSWORD)])
    ]
    assert [each.status_code for each in answers] == [401, 401]
    bodies = [each.text.replace('value="nobody"', 'value="li"') for each in answers]
    bodies = [each.replace(field(each, "csrf"), "") for each in bodies]
    assert bodies[0] == bodies[1]


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
    answer = await sign_in(browsers(), to=path or "")
    assert (answer.status_code, answer.headers["location"]) == (303, "/queue")


@pytest.mark.parametrize("path", ["/queue", "/cases/cwe-1?tab=x&y=//z", "/tenants/%2F..%2F", "/search?q=https://x"])
def test_paths_of_ours(path: str) -> None:
    assert safe_next(path) == path


async def test_the_second_factor_from_the_page_to_the_next_sign_in(
    browsers, li, clock: Clock, database: Database
) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    await sign_in(browser)
    form = {"csrf": await csrf_of(browser), "current": PASSWORD}
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
    first = await sign_in(other, to="/settings/account")
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
    first = await sign_in(browser)
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
    await add_user(database, passwords, "local:ada", Role.ADMIN)
    admin, new = browsers(), browsers("192.0.2.2")
    await sign_in(admin, "ada")
    page = (await admin.get("/admin/users")).text
    form = {"csrf": field(page, "csrf"), "name": "Wu", "role_reviewer": "on", "role_nothing": "on"}
    made = await admin.post("/admin/users", data=form)
    initial = made.text.split('<code class="mono secret">')[1].split("<")[0]
    assert initial not in (await admin.get("/admin/users")).text
    assert initial not in str(recorded(database))
    assert (await admin.post("/admin/users", data=form)).status_code == 422
    step = await sign_in(new, "wu", password=initial)
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


async def test_too_many_failures_say_when_to_try_again(browsers, li) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    for _ in range(5):
        assert (await sign_in(browser, password="wrong horse battery")).status_code == 401
    answer = await sign_in(browser)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    assert (await sign_in(browsers("192.0.2.2"))).status_code == 303


async def test_what_is_given_is_shown_harmless(browsers, li) -> None:  # type: ignore[no-untyped-def]
    hostile = '"><script>alert(1)</script>'
    answer = await sign_in(browsers(), name=hostile, to=f"/queue?{hostile}", password="x")
    assert "<script>alert" not in answer.text
    answer = await browsers("192.0.2.2").get("/sign-in", params={"next": "/x\r\nSet-Cookie: a=b"})
    assert "a=b" not in str(answer.headers)
