"""`callwarden ingest`: take records of other systems over HTTP, and write them to the input topics."""

from typing import Annotated

import typer

from streams.cli.options import Bootstrap
from streams.cli.service_options import JsonLogs, serve


def run(
    bootstrap: Bootstrap = None,
    port: Annotated[int | None, typer.Option(help="The port of the API, /metrics, /readyz and /healthz.")] = None,
    json_logs: JsonLogs = False,
) -> None:
    """Answer POST /v1/records, and write what is accepted to the input topics. It stops on TERM.

    All settings are environment variables, or in a file: see `docs/guides/ingest.md`. It waits for a broker that cannot
    be reached, and answers 503 meanwhile.

    Exit status: 1 an unexpected error, or it did not stop in time after TERM; 2 wrong settings, no token, or something
    that the cluster does not allow.
    """
    from streams.cli.inputs import settings_for
    from streams.ingest.http.main import run as take_in

    settings = settings_for({"bootstrap_servers": bootstrap, "ingest_port": port})
    serve("ingest", settings, json_logs, lambda cluster: take_in(settings, cluster))
