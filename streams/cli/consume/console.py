"""`callwarden console`: the reviewer's pages in the browser."""

from typing import Annotated

import typer

from streams.cli.consume import console_user
from streams.cli.options import Bootstrap
from streams.cli.service_options import JsonLogs, logged

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
    json_logs: JsonLogs = False,
) -> None:
    """Serve the console at 127.0.0.1:6071, until TERM: queue, cases, tenants.

    It follows decisions, alerts, reviews and tenants into a database of its own. You can kill it at any moment, and run
    two of them on one PostgreSQL database. It waits for a broker or a database that cannot be reached.

    Exit status: 1 an unexpected error, or it did not stop in time after TERM; 2 wrong settings, or something that the
    cluster does not allow.
    """
    from streams.cli.cluster_session import operate
    from streams.cli.inputs import settings_for
    from streams.console.main import run_console

    settings = settings_for({"bootstrap_servers": bootstrap, "console_database": database, "console_port": port})
    with logged(settings, json_logs):
        operate("console run", settings, lambda cluster: run_console(settings, cluster))
