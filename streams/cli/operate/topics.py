"""`callwarden topics`: make the topics of a cluster, and tell what is wrong with them."""

from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.options import Bootstrap, InputPrefix, OutputPrefix

if TYPE_CHECKING:
    from streams.kafka.cluster import KafkaCluster
    from streams.kafka.topic_admin import ExistingTopic
    from streams.settings.load import Settings

app = typer.Typer()

InputRetention = Annotated[
    str | None, typer.Option("--input-retention", metavar="30d", help="How long inputs are kept, at least.")
]


@app.command("create")
def create(
    partitions: Annotated[
        str | None,
        typer.Option("--partitions", metavar="N", help="Of every topic, when there are none yet.  [default: 8]"),
    ] = None,
    replication_factor: Annotated[
        str | None,
        typer.Option("--replication-factor", metavar="N", help="1 for a cluster of one broker.  [default: 3]"),
    ] = None,
    input_retention: InputRetention = None,
    input_prefix: InputPrefix = None,
    output_prefix: OutputPrefix = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Make the topics that are not there, then check all. Those that are there stay as they are.

    Exit status: 1 something is not as it must be, each with the command that mends it; 3 no broker.
    """
    from streams.cli.cluster_session import operate
    from streams.cli.inputs import fail, settings_for
    from streams.kafka import admin
    from streams.kafka.topic_admin import at_odds, partitions_for, required_topics, run_together
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

    async def make(cluster: "KafkaCluster") -> "dict[str, ExistingTopic]":
        nonlocal stored
        stored = await check_inputs(cluster, TopicNames(settings.input_prefix, settings.output_prefix))
        found = await admin.existing_topics(cluster.questions, wanted)
        if odd := run_together(settings, found) or at_odds(settings, found):
            fail(f"nothing was made: {odd}", 1)
        missing = [topic for topic in wanted if topic.topic not in found]
        count = partitions_for(settings, found, stored)
        await admin.create(cluster.questions, missing, count, settings.replication_factor)
        for topic in missing:
            typer.echo(f"made {topic.topic}: {count} partitions")
        return await admin.look_for(cluster.questions, wanted)

    _tell(settings, operate("topics create", settings, make), stored)


@app.command("check")
def check(
    input_retention: InputRetention = None,
    input_prefix: InputPrefix = None,
    output_prefix: OutputPrefix = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Tell all that is not as it must be, each with the command that mends it. A worker refuses to start on any.

    Exit status: 1 something is not as it must be; 3 no broker.
    """
    from streams.cli.cluster_session import operate
    from streams.cli.inputs import settings_for
    from streams.kafka import admin
    from streams.kafka.topic_admin import required_topics
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

    stored: int | None = None

    async def look(cluster: "KafkaCluster") -> "dict[str, ExistingTopic]":
        nonlocal stored
        stored = await check_inputs(cluster, TopicNames(settings.input_prefix, settings.output_prefix))
        return await admin.existing_topics(cluster.questions, required_topics(settings))

    _tell(settings, operate("topics check", settings, look), stored)


def _tell(settings: "Settings", found: "dict[str, ExistingTopic]", stored: int | None) -> None:
    from streams.cli.inputs import fail
    from streams.kafka.topic_admin import describe_mismatches, find_mismatches, partitions_for, required_topics

    faults = find_mismatches(settings, found, stored)
    if faults:
        fail(describe_mismatches(faults), 1)
    partitions = partitions_for(settings, found, stored)
    typer.echo(f"all {len(required_topics(settings))} topics are as they must be, with {partitions} partitions")
