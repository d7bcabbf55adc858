"""`callwarden billing`: who may be refunded and may cancel, followed from Kafka into a database and asked by HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from streams.cli.options import Bootstrap, Json
from streams.cli.outputs import print_json
from streams.cli.service_options import JsonLogs, logged

if TYPE_CHECKING:
    from streams.consumers.database import Database
    from streams.settings.load import Settings

_MOST_LISTED: Final = 1_000


def run(
    bootstrap: Bootstrap = None,
    port: Annotated[int | None, typer.Option(help="The port of the API, /metrics, /readyz and /healthz.")] = None,
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
    as_json: Json = False,
    json_logs: JsonLogs = False,
) -> None:
    """Follow `callwarden.enforcement`, and answer GET /v1/refunds/TENANT: whether the tenant may be refunded
    and may cancel its orders. It stops on TERM.

    All settings are environment variables, or in a file: see `docs/guides/billing.md`. It waits for a broker or a
    database that cannot be reached. --unread and --accept-unread need only the database, and run beside a running
    billing.

    Exit status: 1 an unexpected error, or it did not stop in time after TERM; 2 wrong settings, no token, or records
    that were deleted before they were handled; 3 the database cannot be reached.
    """

    from streams.cli.cluster_session import on_cluster
    from streams.cli.inputs import fail, settings_for
    from streams.consumers.billing.gaps import consequence
    from streams.consumers.billing.main import Accepted
    from streams.consumers.billing.main import run as follow_and_answer
    from streams.consumers.data_loss import OtherCluster, RecordsLost
    from streams.kafka.api import PermanentError

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
    if as_json and not unread:
        fail("--json: expected only with --unread")
    if unread:
        _list_unread(settings, as_json)
        return
    if accept_unread:
        _accept_unread(settings, places or None, reason or "")
        return
    accepted = [Accepted(*place, reason or "") for place in places]

    with logged(settings, json_logs):
        try:
            on_cluster(settings, lambda cluster: follow_and_answer(settings, cluster, accepted))
        except (RecordsLost, OtherCluster) as error:
            fail(f"callwarden billing: {consequence(error)}")
        except PermanentError as error:
            fail(f"callwarden billing: {error}")


def _list_unread(settings: "Settings", as_json: bool) -> None:
    """Print the records that withhold answers."""
    from streams.consumers.billing import unread

    with _database(settings) as database, database.reading() as connection:
        count, anybody = unread.counted(connection)
        records = unread.listed(connection, _MOST_LISTED)
    if as_json:
        listed = [each._asdict() for each in records]
        print_json({"count": count, "no_tenant_is_answered": bool(anybody), "records": listed})
        return
    for each in records:
        whose = ", ".join(ascii(settings.display.id(tenant)) for tenant in each.tenants) or "any tenant"
        typer.echo(f"{each.topic} {each.partition}:{each.offset}  {whose}  {each.reason!a}")
    typer.echo(f"{count} records cannot be read" + (", no tenant is answered" if anybody else ""))


def _accept_unread(settings: "Settings", places: list[tuple[int, int]] | None, reason: str) -> None:
    """Accept that the records at these places, or all of them, change nothing."""
    import asyncio

    from streams.consumers.billing import unread
    from streams.runtime.wall_clock import epoch_ms

    with _database(settings) as database:
        now_ms = epoch_ms()
        count = asyncio.run(database.run(lambda connection: unread.accept(connection, places, reason, now_ms)))
    typer.echo(f"accepted: {count} record{'s' * (count != 1)}; billing answers about their tenants again")


@contextmanager
def _database(settings: "Settings") -> "Iterator[Database]":
    from streams.cli.cluster_session import answers
    from streams.consumers.billing.tables import UNREAD
    from streams.consumers.database import filled

    none = "holds no billing database of this release; `callwarden billing` creates it when it starts"
    with answers("billing"), filled(settings.billing_database.get_secret_value(), "billing", UNREAD, none) as database:
        yield database
