"""`callwarden worker`: judge what comes in on Kafka, as one of as many workers as one likes."""

from typing import Annotated

import typer

from streams.cli.options import Bootstrap, WorkersPolicy
from streams.cli.service_options import JsonLogs, logged


def run(
    bootstrap: Bootstrap = None,
    policy: WorkersPolicy = None,
    port: Annotated[int | None, typer.Option(help="The port of /metrics, /readyz and /healthz.")] = None,
    idle_after: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="After how long the clock of a silent source follows the broker's time."),
    ] = None,
    outage_grace: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long all calls may be absent and not be late then.")
    ] = None,
    json_logs: JsonLogs = False,
) -> None:
    """Start a worker. It takes its share of the partitions, releases them when other workers join, and stops on TERM.

    All settings are environment variables, or in a file: see `docs/reference/settings.md`. It waits for a broker that
    cannot be reached.

    Exit status: 1 an unexpected error, or it did not stop in time after TERM; 2 wrong settings, misconfigured topics,
    or something that the cluster does not allow.
    """
    import asyncio

    import structlog

    from streams.cli import extensions
    from streams.cli.inputs import fail, policy_for, settings_for
    from streams.kafka.api import PermanentError
    from streams.worker.main import run_worker

    settings = settings_for(
        {
            "bootstrap_servers": bootstrap,
            "policy": policy,
            "web_port": port,
            "idle_after_ms": idle_after,
            "outage_grace_ms": outage_grace,
        }
    )
    ruled = policy_for(str(settings.policy) if settings.policy else None)
    with logged(settings, json_logs):
        log = structlog.get_logger("callwarden")
        if settings.key_file is None:
            log.info(
                "keys of numbers have a public salt, so a tenant can choose numbers that are counted wrongly",
                set="CALLWARDEN_KEY_FILE",
            )
        if unused := extensions.missing():
            log.warning("reading without extensions, which takes several times the CPU time", missing=unused)
        try:
            asyncio.run(run_worker(settings, ruled))
        except PermanentError as error:
            fail(f"callwarden worker: {error}")
