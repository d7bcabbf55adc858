"""The console's pages with a real provider: whose access ends, and whom a stranger cannot keep out."""

import re
import warnings
from collections.abc import Iterator
from urllib.parse import urlsplit

import aiohttp
import httpx
import pytest

from helpers.console_identity import field, recorded
from streams.console.identity.users import Role
from streams.consumers.database import Database

# The mock stands on parts of Authlib that warn of their own end.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def issuer() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import oidc_provider_mock as mock
    with mock.run_server_in_thread() as server:
        yield f"http://localhost:{server.server_port}"


def _settings(issuer: str) -> dict[str, str]:
    return {
        "console_url": "http://127.0.0.1:6071",
        "console_oidc_issuer": issuer,
        "console_oidc_client_id": "console",
        "console_oidc_client_secret": "s3cret&=%",
        "console_oidc_roles": "cw-reviewers=reviewer, cw-admins=admin",
    }


async def _give(issuer: str, sub: str, *groups: str) -> None:
    """The provider has this user, with these groups."""
    claims = {"name": "Wu Min", "groups": list(groups)}
    async with aiohttp.ClientSession() as admin, admin.put(f"{issuer}/users/{sub}", json=claims) as answer:
        assert answer.ok, await answer.text()


async def _sign_in(browser: httpx.AsyncClient, sub: str) -> httpx.Response:
    away = await browser.get("/sign-in/provider")
    async with (
        aiohttp.ClientSession() as provider,
        provider.post(away.headers["location"], data={"sub": sub}, allow_redirects=False) as response,
    ):
        back = urlsplit(response.headers["location"])
    return await browser.get(f"{back.path}?{back.query}")


async def test_who_has_no_role_any_more_loses_sessions_and_tokens(  # type: ignore[no-untyped-def]
    browsers, issuer: str, database: Database
) -> None:
    await _give(issuer, "wu", "cw-reviewers", "cw-admins")
    browser = browsers(**_settings(issuer))
    assert (await _sign_in(browser, "wu")).headers["location"] == "/queue"
    form = {"csrf": field((await browser.get("/settings/account")).text, "csrf"), "name": "report", "days": "90"}
    made = re.search(r"cwt_[\w-]+", (await browser.post("/settings/account/tokens", data=form)).text)
    assert made is not None
    bearer, other = {"authorization": f"Bearer {made[0]}"}, browsers("192.0.2.2")
    assert (await other.get("/v1/cases", headers=bearer)).status_code == 200
    await _give(issuer, "wu", "other")
    assert (await _sign_in(other, "wu")).status_code == 403
    assert (await browser.get("/queue")).headers["location"] == "/sign-in?next=%2Fqueue"
    assert (await other.get("/v1/cases", headers=bearer)).status_code == 401
    subject = f"oidc:{issuer}#wu"
    *_, changed, failed = recorded(database)
    assert (changed["action"], changed["actor"], changed["subject"]) == ("roles_changed", subject, subject)
    assert changed["details"] == {"before": f"{Role.REVIEWER},{Role.ADMIN}", "roles": ""}
    assert (failed["action"], failed["subject"]) == ("sign_in_failed", subject)


async def test_who_never_had_a_role_is_no_user(browsers, issuer: str, database: Database) -> None:  # type: ignore[no-untyped-def]
    for sub in ("guest", "another"):
        await _give(issuer, sub, "other")
        assert (await _sign_in(browsers(**_settings(issuer)), sub)).status_code == 403
    [failed] = recorded(database)
    assert (failed["action"], failed["subject"], failed["details"]["count"]) == ("sign_in_failed", None, "1")


@pytest.mark.parametrize("begun", [False, True])
async def test_a_page_of_a_stranger_locks_nobody_out(browsers, issuer: str, begun: bool) -> None:  # type: ignore[no-untyped-def]
    """It has a user's browser ask for the provider's answer again and again, from the user's address."""
    await _give(issuer, "wu", "cw-reviewers")
    browser = browsers(**_settings(issuer))
    for _ in range(60):
        if begun:
            await browser.get("/sign-in/provider")
        answer = await browser.get("/sign-in/provider/callback?code=x&state=y")
        assert answer.status_code == 403
    assert (await _sign_in(browser, "wu")).headers["location"] == "/queue"


async def test_codes_that_the_provider_refuses_are_counted(browsers, issuer: str) -> None:  # type: ignore[no-untyped-def]
    browser = browsers(**_settings(issuer))
    statuses = []
    for _ in range(7):
        asked = httpx.URL((await browser.get("/sign-in/provider")).headers["location"])
        query = {"code": "guessed", "state": asked.params["state"]}
        statuses.append((await browser.get("/sign-in/provider/callback", params=query)).status_code)
    assert statuses == [403] * 5 + [429] * 2
