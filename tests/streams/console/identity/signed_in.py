"""Add accounts, sign browsers in, and read the token of their forms."""

import httpx
from sqlalchemy import Connection

from helpers.console_identity import ADMIN, NOON_MS, PASSWORD, field
from streams.console.identity import accounts
from streams.console.identity.passwords import PasswordChecks
from streams.console.identity.users import Role
from streams.consumers.database import Database

LI = "local:li"
COOKIE = "callwarden_session"


async def add_user(database: Database, passwords: PasswordChecks, subject: str, *roles: Role) -> None:
    hashed = await passwords.hash(PASSWORD)

    def work(connection: Connection) -> None:
        accounts.add_local(connection, ADMIN, subject, roles, hashed, None, NOON_MS)

    await database.run(work)


async def sign_in(
    browser: httpx.AsyncClient, name: str = "li", to: str = "", password: str = PASSWORD
) -> httpx.Response:
    page = await browser.get("/sign-in", params={"next": to})
    form = {"csrf": field(page.text, "csrf"), "name": name, "password": password, "next": to}
    return await browser.post("/sign-in", data=form)


async def csrf_of(browser: httpx.AsyncClient) -> str:
    return field((await browser.get("/settings/account")).text, "csrf")
