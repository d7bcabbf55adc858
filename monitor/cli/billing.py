"""`callwarden billing`: whose refunds are frozen, followed from Kafka into a database, and asked over HTTP."""

import re
from typing import Annotated

import typer

from monitor.cli.longrunning import JsonLogs, logged
from monitor.cli.options import Bootstrap


def run(
    bootstrap: Bootstrap = None,
    port: Annotated[int | None, typer.Option(help="Port of the API, /metrics, /readyz and /healthz.")] = None,
    accept_gone: Annotated[
        list[str] | None,
        typer.Option(metavar="PARTITION:OFFSET", help="Go on there: what was before is lost. As the refusal says."),
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", metavar="WHY", help="Is kept.")] = None,
    json_logs: JsonLogs = False,
) -> None:
    """Follow `callwarden.enforcement`, and answer GET /v1/refunds/TENANT. It stops on TERM.

    All settings are environment variables, or in a file; see `docs/billing.md`. A broker or a database that is away is
    waited for. Exit status: 2 wrong settings, no token, or records that were deleted before they were handled; 1 an
    unforeseen error, or cut off after TERM.
    """
    import asyncio

    from monitor.cli.inputs import fail, settings_for
    from streams.cluster import Refused
    from streams.consumers.billing.gaps import consequence
    from streams.consumers.billing.run import Accepted
    from streams.consumers.billing.run import run as follow_and_answer
    from streams.consumers.gone import Gone, OtherCluster
    from streams.kafka import KafkaCluster

    settings = settings_for({"bootstrap_servers": bootstrap, "billing_port": port})
    if bool(accept_gone) is not bool(reason and reason.strip()):
        fail("--accept-gone and --reason go together: why it is accepted is kept")
    accepted = []
    for given in accept_gone or ():
        found = re.fullmatch("([0-9]{1,5}):([0-9]{1,18})", given)
        if not found:
            fail(f"--accept-gone {given}: PARTITION:OFFSET would be right")
        accepted.append(Accepted(int(found[1]), int(found[2]), reason or ""))

    async def start() -> None:
        cluster = KafkaCluster(settings)
        try:
            await follow_and_answer(settings, cluster, accepted)
        finally:
            await cluster.stop()

    with logged(settings, json_logs):
        try:
            asyncio.run(start())
        except (Gone, OtherCluster) as error:
            fail(f"callwarden billing: {consequence(error)}")
        except Refused as error:
            fail(f"callwarden billing: {error}")
