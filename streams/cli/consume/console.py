"""`callwarden console`: the reviewer's pages in the browser."""

from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.consume import console_user
from streams.cli.options import Bootstrap
from streams.cli.service_options import JsonLogs, logged

if TYPE_CHECKING:
    from streams.console.identity.users import User

app = typer.Typer()
app.add_typer(console_user.app, name="user", help="Add, list, change and disable the users of the console.")


# It has no effect, but without it typer would make an only command the application itself.
@app.callback()
def console() -> None:
    """The reviewer's pages in the browser."""


@app.command("run")
def run(
    bootstrap: Bootstrap = None,
    database: Annotated[
        str | None,
        typer.Option("--database", metavar="ADDRESS", help="The console's database: CALLWARDEN_CONSOLE_DATABASE."),
    ] = None,
    port: Annotated[int | None, typer.Option(help="The port of the pages, /metrics, /readyz and /healthz.")] = None,
    sign_in_links: Annotated[
        bool,
        typer.Option(
            "--sign-in-links", help="Print links that sign the users demo and demo-2 in, once; for this machine only."
        ),
    ] = False,
    json_logs: JsonLogs = False,
) -> None:
    """Serve the console at 127.0.0.1:6071, until TERM: queue, cases, tenants.

    It follows decisions, alerts, reviews and tenants into a database of its own. You can kill it at any moment, and run
    two of them on one PostgreSQL database. It waits for a broker or a database that cannot be reached.

    With --sign-in-links, you can try it without making an account: it prints a link for each of two users, and a new
    one after each use. It is refused with CALLWARDEN_CONSOLE_URL, and other machines cannot use a link.

    Exit status: 1 an unexpected error, or it did not stop in time after TERM; 2 wrong settings, or something that the
    cluster does not allow.
    """
    from streams.cli.cluster_session import operate
    from streams.cli.inputs import policy_for, settings_for
    from streams.console.main import run_console

    settings = settings_for({"bootstrap_servers": bootstrap, "console_database": database, "console_port": port})
    policy_for(str(settings.policy) if settings.policy else None)  # a faulty one is refused now, not on a page
    with logged(settings, json_logs):
        show = _show_link if sign_in_links else None
        operate("console run", settings, lambda cluster: run_console(settings, cluster, show))


def _show_link(user: "User", link: str) -> None:
    typer.echo(f"{user.name}: {link}")
