"""`callwarden traffic`: simulated traffic into Kafka, the past day at once and then in real time."""

from typing import Annotated

import typer


def run(
    bootstrap: Annotated[
        str | None, typer.Option("--bootstrap", metavar="HOST:PORT,...", help="CALLWARDEN_BOOTSTRAP_SERVERS.")
    ] = None,
    rate: Annotated[float, typer.Option(help="Calls a second, the mean of a weekday; nights are quiet.")] = 5.0,
    tenants: Annotated[int, typer.Option(help="How many tenants; with 30 or more every kind occurs.", min=1)] = 60,
    days: Annotated[int, typer.Option(help="How many days, the past one among them.", min=1, max=400)] = 2,
    seed: Annotated[int, typer.Option(help="The same seed gives the same tenants.", min=0)] = 1,
    lateness: Annotated[
        str, typer.Option(help="Delay beyond which a call is late: that of the worker's policy.")
    ] = "10s",
    live: Annotated[bool, typer.Option(help="Go on in real time; without, end at the present.")] = True,
) -> None:
    """Write simulated traffic to the five input topics: the past day as fast as it can, then each record when due.

    Of the past, complaints, findings, tenants and reviews come before calls, so that their clocks hold nothing back.
    """
    import asyncio

    from monitor.cli.inputs import fail, settings_for
    from monitor.cli.signals import until_stopped
    from monitor.policy.durations import parse_duration
    from streams.cluster import Refused, Unavailable
    from streams.feed import Feed, around, now_ms, producer_for, untouched

    settings = settings_for({"bootstrap_servers": bootstrap})
    try:
        traffic = around(
            now_ms(), tenants=tenants, days=days, seed=seed, rate=rate, lateness_ms=parse_duration(lateness)
        )
    except ValueError as error:
        fail(f"callwarden traffic: {error}")

    async def send() -> None:
        new = await untouched(settings)
        async with producer_for(settings) as producer:
            feed = Feed(producer, traffic, settings.input_prefix)
            if new:
                await feed.past()
                counts = ", ".join(f"{count:,} to {topic}" for topic, count in sorted(feed.sent.items()))
                typer.echo(f"the past day is sent: {counts}")
            else:
                typer.echo("there are calls already, so the past day is left out: its calls would be late")
            if live:
                typer.echo(f"real time: {rate:g} calls/s in the mean of a weekday; Ctrl-C ends it")
                await feed.live()

    with until_stopped():
        try:
            asyncio.run(send())
        except (Unavailable, Refused) as error:
            fail(f"callwarden traffic: {error}", 3)
