"""`callwarden audit`: prove that no decision was lost, invented or changed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.options import Bootstrap, InputPrefix, Json, KeyFile, OutputPrefix
from streams.cli.outputs import print_json

if TYPE_CHECKING:
    from streams.audit.partition import Audited
    from streams.audit.run import AuditReport
    from streams.kafka.cluster import KafkaCluster


def run(
    policy: Annotated[
        str | None,
        typer.Option("--policy", metavar="FILE", help="The policy that the topics do not name."),
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="FILE", help="Start from this file of `callwarden state export`.")
    ] = None,
    key_file: KeyFile = None,
    json_: Json = False,
    input_prefix: InputPrefix = None,
    output_prefix: OutputPrefix = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Judge the input topics again and compare with what the workers decided: nothing is missing, added or changed.

    Workers may be running: the command compares what each partition has judged so far. It reports what it cannot
    check, such as records that the topics no longer hold.

    Exit status: 1 there are differences, or something could not be checked; 3 Kafka cannot be reached.
    """
    import time

    from streams.audit import report as tell
    from streams.audit.partition import AuditContext
    from streams.audit.run import audit
    from streams.cli.cluster_session import operate
    from streams.cli.inputs import policy_for, settings_for
    from streams.cli.operate.state import faults
    from streams.kafka.topic_names import TopicNames
    from streams.savepoint.archive import ArchiveReader

    settings = settings_for(
        {
            "policy": policy,
            "key_file": key_file,
            "input_prefix": input_prefix,
            "output_prefix": output_prefix,
            "bootstrap_servers": bootstrap,
        }
    )
    ruled = policy_for(str(settings.policy) if settings.policy else None)

    def report_partition(one: "Audited") -> None:
        if not json_:
            for line in tell.partition(one):
                typer.echo(line)

    async def work(cluster: "KafkaCluster") -> "AuditReport":
        setup = AuditContext(
            cluster,
            TopicNames.from_settings(settings),
            ruled,
            settings.secret(),
            settings.deciding,
            settings.partitioner,
        )
        return await audit(setup, start, report_partition)

    began = time.monotonic()
    with faults():
        start = ArchiveReader(state) if state else None
        report = operate("audit", settings, work)
    if json_:
        print_json(tell.plain(report))
    else:
        for one in report.differences:
            for line in tell.difference(one, settings.display):
                typer.echo(line)
        records = sum(one.records for one in report.partitions)
        spent_s = time.monotonic() - began
        typer.echo(f"{records:,} records in {spent_s:.1f} s, {records / spent_s:,.0f} a second")
        typer.echo(tell.verdict(report))
    if not report.clean:
        raise typer.Exit(1)
