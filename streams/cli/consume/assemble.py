"""`callwarden assemble`: make calls of the events in `callwarden.raw`."""

from typing import Annotated

import typer

from streams.cli.options import Bootstrap
from streams.cli.service_options import JsonLogs, logged


def run(
    bootstrap: Bootstrap = None,
    port: Annotated[int | None, typer.Option(help="The port of /metrics, /readyz and /healthz.")] = None,
    json_logs: JsonLogs = False,
) -> None:
    """Read the events that the ingest service wrote to callwarden.raw, and write their calls. It stops on TERM.

    It reads the sources file of the ingest service. All settings are environment variables, or in a file: see
    `docs/guides/assemble.md`. It waits for a broker that cannot be reached.

    Exit status: 1 an unforeseen error, or it did not stop in time after TERM; 2 wrong settings, or something that the
    cluster does not allow.
    """
    import asyncio

    from streams.cli.inputs import fail, settings_for
    from streams.ingest.assemble.main import group_of
    from streams.ingest.assemble.main import run as assemble
    from streams.kafka.api import PermanentError
    from streams.kafka.cluster import KafkaCluster

    settings = settings_for({"bootstrap_servers": bootstrap, "assemble_port": port})

    async def start() -> None:
        cluster = KafkaCluster(settings, group=group_of(settings))
        try:
            await assemble(settings, cluster)
        finally:
            await cluster.stop()

    with logged(settings, json_logs):
        try:
            asyncio.run(start())
        except PermanentError as error:
            fail(f"callwarden assemble: {error}")
