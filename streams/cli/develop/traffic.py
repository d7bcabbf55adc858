"""`callwarden traffic`: simulated traffic into Kafka, the past day at once and then in real time."""

from typing import Annotated

import typer

from streams.cli.heartbeat_file import Alive, beating
from streams.cli.options import Bootstrap


def run(
    bootstrap: Bootstrap = None,
    rate: Annotated[float, typer.Option(help="Calls a second, on average on a weekday.")] = 5.0,
    tenants: Annotated[
        int, typer.Option(help="How many tenants; with 30 or more every kind occurs.", min=1, max=1_000_000)
    ] = 60,
    days: Annotated[
        int | None,
        typer.Option(help="End after this many days, the past day included.  [default: never]", min=1, max=400),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same tenants.", min=0)] = 1,
    lateness: Annotated[
        str,
        typer.Option(metavar="DURATION", help="The delay beyond which a call is late, as in the workers' policy."),
    ] = "10s",
    live: Annotated[bool, typer.Option(help="Continue in real time, or end at the present.")] = True,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write even among records of other senders.")] = False,
    alive: Alive = None,
) -> None:
    """Write simulated traffic to the five input topics: the past day as fast as possible, then each record when due.

    Of the past day, complaints, findings, tenants and reviews come before calls, so that their clocks hold nothing
    back. If there are records of other senders, it writes nothing without --yes.

    Exit status: 2 there are records of other senders; 3 Kafka cannot be reached.
    """
    from streams.cli.cluster_session import answers
    from streams.cli.inputs import duration, fail, settings_for
    from streams.dev.traffic import DAYS, TrafficFeed, around, inspect_inputs
    from streams.kafka.api import PermanentError
    from streams.kafka.produce.keyed_producer import keyed_producer
    from streams.runtime.signals import run_until_stopped
    from streams.runtime.wall_clock import epoch_ms

    settings = settings_for({"bootstrap_servers": bootstrap})
    lateness_ms = duration("--lateness", lateness)
    try:
        traffic = around(
            epoch_ms(),
            tenants=tenants,
            days=days or DAYS,
            seed=seed,
            rate=rate,
            lateness_ms=lateness_ms,
        )
    except ValueError as error:
        fail(f"callwarden traffic: {error}")

    async def send() -> None:
        found = await inspect_inputs(settings)
        if found.others and not yes:
            raise PermanentError(
                f"{', '.join(found.others)}: expected no records but simulated ones, because all are judged together. "
                "Set CALLWARDEN_INPUT_PREFIX to other topics, or pass --yes"
            )
        async with beating(alive), keyed_producer(settings, "sending traffic") as producer:
            feed = TrafficFeed(producer, traffic, settings.input_prefix, endless=days is None)
            if not found.calls:
                await feed.past()
                counts = ", ".join(f"{count:,} to {topic}" for topic, count in sorted(feed.sent.items()))
                typer.echo(f"the past day is sent: {counts}")
            else:
                typer.echo("the topics already have calls, so the past day is skipped: its calls would be late")
            if live:
                typer.echo(f"real time: {rate:g} calls/s on average on a weekday; Ctrl-C stops it")
                await feed.live()

    with answers("traffic"):
        run_until_stopped(send())
