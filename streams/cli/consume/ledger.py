"""`callwarden ledger`: keep, verify, export and show the record of every decision, review and reversal."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.options import Bootstrap, By, Json, LedgerDatabase, Yes
from streams.cli.outputs import print_json
from streams.cli.service_options import JsonLogs, logged

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from schemas.inputs import Review
    from schemas.outputs import Enforcement
    from streams.consumers.ledger.gaps import Gaps
    from streams.consumers.ledger.published_heads import PublishedHead
    from streams.consumers.ledger.queries.cases import LedgerCase
    from streams.consumers.ledger.verify.chains import Verified
    from streams.consumers.ledger.verify.exported_case import CaseComparison, ExportedCase
    from streams.consumers.ledger.verify.topics import TopicComparison
    from streams.kafka.api import TP
    from streams.kafka.cluster import KafkaCluster
    from streams.reviews.signers import ReviewSigner
    from streams.settings.load import Settings

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


@app.command("verify")
def verify(
    heads: Annotated[
        str | None, typer.Option("--heads", metavar="FILE", help="The published heads, which the chains must contain.")
    ] = None,
    with_topics: Annotated[
        bool, typer.Option("--with-topics", help="Also compare with what the topics still hold.")
    ] = False,
    case: Annotated[
        str | None, typer.Option("--case", metavar="FILE", help="A case that the console exported, to be compared.")
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Store the result in the ledger, whose metrics then show it.")
    ] = False,
    by: By = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
    database: LedgerDatabase = None,
) -> None:
    """Recompute all chains to find changed, missing or reordered entries; with --heads, also an end that was cut off.

    With --with-topics, each record of the topics up to their committed ends must be in the ledger: a missing record, or
    one beyond the ledger's position, is a difference. The command gives a running ledger time to store new records.
    With --case, each record of the exported case must be in the ledger as it is in the file.

    Without --record, the command only reads. It prints the time up to which the database is current, and how many
    records it lacks.

    Exit status: 1 there are differences, each on a line; 2 no ledger; 3 the database or, with --with-topics, Kafka
    cannot be reached.
    """
    from streams.cli.cluster_session import answers, operate
    from streams.cli.consume.ledger_reading import currency_of, report
    from streams.cli.inputs import fail, operator_name, settings_for
    from streams.consumers.ledger.access import filled
    from streams.consumers.ledger.progress import LedgerProgress, progress_of
    from streams.consumers.ledger.verify.chains import verify as recompute
    from streams.kafka.topic_names import TopicNames

    if by is not None and not record:
        fail("--by: expected only with --record")
    settings = settings_for({"bootstrap_servers": bootstrap, "ledger_database": database})
    names = TopicNames.from_settings(settings)
    published, exported = _published(heads), _exported(case)
    recorded_by = operator_name("--by", by) if record else None
    with answers("ledger verify"), filled(settings) as ledger:

        async def against_topics(cluster: "KafkaCluster") -> "tuple[Verified, LedgerProgress, TopicComparison]":
            from streams.consumers.ledger.verify.topics import committed_ends, compare, wait_until_caught_up

            ends = await committed_ends(cluster, names)
            await wait_until_caught_up(ledger, ends)
            with ledger.reading() as connection:
                found, progress = recompute(connection, published), progress_of(connection)
                return found, progress, await compare(cluster, connection, names, ends)

        if with_topics:
            found, progress, compared = operate("ledger verify", settings, against_topics)
            found.faults += compared.faults
        else:
            with ledger.reading() as connection:
                found, progress, compared = recompute(connection, published), progress_of(connection), None
        if recorded_by is not None:
            _record(settings, found, bool(heads), recorded_by)
        matched = None
        if exported is not None:
            from streams.consumers.ledger.verify.exported_case import compare_case

            with ledger.reading() as connection:
                matched = compare_case(connection, exported)
            found.faults += matched.faults
    currency = currency_of(settings, progress)
    report(currency, line=not as_json)
    if as_json:
        about_case = matched and {"case_id": matched.case_id, "records": matched.records, "newer": matched.newer}
        print_json(currency.plain | _verified_json(found, bool(heads), compared) | {"case_compared": about_case})
        if found.faults:
            raise typer.Exit(1)
        return
    _tell(found)
    if found.faults:
        fail(f"{len(found.faults)} difference{'s' * (len(found.faults) > 1)}", 1)
    typer.echo(_verdict(sum(head.number for head in found.heads.values()), bool(heads), compared, matched))


@app.command("export")
def export(
    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="FILE", help="A new file.  [default: standard output]")
    ] = None,
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
    to = nullcontext(sys.stdout.buffer) if out is None else written_new(Path(out))
    with answers("ledger export"), filled(settings) as ledger, ledger.reading() as connection, to as file:
        for line in lines(connection, tenant=tenant, with_bytes=with_bytes):
            file.write(line + b"\n")


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


def _record(settings: "Settings", found: "Verified", with_heads: bool, by: str) -> None:
    import asyncio
    from functools import partial

    from streams.consumers.ledger.access import database_of
    from streams.consumers.ledger.verify.last_verification import Verification, note
    from streams.runtime.wall_clock import epoch_ms

    entries = {tp: head.number for tp, head in found.heads.items()}
    done = Verification(epoch_ms(), by, len(found.faults), with_heads, entries)

    async def work() -> None:
        ledger = database_of(settings)
        try:
            await ledger.migrate()
            await ledger.run(partial(note, done=done, heads=found.heads))
        finally:
            ledger.close()

    asyncio.run(work())


def _published(path: str | None) -> "dict[TP, dict[int, PublishedHead]]":
    from pathlib import Path

    from streams.cli.inputs import fail
    from streams.consumers.ledger import published_heads as heads

    if path is None:
        return {}
    try:
        return heads.first_published(heads.read_heads_file(Path(path)))
    except heads.HeadsFault as fault:
        fail(str(fault))


def _exported(path: str | None) -> "ExportedCase | None":
    from pathlib import Path

    from streams.cli.inputs import fail

    if path is None:
        return None
    from streams.consumers.ledger.verify.exported_case import CaseFault, read_case

    try:
        return read_case(Path(path))
    except CaseFault as fault:
        fail(str(fault))


def _verdict(entries: int, heads: bool, topics: "TopicComparison | None", case: "CaseComparison | None") -> str:
    """What was verified, and what was not. ``topics``, ``case``: the comparisons; None if they were not asked for."""
    parts, asked = [f"verified: {entries:,} entries"], []
    if heads:
        parts.append("The ledger contains the published heads")
    else:
        asked.append("whether entries at the end are missing, or a chain was recreated (--heads FILE)")
    if topics is None:
        asked.append("the topics (--with-topics)")
    else:
        parts.append(f"The ledger contains all {topics.compared:,} records of the topics")
        if topics.older:
            parts.append(f"{topics.older:,} entries older than the topics were not compared")
        for name, count in sorted(topics.absent.items()):
            parts.append(f"{count:,} entries of {name} were not compared: the topic does not exist")
    if case is not None:
        newer = f", and {case.newer:,} newer about it" if case.newer else ""
        parts.append(f"The ledger contains all {case.records:,} records of the exported case{newer}")
    if asked:
        parts.append(f"Not checked: {', '.join(asked)}")
    return f"{'. '.join(parts)}."


def _verified_json(found: "Verified", with_heads: bool, topics: "TopicComparison | None") -> dict[str, Any]:
    return {
        "ok": not found.faults,
        "faults": found.faults,
        "losses": found.losses,
        "entries": sum(head.number for head in found.heads.values()),
        "unreadable": found.unreadable,
        "unlisted": found.unlisted,
        "signed": _signed(found),
        "heads": [
            {"topic": tp.topic, "partition": tp.partition, "entries": head.number, "hash": head.hash.hex()}
            for tp, head in sorted(found.heads.items())
        ],
        "published_heads_checked": with_heads,
        "topics_compared": topics and {"compared": topics.compared, "older": topics.older, "absent": topics.absent},
    }


def _signed(found: "Verified") -> dict[str, int]:
    """The number of reviews with a signature, by the name of the key."""
    from monitor.text.masking import mask_text

    return {mask_text(name): count for name, count in sorted(found.signed.items())}


def _tell(found: "Verified") -> None:
    for tp, head in sorted(found.heads.items()):
        typer.echo(f"{tp.topic}-{tp.partition}: {head.number:,} entries, head {head.hash.hex()}")
    if found.signed:
        names = ", ".join(f"{name} {count:,}" for name, count in _signed(found).items())
        typer.echo(f"reviews with a signature, by the name of the key: {names}; `callwarden audit` checks them")
    if found.unreadable:
        typer.echo(f"{found.unreadable:,} of them cannot be read by this release; they are stored unchanged")
    if found.unlisted:
        typer.echo(
            f"{found.unlisted:,} of them could not be read when they were stored; this release can: `ledger show` and "
            "`reviews` find them once you start `callwarden ledger run` of this release"
        )
    for loss in found.losses:
        typer.echo(f"known to be missing: {loss}")
    for fault in found.faults:
        typer.echo(fault, err=True)
