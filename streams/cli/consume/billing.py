"""`callwarden billing`: whose refunds are frozen, followed from Kafka into a database, and asked over HTTP."""

import re
from typing import TYPE_CHECKING, Annotated, Final

import typer

from streams.cli.options import Bootstrap
from streams.cli.service_options import JsonLogs, logged

if TYPE_CHECKING:
    from streams.settings.load import Settings

_MOST_LISTED: Final = 1_000


def run(
    bootstrap: Bootstrap = None,
    port: Annotated[int | None, typer.Option(help="Port of the API, /metrics, /readyz and /healthz.")] = None,
    accept_gone: Annotated[
        list[str] | None,
        typer.Option(metavar="PARTITION:OFFSET", help="Go on there: what was before is lost. As the refusal says."),
    ] = None,
    unread: Annotated[
        bool, typer.Option("--unread", help="List the records that cannot be read and withhold answers, and end.")
    ] = False,
    accept_unread: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PARTITION:OFFSET", help="Accept that such a record changes nothing, `all` accepts all; and end."
        ),
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", metavar="WHY", help="Is kept.")] = None,
    json_logs: JsonLogs = False,
) -> None:
    """Follow `callwarden.enforcement`, and answer GET /v1/refunds/TENANT. It stops on TERM.

    All settings are environment variables, or in a file; see `docs/guides/billing.md`. The command waits for a broker
    or a database that is away. Listing or accepting unread records needs the database alone, beside a running one. Exit
    status: 2 wrong settings, no token, or records that were deleted before they were handled; 1 an unforeseen error, or
    cut off after TERM; 3 the database is away.
    """
    import asyncio

    from streams.cli.inputs import fail, settings_for
    from streams.consumers.billing.gaps import consequence
    from streams.consumers.billing.main import Accepted
    from streams.consumers.billing.main import run as follow_and_answer
    from streams.consumers.data_loss import OtherCluster, RecordsLost
    from streams.kafka.api import PermanentError
    from streams.kafka.cluster import KafkaCluster

    settings = settings_for({"bootstrap_servers": bootstrap, "billing_port": port})
    if bool(accept_gone or accept_unread) is not bool(reason and reason.strip()):
        fail(
            "--accept-gone and --reason go together, and so do --accept-unread and --reason: why it is accepted is kept"
        )
    if bool(accept_gone) + bool(accept_unread) + unread > 1:
        fail("of --accept-gone, --accept-unread and --unread one at a time would be right")
    if unread or accept_unread:
        _unread(settings, accept_unread or [], reason or "")
        return
    accepted = [
        Accepted(*place, reason or "") for given in accept_gone or () for place in [_place("--accept-gone", given)]
    ]

    async def start() -> None:
        cluster = KafkaCluster(settings)
        try:
            await follow_and_answer(settings, cluster, accepted)
        finally:
            await cluster.stop()

    with logged(settings, json_logs):
        try:
            asyncio.run(start())
        except (RecordsLost, OtherCluster) as error:
            fail(f"callwarden billing: {consequence(error)}")
        except PermanentError as error:
            fail(f"callwarden billing: {error}")


def _place(option: str, given: str) -> tuple[int, int]:
    from streams.cli.inputs import fail

    found = re.fullmatch("([0-9]{1,5}):([0-9]{1,18})", given)
    if not found:
        fail(f"{option} {given}: PARTITION:OFFSET would be right")
    return int(found[1]), int(found[2])


def _unread(settings: "Settings", accepted: list[str], reason: str) -> None:
    """List the records that withhold answers, or accept some of them."""
    import asyncio
    import time

    from streams.cli.cluster_session import answers
    from streams.consumers.billing import unread
    from streams.consumers.billing.tables import UNREAD
    from streams.consumers.database import filled

    places = None if accepted == ["all"] else [_place("--accept-unread", given) for given in accepted]
    url = settings.billing_database.get_secret_value()
    none = "holds no billing database of this release; `callwarden billing` makes it when it starts"
    with answers("billing"), filled(url, "billing", UNREAD, none) as database:
        if accepted:
            now_ms = time.time_ns() // 1_000_000
            count = asyncio.run(database.run(lambda connection: unread.accept(connection, places, reason, now_ms)))
            typer.echo(
                f"accepted: {count} record{'s' * (count != 1)}; what the tenants are answered no longer waits for it"
            )
            return
        with database.reading() as connection:
            records, anybody = unread.counted(connection)
            for each in unread.listed(connection, _MOST_LISTED):
                whose = ", ".join(map(ascii, each.tenants)) or "any tenant"
                typer.echo(f"{each.topic} {each.partition}:{each.offset}  {whose}  {each.reason!a}")
        typer.echo(f"{records} records cannot be read" + (", no tenant is answered" if anybody else ""))
