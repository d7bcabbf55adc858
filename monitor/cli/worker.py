"""`callwarden worker`: judge what comes in on Kafka, as one of as many workers as one likes."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import faust


def run(
    bootstrap: Annotated[
        str | None, typer.Option("--bootstrap", metavar="HOST:PORT,...", help="CALLWARDEN_BOOTSTRAP_SERVERS.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option("--policy", metavar="FILE", help="A policy file.  [default: the built-in one]")
    ] = None,
    web_port: Annotated[int | None, typer.Option(help="Port of /metrics, /readyz and /livez.")] = None,
    idle_after: Annotated[str | None, typer.Option(help="When a silent source's clock goes on by itself.")] = None,
    outage_grace: Annotated[str | None, typer.Option(help="How long all calls may be away.")] = None,
    json_logs: Annotated[bool, typer.Option("--json-logs", help="Log lines as JSON.")] = False,
) -> None:
    """Start a worker. It takes its share of the partitions, gives them up when others come, and stops on TERM.

    All settings are environment variables; see `docs/live.md`. A broker that is away is waited for. Exit status: 2
    wrong settings, or topics that do not fit.
    """
    import asyncio
    import time

    from monitor.cli.inputs import fail, policy_for
    from monitor.partition import Live
    from streams.app import make_app
    from streams.cluster import Refused
    from streams.kafka import KafkaCluster
    from streams.kafka.admin import look
    from streams.names import Names
    from streams.owner import Setup
    from streams.serve import partition_count, serve, set_up_logs
    from streams.settings import SettingsError, load
    from streams.telemetry import Telemetry
    from streams.topics import table

    try:
        settings = load(
            {
                "bootstrap_servers": bootstrap,
                "policy": policy,
                "web_port": web_port,
                "idle_after_ms": idle_after,
                "outage_grace_ms": outage_grace,
            }
        )
    except SettingsError as error:
        fail(str(error))
    ruled = policy_for(str(settings.policy) if settings.policy else None)
    names = Names(settings.input_prefix, settings.output_prefix)
    set_up_logs(json_logs)

    async def work() -> None:
        cluster = KafkaCluster(settings)

        async def prepare() -> "faust.App":
            partitions = await partition_count(settings, lambda: look(cluster.questions, table(settings)))
            setup = Setup(
                cluster,
                names,
                ruled,
                settings.secret(),
                Live(settings.idle_after_ms, settings.max_ahead_ms, settings.outage_grace_ms),
                partitions,
                settings.partitioner,
                settings.application_id,
                2 * settings.heartbeat_ms / 1000,
                lambda: time.time_ns() // 1_000_000,
                Telemetry(),
            )
            return make_app(setup, (settings.web_host, settings.web_port))[0]

        try:
            await serve(prepare())
        finally:
            await cluster.stop()

    try:
        asyncio.run(work())
    except Refused as error:
        fail(f"callwarden worker: {error}")
