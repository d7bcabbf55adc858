"""Signing in at the console in a real browser: first password, second factor, account, users; each page accessible."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyotp
import pytest
from argon2 import PasswordHasher
from console_site import appear, inaccessible, served, wait
from starlette.types import ASGIApp

from helpers.chromium import chromium_with
from helpers.console_harness import console_at
from helpers.console_identity import ADMIN
from streams.console.app import make
from streams.console.identity import accounts
from streams.console.identity.components import Identity
from streams.console.identity.passwords import PasswordChecks
from streams.console.identity.users import Role
from streams.console.security_headers import with_security_headers

pytestmark = pytest.mark.services


def now_ms() -> int:
    """The time by which an authenticator makes its codes, epoch ms."""
    return time.time_ns() // 1_000_000


INITIAL, CHOSEN = "initial horse battery", "a password of one's own"


@asynccontextmanager
async def console(folder: Path) -> AsyncIterator[ASGIApp]:
    """A console whose admin Ada was added by an operator and must choose a password and a second factor."""
    async with console_at(folder, console_second_factor="required") as console:
        passwords = PasswordChecks(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        identity = Identity(console.settings, console.database, now_ms, passwords)
        await identity.prepare()
        hashed = await passwords.hash(INITIAL)
        await console.database.run(
            lambda connection: accounts.add_local(
                connection, ADMIN, "local:ada", (Role.ADMIN, Role.REVIEWER), hashed, now_ms() + 86_400_000, now_ms()
            )
        )
        yield with_security_headers(make(console.context, (), identity))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    with served(lambda: console(tmp_path)) as address:
        yield address


@pytest.fixture
def browser(tmp_path: Path, site: str) -> Iterator[Any]:
    with chromium_with(tmp_path / "profile", load_strategy="eager") as chrome:
        chrome.get(f"{site}/sign-in")
        yield chrome


def fill(browser: Any, **values: str) -> None:
    """Fill in the fields of the page's form by name, and send it."""
    for name, value in values.items():
        element = browser.find_element("name", name)
        element.clear()
        element.send_keys(value)
    browser.find_element("css selector", "main form button.primary").click()


def arrived(browser: Any, path: str) -> None:
    """Wait until the page at ``path`` is there."""
    wait(browser, f"return location.pathname === '{path}' && document.readyState !== 'loading'")


def test_the_first_sign_in_of_an_admin(browser: Any, site: str) -> None:
    """The steps in English; each page is looked at in both languages."""
    found: list[str] = []

    def look(name: str) -> None:
        for lang in ("zh", "en"):
            appear(browser, lang, "light", 1440)
            browser.get(browser.current_url)
            found.extend(inaccessible(browser, f"{name}, {lang}"))

    look("sign-in")
    fill(browser, name="ada", password="wrong horse battery")
    wait(browser, "return document.querySelector('[role=alert], .notice') !== null")
    assert "401" in browser.get_log("browser")[0]["message"]
    found.extend(inaccessible(browser, "sign-in refused"))
    fill(browser, name="ada", password=INITIAL)
    arrived(browser, "/sign-in/password")
    look("first password")
    fill(browser, password=CHOSEN, repeated=CHOSEN)
    arrived(browser, "/sign-in/second-factor")
    look("second factor")
    secret = browser.find_element("css selector", "code.secret").text.replace(" ", "")
    fill(browser, code=pyotp.TOTP(secret).now())
    wait(browser, "return document.querySelectorAll('main ul.secret li').length > 0")
    found.extend(inaccessible(browser, "recovery codes"))
    for path in ("/settings/account", "/admin/users", "/admin/actions"):
        browser.get(site + path)
        look(path)
    assert not found, "\n".join(found)
