"""`callwarden tail`: decisions and alerts as they come out of Kafka."""

from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.heartbeat_file import Alive, beating
from streams.cli.options import Bootstrap

if TYPE_CHECKING:
    from streams.cli.develop.screen import Screen
    from streams.settings.load import Settings


def run(
    bootstrap: Bootstrap = None,
    from_start: Annotated[bool, typer.Option("--from-start", help="Also show existing records.")] = False,
    alerts: Annotated[bool, typer.Option(help="Also show alerts.")] = True,
    alive: Alive = None,
) -> None:
    """Show decisions and alerts, one line each, until Ctrl-C. It reads only committed records, and changes nothing.

    Exit status: 3 Kafka cannot be reached.
    """
    from streams.cli.cluster_session import answers
    from streams.cli.develop.screen import PipedConsole, Screen
    from streams.cli.inputs import settings_for
    from streams.runtime.signals import run_until_stopped

    settings = settings_for({"bootstrap_servers": bootstrap})

    async def beat_and_show() -> None:
        async with beating(alive):
            await show(Screen(PipedConsole(highlight=False)), settings, from_start, alerts)

    with answers("tail"):
        run_until_stopped(beat_and_show())


async def show(screen: "Screen", settings: "Settings", from_start: bool, alerts: bool) -> None:
    """Print each decision, and each alert if asked for, until cancelled."""
    from contextlib import aclosing

    from monitor.text.masking import mask_text
    from streams.cli.event_format import alert, decision
    from streams.consumers.record_decoding import UndecodableRecord, alert_of, event_of
    from streams.dev.tail import follow

    enforcement = f"{settings.output_prefix}enforcement"
    topics = [enforcement, f"{settings.output_prefix}alerts"][: 1 + alerts]
    async with aclosing(follow(settings, topics, from_start)) as records:
        async for topic, value in records:
            try:
                if topic == enforcement:
                    event = event_of(value)
                    line = decision(event, settings.display, screen.is_earlier(event.data.decided_ms))
                else:
                    sign = alert_of(value)
                    line = alert(sign, settings.display, screen.is_earlier(sign.updated_ms))
            except UndecodableRecord as error:
                # Somebody else's, or a newer release's.
                screen.line(f"{topic}: a record that cannot be read: {mask_text(str(error))}", "red")
                continue
            screen.line(line)
