"""`callwarden billing`: whose refunds are frozen, followed from Kafka into a database, and asked over HTTP."""

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
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss", help="Continue at --partition and --offset without the records that were deleted before."
        ),
    ] = False,
    unread: Annotated[
        bool, typer.Option("--unread", help="List the records that cannot be read and withhold answers, and exit.")
    ] = False,
    accept_unread: Annotated[
        bool,
        typer.Option(
            "--accept-unread",
            help="Accept that the record at --partition and --offset, or with --all each of them, changes nothing, "
            "and exit.",
        ),
    ] = False,
    partitions: Annotated[
        list[int] | None, typer.Option("--partition", min=0, help="As in the error message or the list; repeatable.")
    ] = None,
    offsets: Annotated[
        list[int] | None, typer.Option("--offset", min=0, help="The offset in that partition; one for each.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="With --accept-unread: all of them.")] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="WHY", help="Why you accept it; it is stored.")
    ] = None,
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
    accepting = accept_loss or accept_unread
    if accept_loss + accept_unread + unread > 1:
        fail("--accept-loss, --accept-unread, --unread: expected one of them")
    if accepting is not bool(reason and reason.strip()):
        fail("--reason: expected with --accept-loss and with --accept-unread, and only there: why you accept it")
    if len(partitions or ()) != len(offsets or ()):
        fail("--partition, --offset: expected an --offset for each --partition")
    places = list(zip(partitions or (), offsets or (), strict=True))
    if (places or all_) and not accepting:
        fail("--partition, --offset, --all: expected only with --accept-loss or --accept-unread")
    if accept_loss and (all_ or not places):
        fail("--accept-loss: expected --partition and --offset, as in the error message")
    if accept_unread and all_ is bool(places):
        fail("--accept-unread: expected --partition and --offset of a record, or --all")
    if unread or accept_unread:
        _unread(settings, accept=accept_unread, places=places or None, reason=reason or "")
        return
    accepted = [Accepted(*place, reason or "") for place in places]

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


def _unread(settings: "Settings", *, accept: bool, places: list[tuple[int, int]] | None, reason: str) -> None:
    """List the records that withhold answers, or accept some of them."""
    import asyncio
    import time

    from streams.cli.cluster_session import answers
    from streams.consumers.billing import unread
    from streams.consumers.billing.tables import UNREAD
    from streams.consumers.database import filled

    url = settings.billing_database.get_secret_value()
    none = "holds no billing database of this release; `callwarden billing` makes it when it starts"
    with answers("billing"), filled(url, "billing", UNREAD, none) as database:
        if accept:
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
