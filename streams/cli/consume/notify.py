"""`callwarden notify`: send alerts and decisions to people as they happen."""

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.options import Bootstrap, Json, WorkersPolicy
from streams.cli.outputs import print_json
from streams.cli.service_options import JsonLogs, logged

if TYPE_CHECKING:
    from monitor.policy.model import Policy
    from monitor.text.display import Display
    from streams.consumers.notify.delivery.failed_messages import FailedMessages
    from streams.settings.load import Settings


def run(
    bootstrap: Bootstrap = None,
    policy: WorkersPolicy = None,
    port: Annotated[int | None, typer.Option(help="The port of /metrics, /readyz and /healthz.")] = None,
    test: Annotated[
        bool, typer.Option("--test", help="Send one message of each kind to each channel, print the answers, and exit.")
    ] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="List the messages that failed permanently, and exit.")
    ] = False,
    send_again: Annotated[
        bool, typer.Option("--send-again", help="Have the running notifier send those again, and exit.")
    ] = False,
    as_json: Json = False,
    json_logs: JsonLogs = False,
) -> None:
    """Send alerts and decisions to Alertmanager, DingTalk, Feishu, WeCom and a webhook, in Chinese and English.

    Settings name the receivers: see `docs/guides/notify.md`. Nothing from before the first start is sent. The command
    stops on TERM and delivers the rest after the next start. It waits for a broker, a database and receivers that
    cannot be reached.

    Exit status: 1 an unexpected error, or it did not stop in time after TERM; 2 wrong settings, or something that the
    cluster does not allow; 3 a receiver did not accept a test message, or the database cannot be reached.
    """
    import asyncio

    from streams.cli.fatal import in_json
    from streams.cli.inputs import fail, policy_for, settings_for
    from streams.consumers.notify.main import run_notify
    from streams.kafka.api import PermanentError

    if test or failed or send_again:
        in_json(wanted=False)  # answers for a person, and no log
    if test + failed + send_again > 1:
        fail("--test, --failed, --send-again: expected one of them")
    if as_json and not failed:
        fail("--json: expected only with --failed")
    settings = settings_for({"bootstrap_servers": bootstrap, "policy": policy, "notify_port": port})
    if failed or send_again:
        _of_failed(settings, send_again, as_json)
        return
    ruled = policy_for(str(settings.policy) if settings.policy else None)
    with logged(settings, json_logs):
        try:
            if test:
                asyncio.run(_try(settings, ruled))
            else:
                asyncio.run(run_notify(settings, ruled))
        except PermanentError as error:
            fail(f"callwarden notify: {error}")


async def _try(settings: "Settings", policy: "Policy") -> None:
    """Send the test messages, a line each."""
    import aiohttp

    from streams.cli.inputs import fail
    from streams.consumers.notify.channels import configured
    from streams.consumers.notify.main import NOBODY
    from streams.consumers.notify.sample_messages import send_samples
    from streams.kafka.api import PermanentError
    from streams.runtime.wall_clock import epoch_ms

    failed = 0
    async with aiohttp.ClientSession(trust_env=True) as session:
        channels = configured(settings, session, epoch_ms)
        if not channels:
            raise PermanentError(NOBODY)
        async for answer in send_samples(channels, policy, epoch_ms()):
            failed += not answer.ok
            told = f"{answer.channel:<16}{answer.what:<20}{'accepted' if answer.ok else 'FAILED'}: {answer.said}"
            try:
                typer.echo(told)
            except BrokenPipeError:  # of `| head`: no unexpected error, which the log would report
                # Or Python would try to write the rest at its end, and report that it cannot.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(1) from None
    if failed:
        fail(f"not accepted: {failed}", 3)


def _of_failed(settings: "Settings", send_again: bool, as_json: bool) -> None:
    """List the messages that failed permanently, or have them sent again; a line each."""
    import asyncio

    from sqlalchemy import Connection

    from streams.cli.cluster_session import answers
    from streams.consumers.notify.delivery import failed_messages
    from streams.runtime.wall_clock import epoch_ms

    def work(connection: Connection) -> tuple[list[failed_messages.FailedMessages], int]:
        found = failed_messages.list_failed(connection)
        return found, failed_messages.send_again(connection, found, epoch_ms()) if send_again else 0

    with answers("notify"), failed_messages.open_database(settings) as database:
        found, revived = asyncio.run(database.run(work))
    if as_json:
        print_json({"messages": [_plain(one) for one in found]})
        return
    for one in found:
        typer.echo(_failed_line(one, settings.display))
    if not found:
        typer.echo("no message failed permanently")
    elif send_again:
        over = len(found) - revived
        left = f"; {over} skipped, because they are no longer true" if over else ""
        typer.echo(f"the running notifier sends {revived} again{left}")


def _plain(one: "FailedMessages") -> dict[str, Any]:
    message = one.message
    return {
        "channel": one.channel,
        "what": message.what,
        "tenant_id": message.tenant_id,
        "title": {"zh": message.title.zh, "en": message.title.en},
        "given_up_ms": one.ended_ms,
        "over": one.over,
    }


def _failed_line(one: "FailedMessages", display: "Display") -> str:
    from monitor.text.timestamps import rfc3339

    message, when = one.message, rfc3339(one.ended_ms, "seconds")
    tenant = display.tenant(message.tenant_id) if message.tenant_id else "-"
    over = "  (no longer true)" if one.over else ""
    return f"{when}  {one.channel:<16}{message.what:<20}{tenant}  {message.title.zh} / {message.title.en}{over}"
