"""`callwarden ledger`: keep, verify, export and show the record of every decision, review and reversal."""

from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.consume.ledger_verify import verify
from streams.cli.options import Bootstrap, By, Json, LedgerDatabase, Yes
from streams.cli.outputs import print_json
from streams.cli.service_options import JsonLogs, logged

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from schemas.inputs import Review
    from schemas.outputs import Enforcement
    from streams.consumers.ledger.gaps import Gaps
    from streams.consumers.ledger.queries.cases import LedgerCase
    from streams.kafka.cluster import KafkaCluster
    from streams.reviews.signers import ReviewSigner

    TenantHistory = tuple[list[Enforcement], list[Review], list[LedgerCase]]

app = typer.Typer()


@app.command("run")
def run(
    bootstrap: Bootstrap = None,
    database: LedgerDatabase = None,
    port: Annotated[int | None, typer.Option(help="The port of /metrics, /readyz and /healthz.")] = None,
    heads: Annotated[
        str | None, typer.Option("--heads", metavar="FILE", help="Where heads are published: CALLWARDEN_LEDGER_HEADS.")
    ] = None,
    json_logs: JsonLogs = False,
) -> None:
    """Store every decision, review and reversal, until TERM. You can kill it at any moment, and run two of them.

    It also sends verdicts whose `reviews uphold` or `overturn` was interrupted before it sent them. Once a day (UTC) it
    publishes the heads of the chains to the log, and to the file of CALLWARDEN_LEDGER_HEADS. It waits for a broker or a
    database that cannot be reached.

    Exit status: 1 an unexpected error, or it did not stop in time after TERM; 2 wrong settings, or records that were
    deleted before they were stored.
    """
    from streams.cli.cluster_session import operate
    from streams.cli.inputs import settings_for
    from streams.consumers.ledger.main import run_ledger
    from streams.reviews.interrupted_reservations import finish_interrupted

    settings = settings_for(
        {"bootstrap_servers": bootstrap, "ledger_database": database, "ledger_port": port, "ledger_heads": heads}
    )
    with logged(settings, json_logs):
        operate(
            "ledger run",
            settings,
            lambda cluster: run_ledger(
                settings, cluster, lambda database: finish_interrupted(settings, cluster, database)
            ),
        )


app.command()(verify)


@app.command("export")
def export(
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="FILE", help="A new file, or - for standard output.")
    ] = "-",
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="ID", help="Only entries of this tenant.")] = None,
    with_bytes: Annotated[
        bool, typer.Option("--bytes", help="Write keys and values unmasked, to recompute hashes.")
    ] = False,
    database: LedgerDatabase = None,
) -> None:
    """Write all entries as JSON lines, by topic, partition and number, each with its hash.

    What reviewers wrote is masked. With --bytes, keys and values are written as they were, in base64, so that an
    auditor can recompute the chains without this program (`docs/guides/ledger.md`); they may contain telephone numbers.
    An existing file is not overwritten: it may be what the ledger held before it was changed.

    Exit status: 2 no ledger, or the file exists already; 3 the database cannot be reached.
    """
    import sys
    from contextlib import nullcontext
    from pathlib import Path

    from streams.cli.cluster_session import answers
    from streams.cli.inputs import settings_for
    from streams.cli.outputs import written_new
    from streams.consumers.ledger.access import filled
    from streams.consumers.ledger.queries.export import lines

    settings = settings_for({"ledger_database": database})
    to = nullcontext(sys.stdout.buffer) if out == "-" else written_new(Path(out))
    with answers("ledger export"), filled(settings) as ledger, ledger.reading() as connection, to as file:
        for line in lines(connection, tenant=tenant, with_bytes=with_bytes):
            file.write(line + b"\n")
        file.flush()  # here a closed pipe is handled, at the end of Python it is printed


@app.command("show")
def show(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's id.")],
    as_json: Json = False,
    bootstrap: Bootstrap = None,
    database: LedgerDatabase = None,
) -> None:
    """Show the timeline of a tenant: its standing, and every decision, review, reversal and lapse, in two languages.

    The command only reads the ledger's database. It prints the time up to which that is current, and how many records
    it lacks. Telephone numbers are masked.

    Exit status: 1 nothing is known of that tenant; 2 no ledger; 3 the database cannot be reached.
    """
    from rich.console import Console

    from monitor.report import labels
    from monitor.report.standing import TenantSummaries
    from streams.cli.consume.case_format import case_json, case_status, event_lines, review_json, review_lines
    from streams.cli.consume.ledger_reading import read_ledger, report
    from streams.cli.inputs import fail, settings_for
    from streams.consumers.ledger.queries.lookup import of_tenant
    from streams.reviews.signers import signers_of
    from streams.runtime.wall_clock import epoch_ms

    settings = settings_for({"bootstrap_servers": bootstrap, "ledger_database": database})
    keys = settings.review_keys()

    def look(connection: "Connection") -> "tuple[TenantHistory, list[tuple[ReviewSigner, ...]]]":
        history = of_tenant(connection, tenant)
        return history, signers_of(connection, history[1], keys)

    ((events, reviews, cases), signers), currency = read_ledger("ledger show", settings, look)
    report(currency, line=not as_json)
    if not events and not reviews:
        fail(f"the ledger has no record of the tenant {settings.display.id(tenant)}", 1)
    console, now_ms = Console(highlight=False), epoch_ms()
    # Not by the name that was given: an id with a NUL in it can be shown, and not be typed.
    standing = TenantSummaries(events, [], {}).tenants[events[0].subject] if events else None
    by_id = {event_id: case for case in cases for event_id in case.ids}
    if as_json:
        shown = {
            "tenant_id": events[0].subject if events else reviews[0].tenant_id,
            "standing": standing and standing.standing,
            "violations": len(standing.violations) if standing else 0,
            "refunds_frozen": bool(standing and standing.holds),
            "decisions": [case_json(case, None, now_ms) for case in cases],
            "events": events,
            "reviews": [
                review_json(one, by_id.get(one.enforcement_id), by) for one, by in zip(reviews, signers, strict=True)
            ],
        }
        print_json(currency.plain | shown)
        return
    if standing:
        zh, en = labels.STANDINGS[standing.standing]
        held_zh, held_en = ("已冻结", "frozen") if standing.holds else ("未冻结", "not frozen")
        count = len(standing.violations)
        console.print(f"{settings.display.id(tenant)}  {zh} / {en}", markup=False, soft_wrap=True)
        console.print(f"在案违规 {count} 次，退款{held_zh} / violations on record: {count}, refunds {held_en}")
    used = {each for event in events for each in event.data.evidence.review_ids}
    steps = [(event.data.decided_ms, 1, event_lines(event, settings.display), by_id.get(event.id)) for event in events]
    steps += [
        (
            one.updated_ms,
            0,
            review_lines(one, one.review_id in used, settings.display, by_id.get(one.enforcement_id), by),
            None,
        )
        for one, by in zip(reviews, signers, strict=True)
    ]
    for *_, lines, case in sorted(steps, key=lambda step: step[:2]):
        if case and lines:
            lines[0].append("  ").append_text(case_status(case, now_ms))
        for line in lines:
            console.print(line, soft_wrap=True)


@app.command("accept-loss")
def accept_loss(
    reason: Annotated[str, typer.Option("--reason", metavar="WHY", help="Why; it is stored in the ledger.")],
    by: By = None,
    yes: Yes = False,
    bootstrap: Bootstrap = None,
    database: LedgerDatabase = None,
) -> None:
    """Let the ledger continue although records were deleted from a topic before they were stored.

    The ledger keeps the gap permanently, with who accepted it and why, and `ledger verify` reports it.

    Exit status: 1 you did not agree, or the ledger has continued meanwhile; 3 Kafka or the database cannot be reached.
    """
    from streams.cli.cluster_session import operate
    from streams.cli.inputs import checked_reason, fail, operator_name, settings_for
    from streams.consumers.ledger.access import database_of
    from streams.consumers.ledger.gaps import accept, gaps
    from streams.consumers.offsets import ConcurrentWriter
    from streams.kafka.topic_names import TopicNames
    from streams.runtime.wall_clock import epoch_ms

    settings = settings_for({"bootstrap_servers": bootstrap, "ledger_database": database})
    names = TopicNames.from_settings(settings)
    reason, name = checked_reason(reason), operator_name("--by", by)

    def confirmed(lost: "Gaps") -> bool:
        for tp, (first, stop) in sorted(lost.items()):
            typer.echo(f"{tp.topic}-{tp.partition}: offsets {first} to {stop - 1} were deleted")
        return yes or typer.confirm("Continue without them?")

    async def work(cluster: "KafkaCluster") -> int:
        ledger = database_of(settings)
        try:
            await ledger.migrate()
            lost = await gaps(cluster, ledger, names)
            if lost and confirmed(lost):
                await accept(ledger, lost, epoch_ms(), name, reason)
                return len(lost)
            return 0 if not lost else -1
        finally:
            ledger.close()

    try:
        count = operate("ledger accept-loss", settings, work)
    except ConcurrentWriter as error:
        fail(f"callwarden ledger accept-loss: the ledger has continued meanwhile ({error}); run the command again", 1)
    if count < 0:
        fail("nothing was changed", 1)
    typer.echo(f"accepted: {count} gap{'s' * (count > 1)}" if count else "no records were deleted: nothing to accept")
