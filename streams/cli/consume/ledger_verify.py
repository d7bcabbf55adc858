"""`callwarden ledger verify`: recomputes the chains, and compares them with heads, topics and an exported case."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.options import Bootstrap, By, Json, LedgerDatabase
from streams.cli.outputs import print_json

if TYPE_CHECKING:
    from streams.consumers.ledger.progress import LedgerProgress
    from streams.consumers.ledger.published_heads import PublishedHead
    from streams.consumers.ledger.verify.chains import Verified
    from streams.consumers.ledger.verify.exported_case import CaseComparison, ExportedCase
    from streams.consumers.ledger.verify.topics import TopicComparison
    from streams.kafka.api import TP
    from streams.kafka.cluster import KafkaCluster
    from streams.settings.load import Settings


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
    from streams.consumers.ledger.progress import UNKNOWN, progress_of
    from streams.consumers.ledger.verify.chains import Verified
    from streams.consumers.ledger.verify.chains import verify as recompute
    from streams.consumers.ledger.verify.stored_types import mistyped
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

        with ledger.reading() as connection:
            wrong = mistyped(connection)
        if wrong:
            found, progress, compared, exported = Verified(faults=wrong), UNKNOWN, None, None
        elif with_topics:
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
