"""`callwarden topics`: create the topics of a cluster, and check them."""

from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.options import Bootstrap, InputPrefix, Json, OutputPrefix
from streams.cli.outputs import print_json

if TYPE_CHECKING:
    from streams.ingest.http.sources.sources_file import CallWait
    from streams.kafka.cluster import KafkaCluster
    from streams.kafka.topic_admin import ExistingTopic
    from streams.kafka.topic_names import TopicNames
    from streams.settings.load import Settings
    from streams.topics.reported_waits import ReportedWaits

app = typer.Typer()

InputRetention = Annotated[
    str | None,
    typer.Option(
        "--input-retention",
        metavar="DURATION",
        help="The minimum retention of the inputs.",
    ),
]


@app.command("create")
def create(
    partitions: Annotated[
        str | None,
        typer.Option("--partitions", metavar="N", help="Partitions of each topic, when none exists yet.  [default: 8]"),
    ] = None,
    replication_factor: Annotated[
        str | None,
        typer.Option("--replication-factor", metavar="N", help="Replicas of each topic.  [default: 3]"),
    ] = None,
    as_json: Json = False,
    input_retention: InputRetention = None,
    input_prefix: InputPrefix = None,
    output_prefix: OutputPrefix = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Create the topics that do not exist, then check all of them. Existing topics are not changed.

    Exit status: 1 a topic is misconfigured, each with the command that fixes it; 3 Kafka cannot be reached.
    """
    from streams.cli.cluster_session import operate
    from streams.cli.inputs import fail, settings_for
    from streams.kafka import admin
    from streams.kafka.topic_admin import count_conflict, partitions_for, prefix_conflict, required_topics
    from streams.kafka.topic_names import TopicNames
    from streams.topics.state_inputs import check_inputs

    settings = settings_for(
        {
            "partitions": partitions,
            "replication_factor": replication_factor,
            "input_retention_ms": input_retention,
            "input_prefix": input_prefix,
            "output_prefix": output_prefix,
            "bootstrap_servers": bootstrap,
        }
    )
    wanted = required_topics(settings)

    stored: int | None = None
    created: list[str] = []

    async def make(cluster: "KafkaCluster") -> "dict[str, ExistingTopic]":
        nonlocal stored
        stored = await check_inputs(cluster, TopicNames.from_settings(settings))
        found = await admin.existing_topics(cluster.questions, wanted)
        if odd := prefix_conflict(settings, found) or count_conflict(settings, found):
            fail(f"no topic was created: {odd}", 1)
        missing = [topic for topic in wanted if topic.topic not in found]
        count = partitions_for(settings, found, stored)
        await admin.create(cluster.questions, missing, count, settings.replication_factor)
        created.extend(topic.topic for topic in missing)
        for topic in missing:
            typer.echo(f"created {topic.topic}: {_partitions(topic.partitions or count)}", err=as_json)
        return await admin.look_for(cluster.questions, wanted)

    _report(settings, operate("topics create", settings, make), stored, as_json, created)


@app.command("check")
def check(
    as_json: Json = False,
    input_retention: InputRetention = None,
    input_prefix: InputPrefix = None,
    output_prefix: OutputPrefix = None,
    bootstrap: Bootstrap = None,
) -> None:
    """List each misconfigured topic with the command that fixes it. Workers refuse to start until the list is empty.

    If all are correct, it also says what decisions wait for, until when, and which command brings them forward, as the
    workers reported within the last minute; or that records wait and no worker runs.

    Exit status: 1 a topic is misconfigured; 3 Kafka cannot be reached.
    """
    from streams.cli.cluster_session import operate
    from streams.cli.inputs import settings_for
    from streams.kafka import admin
    from streams.kafka.topic_admin import find_mismatches, required_topics
    from streams.kafka.topic_names import TopicNames
    from streams.topics.state_inputs import check_inputs

    settings = settings_for(
        {
            "input_retention_ms": input_retention,
            "input_prefix": input_prefix,
            "output_prefix": output_prefix,
            "bootstrap_servers": bootstrap,
        }
    )

    names = TopicNames.from_settings(settings)
    stored: int | None = None
    held = _sources_that_hold(settings)
    warnings: list[str] = []
    reported: ReportedWaits | None = None

    async def look(cluster: "KafkaCluster") -> "dict[str, ExistingTopic]":
        nonlocal stored, reported
        stored = await check_inputs(cluster, names)
        found = await admin.existing_topics(cluster.questions, required_topics(settings))
        if held and names.output("clock") in found:
            warnings.extend(await _late_sources(cluster, names, settings, held))
        if not find_mismatches(settings, found, stored):
            reported = await _reported(cluster, names)
        return found

    found = operate("topics check", settings, look)
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    _report(settings, found, stored, as_json, reported=reported)


def _sources_that_hold(settings: "Settings") -> "dict[str, CallWait]":
    """The sources of the sources file that hold calls for further events or for their corrections, and how long."""
    if settings.ingest_sources_file is None:
        return {}
    from streams.ingest.http.sources.sources_file import ForeignSources
    from streams.kafka.api import PermanentError

    try:
        return ForeignSources(settings.ingest_sources_file, signed=False).waits()
    except PermanentError as error:
        # The programs that read the file do not start with it; the topics can be checked without it.
        typer.echo(f"warning: {error}", err=True)
        return {}


async def _late_sources(
    cluster: "KafkaCluster", names: "TopicNames", settings: "Settings", held: "dict[str, CallWait]"
) -> list[str]:
    """Why the calls of a source will be late: it holds them as long as the policy waits, or longer."""
    from streams.cli.inputs import policy_for
    from streams.ingest.assemble.late_sources import late_sources
    from streams.ops.control_client import partition_count
    from streams.topics.policy_log import logged_policies, shortest_lateness_ms

    policy = policy_for(str(settings.policy) if settings.policy else None)
    found = await logged_policies(cluster, names, range(await partition_count(cluster, names)))
    return late_sources(held, shortest_lateness_ms(found, policy.lateness_ms))


async def _reported(cluster: "KafkaCluster", names: "TopicNames") -> "ReportedWaits | None":
    """What the workers report; None if none has reported anything, and there are no records to decide."""
    from streams.kafka.api import TP
    from streams.topics.reported_waits import TickReader

    counts = await cluster.partitions([*names.inputs, names.output("clock")])
    reported = await TickReader(names, range(counts.pop(names.output("clock")))).read(cluster)
    if reported.newest_ms is None:
        tps = [TP(topic, number) for topic, count in counts.items() for number in range(count)]
        starts, ends = await cluster.starts(tps), await cluster.ends(tps)
        if all(ends[tp] == starts[tp] for tp in tps):
            return None
    return reported


def _partitions(count: int) -> str:
    return f"{count} partition" if count == 1 else f"{count} partitions"


def _report(
    settings: "Settings",
    found: "dict[str, ExistingTopic]",
    stored: int | None,
    as_json: bool,
    created: list[str] | None = None,
    reported: "ReportedWaits | None" = None,
) -> None:
    from streams.cli.cluster_session import waiting_lines
    from streams.cli.inputs import fail
    from streams.kafka.topic_admin import describe_mismatches, find_mismatches, partitions_for, required_topics

    waiting = []
    if reported is not None:
        otherwise = "Nothing is decided until one runs: callwarden worker"
        waiting = list(waiting_lines(reported, f"{settings.output_prefix}clock", otherwise))
    faults = find_mismatches(settings, found, stored)
    partitions = None if faults else partitions_for(settings, found, stored)
    if as_json:
        print_json(
            {
                "ok": not faults,
                "partitions": partitions,
                "faults": [{"topic": each.topic, "fault": each.wrong, "fix": each.fix} for each in faults],
            }
            | ({"waiting": waiting} if created is None else {"created": created})
        )
        if faults:
            raise typer.Exit(1)
        return
    if faults:
        fail(describe_mismatches(faults), 1)
    typer.echo(f"all {len(required_topics(settings))} topics are configured correctly, with {partitions} partitions")
    for line in waiting:
        typer.echo(line)
