"""`callwarden assemble`: make calls of the events in `callwarden.raw`."""

from typing import Annotated

import typer

from streams.cli.options import Bootstrap
from streams.cli.service_options import JsonLogs, serve


def run(
    bootstrap: Bootstrap = None,
    port: Annotated[int | None, typer.Option(help="The port of /metrics, /readyz and /healthz.")] = None,
    json_logs: JsonLogs = False,
) -> None:
    """Read the events in callwarden.raw, and write the calls that they make. It stops on TERM.

    It reads the sources file of the ingest service. All settings are environment variables, or in a file: see
    `docs/guides/assemble.md`. It waits for a broker that cannot be reached.

    Exit status: 1 an unexpected error, or it did not stop in time after TERM; 2 wrong settings, or something that the
    cluster does not allow.
    """
    from streams.cli.inputs import settings_for
    from streams.ingest.assemble.main import group_of
    from streams.ingest.assemble.main import run as assemble

    settings = settings_for({"bootstrap_servers": bootstrap, "assemble_port": port})
    serve("assemble", settings, json_logs, lambda cluster: assemble(settings, cluster), group_of(settings))
