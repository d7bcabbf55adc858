"""`callwarden console user`: the accounts of the console, for its operator."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from streams.cli.options import Json

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from streams.console.identity.accounts import Account
    from streams.console.identity.users import Role, User
    from streams.consumers.database import Database

app = typer.Typer()
T = TypeVar("T")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The user's name, or the subject that `user list` shows.")]
Address = Annotated[
    str | None,
    typer.Option("--database", metavar="ADDRESS", help="The console's database: CALLWARDEN_CONSOLE_DATABASE."),
]
Roles = Annotated[
    list[str],
    typer.Option(
        "--role", metavar="ROLE", help="viewer, reviewer, policy_owner, auditor or admin; repeat it for several."
    ),
]
Ask = Annotated[
    bool, typer.Option("--ask", help="Ask for the password at the terminal, instead of printing an initial one.")
]


@app.command("add")
def add(name: Name, role: Roles, ask: Ask = False, database: Address = None) -> None:
    """Add a user with a local account, and print its initial password, once.

    The first user is an admin: `console user add NAME --role admin`. The initial password is valid for three days and
    must be replaced at the first sign-in. With --ask, you enter the user's own password instead. Names are never
    reused, not even after a user was disabled.

    Exit status: 2 there is such a user already, or no such role; 3 the database cannot be reached.
    """
    from streams.console.identity import accounts

    roles = _roles(role)

    def store(connection: "Connection", hashed: str, until_ms: int | None, now_ms: int) -> str:
        subject = accounts.local_subject(name)
        return accounts.add_local(connection, _operator(), subject, roles, hashed, until_ms, now_ms).subject

    _with_password("add", name, ask, database, store)


@app.command("list")
def list_(as_json: Json = False, database: Address = None) -> None:
    """List all users with their roles, also those of the provider and those who are disabled.

    Exit status: 3 the database cannot be reached.
    """
    from streams.cli.outputs import print_json
    from streams.console.identity import accounts
    from streams.runtime.wall_clock import epoch_ms

    def read(connection: "Connection") -> "list[Account]":
        found: list[Account] = []
        while some := accounts.accounts(connection, now_ms, found[-1].user.subject if found else ""):
            found += some
        return found

    now_ms = epoch_ms()
    found = _run("list", database, lambda opened: _transaction(opened, read))
    if as_json:
        print_json({"users": [_plain(each) for each in found]})
        return
    for each in found:
        marks = ["second factor"] * each.has_second_factor + ["disabled"] * (each.disabled_ms is not None)
        roles = accounts.roles_text(each.user.roles) or "no role"
        typer.echo(f"{each.user.subject}  {roles}" + "".join(f"  {mark}" for mark in marks))
    if not found:
        typer.echo("no user yet; `callwarden console user add NAME --role admin` adds the first", err=True)


@app.command("role")
def role(name: Name, role: Roles, database: Address = None) -> None:
    """Give a user these roles, in place of those it has; its sessions end.

    Exit status: 2 there is no such user or role, or the provider gives the roles; 3 the database cannot be reached.
    """
    from functools import partial

    from streams.console.identity import accounts

    roles = _roles(role)
    _change("role", name, database, partial(accounts.set_roles, roles=roles))
    typer.echo(f"{name}: {accounts.roles_text(roles)}")


@app.command("disable")
def disable(name: Name, database: Address = None) -> None:
    """Prevent a user from signing in, and end its sessions. The records of what the user did stay.

    Exit status: 2 there is no such user; 3 the database cannot be reached.
    """
    from streams.console.identity import accounts

    _change("disable", name, database, accounts.disable)
    typer.echo(f"{name}: disabled")


@app.command("enable")
def enable(name: Name, database: Address = None) -> None:
    """Let a disabled user sign in again.

    Exit status: 2 there is no such user; 3 the database cannot be reached.
    """
    from streams.console.identity import accounts

    _change("enable", name, database, accounts.enable)
    typer.echo(f"{name}: enabled")


@app.command("reset")
def reset(name: Name, ask: Ask = False, database: Address = None) -> None:
    """Give a local account another initial password, printed once; its second factor is removed, its sessions end.

    Exit status: 2 there is no such user, or the provider has the password; 3 the database cannot be reached.
    """
    from streams.console.identity import accounts

    def store(connection: "Connection", hashed: str, until_ms: int | None, now_ms: int) -> str:
        subject = _subject(name)
        accounts.reset(connection, _operator(), subject, hashed, until_ms, now_ms)
        return subject

    _with_password("reset", name, ask, database, store)


def _with_password(
    command: str,
    name: str,
    ask: bool,
    database: str | None,
    store: "Callable[[Connection, str, int | None, int], str]",
) -> None:
    """Store a password that is asked for, or an initial one that is printed."""
    from argon2 import PasswordHasher

    from monitor.text.durations import DAY
    from streams.cli.inputs import fail
    from streams.console.identity import passwords
    from streams.runtime.wall_clock import epoch_ms

    now_ms = epoch_ms()
    if ask:
        given = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        if key := passwords.fault(given, name):
            fail(
                f"the password is rejected ({key}); expected {passwords.SHORTEST} to {passwords.LONGEST} characters, "
                "no common password, and more than the name"
            )
        until_ms = None
    else:
        given, until_ms = passwords.initial_password(), now_ms + 3 * DAY
    hashed = PasswordHasher().hash(passwords.normalized(given))

    def work(connection: "Connection") -> str:
        return store(connection, hashed, until_ms, now_ms)

    subject = _run(command, database, lambda opened: _transaction(opened, work))
    if ask:
        typer.echo(f"{subject}: password set")
        return
    typer.echo(f"{subject}: initial password, valid for three days, shown once:", err=True)
    typer.echo(given)


def _change(command: str, name: str, database: str | None, change: "Callable[..., None]") -> None:
    from streams.runtime.wall_clock import epoch_ms

    def work(connection: "Connection") -> None:
        change(connection, by=_operator(), subject=_subject(name), now_ms=epoch_ms())

    _run(command, database, lambda opened: _transaction(opened, work))


def _run(command: str, address: str | None, work: "Callable[[Database], T]") -> T:
    from streams.cli.cluster_session import answers
    from streams.cli.inputs import fail, settings_for
    from streams.console.identity.accounts import AccountRefused
    from streams.console.main import open_database

    settings = settings_for({"console_database": address})
    with answers(f"console user {command}"):
        opened = open_database(settings)
        try:
            return work(opened)
        except AccountRefused as refused:
            fail(str(refused))
        finally:
            opened.close()


def _transaction(database: "Database", work: "Callable[[Connection], T]") -> T:
    import asyncio

    async def run() -> T:
        await database.migrate()
        return await database.run(work)

    return asyncio.run(run())


def _operator() -> "User":
    """Who runs the command, as the system says: it is no user of the console."""
    import getpass

    from streams.console.identity.users import User

    name = getpass.getuser()
    return User(f"cli:{name}", name, frozenset())


def _subject(name: str) -> str:
    from streams.console.identity.accounts import local_subject
    from streams.console.identity.users import LOCAL, OIDC

    return name if name.startswith((LOCAL, OIDC)) else local_subject(name)


def _roles(words: list[str]) -> "list[Role]":
    from streams.cli.inputs import fail
    from streams.console.identity.users import Role

    known = {role.value: role for role in Role}
    if unknown := [word for word in words if word not in known]:
        fail(f"`{unknown[0]}` is not a role; expected one of {', '.join(known)}")
    return [known[word] for word in words]


def _plain(account: "Account") -> dict[str, Any]:
    return {
        "subject": account.user.subject,
        "name": account.user.name,
        "roles": sorted(account.user.roles),
        "created_ms": account.created_ms,
        "seen_ms": account.seen_ms,
        "disabled_ms": account.disabled_ms,
        "second_factor": account.has_second_factor,
        "sessions": account.sessions,
    }
